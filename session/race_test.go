package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// stepStore has something happen once, before or after one of the calls of a replica. An error of it is then what the
// replica hears: of a call that was not made, or of one whose answer is lost.
type stepStore struct {
	session.Store

	mu   sync.Mutex
	left int // steps until then, two for each call
	do   func() error
}

func (s *stepStore) at(step int, do func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.do = step, do
}

func (s *stepStore) step() error {
	s.mu.Lock()
	s.left--
	now, do := s.left == 0, s.do
	s.mu.Unlock()
	if !now {
		return nil
	}
	return do()
}

func (s *stepStore) around(call func() error) error {
	if err := s.step(); err != nil {
		return err
	}
	err := call()
	return errors.Join(err, s.step())
}

func (s *stepStore) Create(ctx context.Context, rec session.Record, terms session.Terms) error {
	return s.around(func() error { return s.Store.Create(ctx, rec, terms) })
}

func (s *stepStore) Load(ctx context.Context, id session.ID) (rec session.Record, seen time.Time, err error) {
	err = s.around(func() error {
		rec, seen, err = s.Store.Load(ctx, id)
		return err
	})
	return rec, seen, err
}

func (s *stepStore) LoadAll(ctx context.Context, ids []session.ID) (found []session.Found, err error) {
	err = s.around(func() error {
		found, err = s.Store.LoadAll(ctx, ids)
		return err
	})
	return found, err
}

func (s *stepStore) Update(ctx context.Context, rec session.Record) error {
	return s.around(func() error { return s.Store.Update(ctx, rec) })
}

func (s *stepStore) Delete(ctx context.Context, id session.ID, reason session.Reason) (rec session.Record, err error) {
	err = s.around(func() error {
		rec, err = s.Store.Delete(ctx, id, reason)
		return err
	})
	return rec, err
}

func (s *stepStore) Acquire(ctx context.Context, id session.ID, owner string, ttl time.Duration) (hold session.Hold, err error) {
	err = s.around(func() error {
		hold, err = s.Store.Acquire(ctx, id, owner, ttl)
		return err
	})
	return hold, err
}

func (s *stepStore) Release(ctx context.Context, id session.ID, owner string, pause time.Duration) error {
	return s.around(func() error { return s.Store.Release(ctx, id, owner, pause) })
}

func (s *stepStore) Scan(ctx context.Context, index session.Index, cursor string, limit int) (ids []session.ID, next string, err error) {
	err = s.around(func() error {
		ids, next, err = s.Store.Scan(ctx, index, cursor, limit)
		return err
	})
	return ids, next, err
}

func (s *stepStore) Bury(ctx context.Context, index session.Index, at time.Time, keep time.Duration) error {
	return s.around(func() error { return s.Store.Bury(ctx, index, at, keep) })
}

func (s *stepStore) Buried(ctx context.Context, indexes ...session.Index) (at []time.Time, err error) {
	err = s.around(func() error {
		at, err = s.Store.Buried(ctx, indexes...)
		return err
	})
	return at, err
}

// The actors of a race, each at a replica of its own.
const (
	login = iota
	logout
	refresh
)

// race is a user whose session is being refreshed, who logs in elsewhere in the same session at the OP, and who signs out
// there.
type race struct {
	c        *cluster
	logout   session.Logout
	existing *session.Session
	created  *session.Session
}

func newRace(c *cluster, issuer string, by session.Logout) *race {
	by.Issuer, by.IssuedAt = issuer, c.now().Truncate(time.Second)
	r := &race{c: c, logout: by}
	tokens := c.op.grant()
	tokens.ExpiresAt = c.now().Add(-time.Second) // a refresh is due, and has to be waited for
	var err error
	r.existing, err = c.managers[login].Create(c.t.Context(), session.Login{
		Provider: "default", Issuer: issuer, Subject: "alice", SID: "sid", Tokens: tokens,
	})
	must(c.t, err)
	for _, m := range c.managers { // now they have it in memory
		_, err := m.Open(c.t.Context(), r.existing.Ticket())
		must(c.t, err)
	}
	return r
}

