package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

var errDown = errors.New("the network is down")

// TestLogoutWhenTheStoreFails is BCL-22 as far as it is here: whichever call fails, asked or unasked, the logout is not
// said to have happened, and the same logout ends everything once the store is back.
func TestLogoutWhenTheStoreFails(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		store := &stepStore{Store: open()}
		c := newCluster(t, func() session.Store { return store }, 1)
		m := c.managers[0]
		failed := true
		for step := 1; failed; step++ {
			logout := session.Logout{Issuer: fmt.Sprintf("https://op%d.example.com", step), SID: "s", IssuedAt: c.now()}
			sessions := []*session.Session{
				c.mustEnter(0, logout.Issuer, "alice", "s"), c.mustEnter(0, logout.Issuer, "bob", "s"),
			}
			failed = false
			store.at(step, func() error {
				failed = true
				return errDown
			})
			_, err := m.EndMatching(t.Context(), logout, session.ReasonBackchannel)
			store.at(0, nil)
			if isUnavailable(err) != failed || failed && !errors.Is(err, errDown) {
				t.Errorf("step %d: failed %v, error %v", step, failed, err)
			}
			if step == 1 { // the tombstone, which a full store does not take
				for _, s := range sessions {
					_, err := m.Open(t.Context(), s.Ticket())
					wantError(t, err, session.ErrEnded)
				}
			}
			_, err = m.EndMatching(t.Context(), logout, session.ReasonBackchannel)
			must(t, err)
			for _, s := range sessions {
				_, err := m.Open(t.Context(), s.Ticket())
				wantError(t, err, session.ErrEnded)
			}
			_, err = c.enter(0, logout.Issuer, "alice", "s", c.now())
			wantError(t, err, session.ErrLoggedOut)
			if step > 100 {
				t.Fatal("it does not end")
			}
		}
	})
}

// TestLogoutGoesOnWithoutTheOP: a connection that the OP closes does not leave half of the sessions.
func TestLogoutGoesOnWithoutTheOP(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 1)
		s := c.mustEnter(0, "i", "alice", "")
		other := c.mustEnter(0, "i", "bob", "")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.managers[0].EndMatching(gone, session.Logout{Issuer: "i", Subject: "alice"}, session.ReasonBackchannel)
		must(t, err)
		_, err = c.managers[0].EndSelected(gone, session.Filter{Issuers: []string{"i"}, Subject: "bob"}, "", session.ReasonUser)
		must(t, err)
		for _, s := range []*session.Session{s, other} {
			_, err = c.managers[0].Open(t.Context(), s.Ticket())
			wantError(t, err, session.ErrEnded)
		}
	})
}

// TestLoginWhenTheStoreFails: a login that could not ask whether it was logged out is none.
func TestLoginWhenTheStoreFails(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		store := &stepStore{Store: open()}
		c := newCluster(t, func() session.Store { return store }, 1)
		failed := true
		for step := 1; failed; step++ {
			failed = false
			store.at(step, func() error {
				failed = true
				return errDown
			})
			s, err := c.enter(0, "i", "alice", "s", c.now())
			if isUnavailable(err) != failed || failed && s != nil {
				t.Errorf("step %d: failed %v, error %v", step, failed, err)
			}
			if !failed && step != 5 {
				t.Errorf("a login takes %d steps, want 4: the record, and the tombstones", step-1)
			}
		}
	})
}

// TestLogoutDuringRefreshes is BCL-18 and RFR-24 at once: none of a hundred sessions that are being refreshed on two
// replicas survives, whether the OP has answered or not.
func TestLogoutDuringRefreshes(t *testing.T) {
	const many = 100
	everywhere(t, func(t *testing.T, open func() session.Store) {
		for _, waiting := range []bool{true, false} {
			c := newCluster(t, open, 3)
			issuer := fmt.Sprintf("https://op-%v.example.com", waiting)
			var sessions []*session.Session
			for i := range many {
				sessions = append(sessions, c.mustEnter(i%2, issuer, "alice", ""))
			}
			c.advance(tokenLife)
			asked, ended := make(chan struct{}, many), make(chan struct{})
			c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
				asked <- struct{}{}
				if waiting {
					<-ended
				}
				return got, nil
			}
			var refreshes sync.WaitGroup
			var mu sync.Mutex
			refused := 0
			for i, s := range sessions {
				refreshes.Go(func() {
					_, err := c.managers[i%2].Fresh(context.Background(), s)
					if err != nil && !errors.Is(err, session.ErrEnded) {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						refused++
					}
				})
			}
			before := many // how many are at the OP when the logout comes
			if !waiting {
				before = many / 4
			}
			for range before {
				receive(t, asked)
			}
			n, err := c.managers[2].EndMatching(t.Context(), session.Logout{Issuer: issuer, Subject: "alice"}, session.ReasonBackchannel)
			if err != nil || n != many {
				t.Errorf("ended %d, %v", n, err)
			}
			close(ended)
			refreshes.Wait()
			for _, s := range sessions {
				for _, m := range c.managers {
					_, err := m.Open(t.Context(), s.Ticket())
					wantError(t, err, session.ErrEnded)
				}
			}
			c.close()
			if waiting && (refused != many || len(c.op.revocations()) != many) {
				t.Errorf("%d refreshes failed and %d fresh tokens were revoked, want %d", refused, len(c.op.revocations()), many)
			}
			if left, err := c.managers[2].OfUser(t.Context(), issuer, "alice"); err != nil || len(left) > 0 {
				t.Errorf("left %d, %v", len(left), err)
			}
		}
	})
}

