package session_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// within is how soon a request has to be over after its session (RPL-12).
const within = time.Second

// wantOver waits until a bound context has ended, and checks why and, unless it is zero, that since is not long ago.
func wantOver(t *testing.T, bound context.Context, since time.Time, why error) {
	t.Helper()
	receive(t, bound.Done())
	if took := time.Since(since); took > within {
		t.Errorf("ended %v after its session", took)
	}
	wantError(t, context.Cause(bound), why)
}

func wantUnderWay(t *testing.T, bound context.Context) {
	t.Helper()
	if bound.Err() != nil {
		t.Fatalf("ended: %v", context.Cause(bound))
	}
}

// bind gives a request a context that ends with its session.
func bind(ctx context.Context, m *session.Manager, s *session.Session) (bound context.Context, release func()) {
	bound, end := context.WithCancelCause(ctx)
	bond, err := m.Bind(s, end)
	if err != nil {
		panic(err)
	}
	return bound, bond.Release
}

// TestBind is RPL-12, BCL-28, SES-06: two hundred requests at one replica are over when their session ends at another,
// and nobody else's are.
func TestBind(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s, other := c.login(), c.login()
		bystander, release := bind(t.Context(), c.managers[0], other)
		defer release()
		var bound []context.Context
		for range 200 {
			ctx, release := bind(t.Context(), c.managers[0], s)
			defer release()
			bound = append(bound, ctx)
		}
		ended := time.Now()
		must(t, c.managers[1].End(t.Context(), s, session.ReasonLogout))
		for _, ctx := range bound {
			wantOver(t, ctx, ended, session.ErrEnded)
		}
		wantUnderWay(t, bystander)
		c.close()
	})
}

// TestBindKeeps: a session that changes is no session that ends.
func TestBindKeeps(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		bound, release := bind(t.Context(), c.managers[0], s)
		defer release()
		c.advance(tokenLife)
		s, err := c.managers[1].Fresh(t.Context(), s)
		must(t, err)
		s, err = c.managers[1].Extend(t.Context(), s)
		must(t, err)
		// The notices of one session come in order: with this one the others have been heard.
		must(t, c.managers[1].End(t.Context(), c.login(), session.ReasonLogout))
		wantUnderWay(t, bound)
		must(t, c.managers[1].End(t.Context(), s, session.ReasonLogout))
		wantOver(t, bound, time.Now(), session.ErrEnded)
		c.close()
	})
}

// TestBindTooLate: the session ended when it had been read and before the request was bound, so that no notice is to
// come any more.
func TestBindTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		s := c.login()
		must(t, c.managers[0].EndByID(t.Context(), s.ID, session.ReasonBackchannel))
		synctest.Wait()
		bound, release := bind(t.Context(), c.managers[0], s)
		defer release()
		wantOver(t, bound, time.Now(), session.ErrEnded)
	})
}

// TestBindDeadlines is PX-21: a stream is not longer than its session may be, and is no activity.
func TestBindDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := newCluster(t, nil, 0)
		options := c.options()
		options.IdleTimeout, options.Lifetime = 3*time.Minute, 12*time.Minute
		for range 2 {
			c.managers = append(c.managers, session.NewManager(store, c.ring, options))
		}
		idle, busy := c.login(), c.login()
		begun := time.Now()
		time.Sleep(10 * time.Second)
		idleBound, release := bind(t.Context(), c.managers[0], idle)
		defer release()
		busyBound, release := bind(t.Context(), c.managers[0], busy)
		defer release()
		for time.Since(begun) < 11*time.Minute {
			if time.Since(begun) < 3*time.Minute {
				wantUnderWay(t, idleBound)
			}
			time.Sleep(time.Minute)
			_, err := c.managers[1].Touch(t.Context(), busy)
			must(t, err)
			wantUnderWay(t, busyBound)
		}
		wantError(t, context.Cause(idleBound), session.ErrIdle)
		time.Sleep(time.Until(begun.Add(12 * time.Minute)))
		wantOver(t, busyBound, time.Now(), session.ErrExpired)
	})
}

// moodyStore may tell nobody anything, and may be slow to load, or fail to.
type moodyStore struct {
	session.Store
	deaf   bool
	slow   time.Duration
	broken atomic.Bool
}

func (s *moodyStore) Follow(f session.Follower) (stop func()) {
	if s.deaf {
		return func() {}
	}
	return s.Store.Follow(f)
}

func (s *moodyStore) Load(ctx context.Context, id session.ID) (session.Record, time.Time, error) {
	time.Sleep(s.slow)
	if s.broken.Load() {
		return session.Record{}, time.Time{}, errors.New("connection refused")
	}
	return s.Store.Load(ctx, id)
}

