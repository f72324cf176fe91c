package session_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// newLimited is a cluster whose users may have so many sessions. The clock of the second replica is behind.
func newLimited(t *testing.T, open func() session.Store, limit int, behind time.Duration) *cluster {
	c := newCluster(t, open, 0)
	for i := range 2 {
		options := c.options()
		options.PerUserLimit = limit
		options.Now = func() time.Time { return c.now().Add(-time.Duration(i) * behind) }
		c.store = open()
		c.managers = append(c.managers, session.NewManager(c.store, c.ring, options))
	}
	return c
}

// loginAt is a login of alice at one of the replicas.
func (c *cluster) loginAt(replica int) *session.Session {
	c.t.Helper()
	s, err := c.managers[replica].Create(c.t.Context(), session.Login{
		Provider: "default", Issuer: "https://op.example.com", Subject: "alice", Tokens: c.op.grant(),
	})
	must(c.t, err)
	return s
}

// wantLive checks which of some sessions there are; the others have ended.
func (c *cluster) wantLive(sessions []*session.Session, want ...int) {
	c.t.Helper()
	live := map[int]bool{}
	for _, i := range want {
		live[i] = true
	}
	for i, s := range sessions {
		_, err := c.managers[0].Open(c.t.Context(), s.Ticket())
		if why, _ := session.Anonymous(err); live[i] && err != nil || !live[i] && why != "ended" {
			c.t.Errorf("session %d: %v, want live %v", i, err, live[i])
		}
	}
}

// TestPerUserLimit is SES-03: the oldest session of the user ends, and of nobody else.
func TestPerUserLimit(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newLimited(t, open, 2, 0)
		var others []*session.Session
		for _, login := range []session.Login{
			{Provider: "default", Issuer: "https://op.example.com", Subject: "bob", Tokens: c.op.grant()},
			{Provider: "other", Issuer: "https://other.example.com", Subject: "alice", Tokens: c.op.grant()},
		} {
			s, err := c.managers[0].Create(t.Context(), login)
			must(t, err)
			others = append(others, s)
		}
		var sessions []*session.Session
		for i := range 4 {
			c.advance(time.Second)
			sessions = append(sessions, c.loginAt(i%2))
		}
		c.wantLive(sessions, 2, 3)
		c.wantLive(others, 0, 1)
		c.wantEvents("login", "login", "login", "login", "login", "login", "ended user_limit", "ended user_limit")

		must(t, c.managers[0].End(t.Context(), sessions[2], session.ReasonLogout)) // and makes room
		sessions = append(sessions, c.loginAt(0))
		c.wantLive(sessions, 3, 4)
	})
}

// TestPerUserLimitCountsTheLiving: a session that is idle for too long takes no place, even if no sweep has ended it.
func TestPerUserLimitCountsTheLiving(t *testing.T) {
	store := memstore.New()
	c := newLimited(t, func() session.Store { return store }, 2, 0)
	old := c.loginAt(0)
	c.advance(time.Minute)
	idle := c.loginAt(0)
	c.advance(20 * time.Minute)
	_, err := c.managers[0].Touch(t.Context(), old)
	must(t, err)
	c.advance(11 * time.Minute)
	young := c.loginAt(0)
	c.wantLive([]*session.Session{old, young}, 0, 1)
	_, err = c.managers[0].Open(t.Context(), idle.Ticket())
	wantError(t, err, session.ErrIdle)
}

// TestPerUserLimitWithSkewedClocks: the newest session is the one that began last, whatever the clocks say.
func TestPerUserLimitWithSkewedClocks(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newLimited(t, open, 1, 45*time.Second)
		var sessions []*session.Session
		for i := range 6 {
			sessions = append(sessions, c.loginAt(i/2%2))
			c.wantLive(sessions, i)
		}
	})
	// A clock that is wrong by more than that is not followed.
	store := memstore.New()
	c := newLimited(t, func() session.Store { return store }, 3, 2*time.Minute)
	c.loginAt(0)
	if s := c.loginAt(1); !s.CreatedAt.Before(time.Now().Add(-time.Minute)) {
		t.Errorf("created at %v", s.CreatedAt)
	}
	// It costs nobody the login just made.
	store = memstore.New()
	c = newLimited(t, func() session.Store { return store }, 1, 2*time.Minute)
	var sessions []*session.Session
	for i := range 6 {
		sessions = append(sessions, c.loginAt(i/2%2))
		c.wantLive(sessions, i)
	}
}