// act is one actor from beginning to end.
func (r *race) act(actor int) {
	t, m := r.c.t, r.c.managers[actor]
	switch actor {
	case login:
		s, err := r.c.enter(login, r.logout.Issuer, "alice", "sid", r.logout.IssuedAt)
		if err != nil && !errors.Is(err, session.ErrLoggedOut) {
			t.Errorf("login: %v", err)
		}
		r.created = s
	case logout:
		if _, err := m.EndMatching(context.Background(), r.logout, session.ReasonBackchannel); err != nil {
			t.Errorf("logout: %v", err)
		}
	case refresh:
		var fresh string
		r.c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			fresh = got.Tokens.Refresh.Reveal()
			return got, nil
		}
		s, err := m.Open(context.Background(), r.existing.Ticket())
		if err == nil {
			_, err = m.Fresh(context.Background(), s)
		}
		if err == nil {
			return
		}
		wantEnded(t, "refresh", err)
		if fresh != "" { // nobody shall use what came too late
			eventually(t, func() bool { return slices.Contains(r.c.op.revocations(), fresh) })
		}
	}
}

func wantEnded(t *testing.T, who string, err error) {
	t.Helper()
	if !errors.Is(err, session.ErrEnded) {
		t.Errorf("%s: %v, want ErrEnded", who, err)
	}
}

// wantOver checks that nothing of the user is left on any replica.
func (r *race) wantOver(name string) {
	t := r.c.t
	t.Helper()
	for i, m := range r.c.managers {
		if left, err := m.OfUser(t.Context(), r.logout.Issuer, "alice"); err != nil || len(left) > 0 {
			t.Errorf("%s: replica %d finds %d sessions, %v", name, i, len(left), err)
		}
		for _, s := range []*session.Session{r.existing, r.created} {
			if s == nil {
				continue
			}
			eventually(t, func() bool { // what is in memory goes soon after
				_, err := m.Open(t.Context(), s.Ticket())
				return errors.Is(err, session.ErrEnded)
			})
		}
	}
}

// TestRaces is BCL-25, BCL-28 and RFR-24: a login, a logout token and a refresh, of which one is stopped before and after
// each of its calls of the store while another runs, which is stopped at each of its own while the third runs. In all
// orders no session lives on.
func TestRaces(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 0)
		var stores []*stepStore
		for i := range 3 {
			stores = append(stores, &stepStore{Store: open()})
			options := c.options()
			options.CacheSize = 1000
			c.managers = append(c.managers, session.NewManager(stores[i], c.ring, options))
		}
		defer c.close()
		bystander := c.mustEnter(login, "bystander", "alice", "sid")
		races := 0
		kinds := []session.Logout{{SID: "sid"}, {Subject: "alice"}, {Subject: "alice", SID: "sid"}}
		for i, order := range [][]int{
			{login, logout, refresh},
			{login, refresh, logout},
			{logout, login, refresh},
			{logout, refresh, login},
			{refresh, login, logout},
			{refresh, logout, login},
		} {
			here := kinds
			if _, memory := stores[0].Store.(*memstore.Store); !memory { // ten times as slow, and the calls are the same
				here = kinds[i%len(kinds):][:1]
			}
			for _, by := range here {
				for first, more := 1, true; more; first++ {
					for second, all := 1, true; all; second++ {
						races++
						for _, store := range stores {
							store.at(0, nil) // no more
						}
						r := newRace(c, fmt.Sprintf("https://op%d.example.com", races), by)
						more, all = false, false
						stores[order[0]].at(first, func() error {
							more = true
							r.act(order[1])
							return nil
						})
						stores[order[1]].at(second, func() error {
							all = true
							r.act(order[2])
							return nil
						})
						r.act(order[0])
						if all {
							r.wantOver(fmt.Sprintf("by %q and %q, order %v, at %d and %d", by.SID, by.Subject, order, first, second))
						}
						if t.Failed() {
							return
						}
					}
				}
			}
		}
		t.Logf("%d races", races)
		for _, m := range c.managers {
			_, err := m.Open(t.Context(), bystander.Ticket())
			must(t, err)
		}
		if _, reused := c.op.count(); reused > 0 {
			t.Errorf("%d refresh tokens were used twice", reused)
		}
	})
}