// TestBindLong: a request that has been under way for long ends as soon as one that has just begun, when its end is heard
// of; when nothing is, within a minute. While the store fails nothing ends.
func TestBindLong(t *testing.T) {
	for name, test := range map[string]struct {
		deaf   bool
		broken time.Duration // after the session's end
		within time.Duration // after that
	}{
		"heard":              {within: time.Second},
		"heard in an outage": {broken: 5 * time.Second, within: time.Second},
		"not heard":          {deaf: true, within: time.Minute},
		"not heard, outage":  {deaf: true, broken: 5 * time.Minute, within: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &moodyStore{Store: memstore.New(), deaf: test.deaf}
				c := newCluster(t, func() session.Store { return store }, 1)
				m, s := c.managers[0], c.login()
				bound, release := bind(t.Context(), m, s)
				defer release()
				time.Sleep(10 * time.Second)
				store.broken.Store(test.broken > 0)
				must(t, m.EndByID(t.Context(), s.ID, session.ReasonAdmin))
				time.Sleep(test.broken)
				if test.broken > 0 {
					wantUnderWay(t, bound)
				}
				store.broken.Store(false)
				time.Sleep(test.within)
				synctest.Wait()
				wantError(t, context.Cause(bound), session.ErrEnded)
			})
		})
	}
}

// TestBindAndClose: a store that is slower than sessions are due to be looked at does not keep Close waiting for requests
// that go on, as those of a WebSocket may.
func TestBindAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &moodyStore{Store: memstore.New(), slow: time.Second}
		store.broken.Store(true)
		c := newCluster(t, func() session.Store { return store }, 1)
		m := c.managers[0]
		_, release := bind(t.Context(), m, c.login())
		defer release()
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		must(t, m.Close(ctx))
	})
}

// TestBindReleases: what a request took is free when it is over, however it ended.
func TestBindReleases(t *testing.T) {
	before := goleak.IgnoreCurrent()
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	ended, alive := c.login(), c.login()
	var releases []func()
	for i := range 1000 {
		_, release := bind(t.Context(), m, []*session.Session{ended, alive}[i%2])
		releases = append(releases, release)
	}
	if got := m.Bound(); got != 2 {
		t.Errorf("%d sessions have requests under way, want 2", got)
	}
	must(t, m.End(t.Context(), ended, session.ReasonLogout))
	for last := time.Now().Add(within); m.Bound() != 1; {
		if time.Now().After(last) {
			t.Fatal("the requests of the session that has ended are under way")
		}
	}
	for i := range 500 { // from both ends and the middle, some twice, and those that have ended as well
		releases[(i*7)%1000]()
		releases[(i*11)%1000]()
		if got := m.Bound(); got != 1 {
			t.Fatalf("%d sessions have requests under way, want 1", got)
		}
	}
	for _, release := range releases {
		release()
	}
	if got := m.Bound(); got != 0 {
		t.Errorf("%d sessions have requests under way, want none", got)
	}
	c.close()
	goleak.VerifyNone(t, before)
}

// TestBindIsCheap: it is on the way of every proxied request.
func TestBindIsCheap(t *testing.T) {
	store := &moodyStore{Store: memstore.New(), deaf: true}
	c := newCluster(t, func() session.Store { return store }, 1)
	s := c.login()
	store.broken.Store(true) // nobody asks
	end := func(error) {}
	first, err := c.managers[0].Bind(s, end) // starts what there is to start
	must(t, err)
	defer first.Release()
	got := testing.AllocsPerRun(1000, func() {
		bond, _ := c.managers[0].Bind(s, end)
		bond.Release()
	})
	if got > 1 {
		t.Errorf("%v allocations", got)
	}
}

// TestBindLimit is PX-34: one session may have so many requests under way, and other sessions theirs, however the former
// end.
func TestBindLimit(t *testing.T) {
	c := newCluster(t, nil, 0)
	options := c.options()
	options.MaxRequests = 3
	m := session.NewManager(memstore.New(), c.ring, options)
	c.managers = append(c.managers, m)
	s, other := c.login(), c.login()
	var bonds []*session.Bond
	for range 3 {
		bond, err := m.Bind(s, func(error) {})
		must(t, err)
		bonds = append(bonds, bond)
	}
	for i := range 30 { // the oldest, the youngest, and the one between them goes
		_, err := m.Bind(s, func(error) {})
		wantError(t, err, session.ErrTooMany)
		bond, err := m.Bind(other, func(error) {})
		must(t, err)
		bond.Release()

		bonds[i%3].Release()
		bonds[i%3].Release() // twice is once
		bonds[i%3], err = m.Bind(s, func(error) {})
		must(t, err)
	}
	for _, order := range [][]int{{0, 1}, {0, 2}, {1, 0}, {1, 2}, {2, 0}, {2, 1}} {
		s, bonds := c.login(), make([]*session.Bond, 5)
		bind := func(i int) (err error) {
			bonds[i], err = m.Bind(s, func(error) {})
			return err
		}
		must(t, errors.Join(bind(0), bind(1), bind(2)))
		bonds[order[0]].Release()
		bonds[order[1]].Release()
		must(t, errors.Join(bind(3), bind(4))) // there is room for two
		wantError(t, bind(0), session.ErrTooMany)
	}
	c.close()
}

func BenchmarkBind(b *testing.B) {
	m := session.NewManager(memstore.New(), session.NewKeyRing(), session.Options{})
	s, err := m.Create(b.Context(), session.Login{Subject: "alice"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			bond, err := m.Bind(s, func(error) {})
			if err != nil {
				b.Fatal(err)
			}
			bond.Release()
		}
	})
}