// TestPerUserLimitAtOnce: of logins at the same time on two replicas as many survive as may.
func TestPerUserLimitAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		for _, limit := range []int{1, 3} {
			c := newLimited(t, open, limit, 10*time.Millisecond)
			var work sync.WaitGroup
			var mu sync.Mutex
			var sessions []*session.Session
			for i := range 20 {
				work.Go(func() {
					s := c.loginAt(i % 2)
					mu.Lock()
					defer mu.Unlock()
					sessions = append(sessions, s)
				})
			}
			work.Wait()
			live := 0
			for _, s := range sessions {
				if _, err := c.managers[0].Open(t.Context(), s.Ticket()); err == nil {
					live++
					must(t, c.managers[0].EndByID(t.Context(), s.ID, session.ReasonLogout))
				}
			}
			if live != limit {
				t.Errorf("%d of 20 sessions are left, want %d", live, limit)
			}
		}
	})
}

// findingStore counts what counting costs, and fails when told to.
type findingStore struct {
	session.Store
	calls int
	fail  func(call int) bool
}

func (s *findingStore) Find(ctx context.Context, index session.Index) ([]session.ID, error) {
	s.calls++
	if s.fail != nil && s.fail(s.calls) || ctx.Err() != nil {
		return nil, errors.New("the network is down")
	}
	return s.Store.Find(ctx, index)
}

func TestNoLimitCostsNothing(t *testing.T) {
	store := &findingStore{Store: memstore.New()}
	c := newLimited(t, func() session.Store { return store }, 0, 0)
	c.wantLive([]*session.Session{c.loginAt(0), c.loginAt(1), c.loginAt(0)}, 0, 1, 2)
	if store.calls != 0 {
		t.Errorf("%d calls", store.calls)
	}
}

// TestPerUserLimitWhenTheStoreFails: before there is a session the login fails; afterwards it does not, and the next one
// makes up for it.
func TestPerUserLimitWhenTheStoreFails(t *testing.T) {
	store := &findingStore{Store: memstore.New()}
	c := newCluster(t, func() session.Store { return store }, 0)
	options := c.options()
	options.PerUserLimit = 1
	var log bytes.Buffer
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c.managers = []*session.Manager{session.NewManager(store, c.ring, options)}

	sessions := []*session.Session{c.loginAt(0)}
	store.fail = func(int) bool { return true }
	_, err := c.managers[0].Create(t.Context(), session.Login{Issuer: "https://op.example.com", Subject: "alice", Tokens: c.op.grant()})
	wantError(t, err, session.ErrStoreUnavailable)
	store.fail = func(call int) bool { return call == 5 }
	sessions = append(sessions, c.loginAt(0))
	c.wantLive(sessions, 0, 1)
	if !strings.Contains(log.String(), "the network is down") {
		t.Errorf("the log is %q", log.String())
	}
	sessions = append(sessions, c.loginAt(0))
	c.wantLive(sessions, 2)
	c.wantEvents("login", "login", "login", "ended user_limit", "ended user_limit")
}

// leavingStore is a browser that goes away as soon as its session is there.
type leavingStore struct {
	session.Store
	leave context.CancelFunc
}

func (s *leavingStore) Create(ctx context.Context, rec session.Record, terms session.Terms) error {
	defer s.leave()
	return s.Store.Create(ctx, rec, terms)
}

// TestPerUserLimitHoldsWithoutTheBrowser: nobody gets around the limit by closing the connection.
func TestPerUserLimitHoldsWithoutTheBrowser(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	store := &leavingStore{Store: &findingStore{Store: memstore.New()}, leave: func() {}}
	c := newLimited(t, func() session.Store { return store }, 1, 0)
	first := c.loginAt(0)
	store.leave = cancel
	_, err := c.managers[0].Create(ctx, session.Login{Issuer: "https://op.example.com", Subject: "alice", Tokens: c.op.grant()})
	must(t, err)
	c.wantLive([]*session.Session{first})
}