// TestIndexesOutliveNothing is BCL-19: however a session ends, no index names it afterwards; and a login that replaces a
// session is found in its place.
func TestIndexesOutliveNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newLimited(t, open, 3, 0)
		m := c.managers[0]
		enter := func(issuer string, previous session.ID) *session.Session {
			t.Helper()
			s, err := m.Create(t.Context(), session.Login{
				Provider: "default", Issuer: issuer, Subject: "alice", SID: "s", Tokens: c.op.grant(), Previous: previous,
			})
			must(t, err)
			return s
		}
		found := func(issuer string) (ids []session.ID) {
			t.Helper()
			for _, index := range []session.Index{
				session.SubjectIndex(issuer, "alice"), session.SIDIndex(issuer, "s"), session.AllSessions,
			} {
				some, _, err := c.store.Scan(t.Context(), index, "", 100)
				must(t, err)
				ids = append(ids, some...)
			}
			return ids
		}
		for name, end := range map[string]func(issuer string, s *session.Session) error{
			"signed out": func(_ string, s *session.Session) error { return m.End(t.Context(), s, session.ReasonLogout) },
			"by id":      func(_ string, s *session.Session) error { return m.EndByID(t.Context(), s.ID, session.ReasonAdmin) },
			"everywhere": func(i string, _ *session.Session) error {
				_, err := m.EndSelected(t.Context(), session.Filter{Issuers: []string{i}, Subject: "alice"}, "", session.ReasonUser)
				return err
			},
			"by the OP": func(i string, _ *session.Session) error {
				_, err := m.EndMatching(t.Context(), session.Logout{Issuer: i, SID: "s"}, session.ReasonBackchannel)
				return err
			},
			"rewritten": func(_ string, s *session.Session) error {
				return errors.Join(m.Rewrite(t.Context(), s.Ticket(), nil), m.End(t.Context(), s, session.ReasonLogout))
			},
			"idle, found": func(_ string, s *session.Session) error {
				c.advance(31 * time.Minute)
				_, err := m.Open(t.Context(), s.Ticket())
				return expect(err, session.ErrIdle)
			},
			"idle, swept": func(string, *session.Session) error { c.advance(31 * time.Minute); return m.Sweep(t.Context()) },
		} {
			issuer := name
			s := enter(issuer, "")
			if got := found(issuer); len(got) != 3 || got[0] != s.ID || got[1] != s.ID || got[2] != s.ID {
				t.Fatalf("%s: found %v, want %s three times", name, got, s.ID)
			}
			must(t, end(issuer, s))
			if got := found(issuer); len(got) > 0 {
				t.Errorf("%s: found %v", name, got)
			}
		}
		first := enter("replaced", "")
		second := enter("replaced", first.ID)
		if got := found("replaced"); len(got) != 3 || got[0] != second.ID || got[1] != second.ID {
			t.Errorf("replaced: found %v, want %s", got, second.ID)
		}
		if n, err := m.EndMatching(t.Context(), session.Logout{Issuer: "replaced", SID: "s"}, session.ReasonBackchannel); err != nil || n != 1 {
			t.Errorf("replaced: ended %d, %v", n, err)
		}
		for range 6 {
			c.advance(time.Second)
			enter("too many", "")
		}
		if got := found("too many"); len(got) != 9 {
			t.Errorf("too many: found %v, want three sessions three times", got)
		}
	})
}

func expect(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("error %w, want %w", err, want)
}
