package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

func isUnavailable(err error) bool { return errors.Is(err, session.ErrStoreUnavailable) }

func TestCreateAndOpen(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		made := c.login()
		got, err := c.managers[1].Open(t.Context(), made.Ticket())
		must(t, err)
		sameSecret := cmp.Comparer(func(a, b secret.String) bool { return a.Equal(b) })
		diff := cmp.Diff(made, got, sameSecret, cmp.FilterPath(func(p cmp.Path) bool {
			return strings.HasPrefix(p.Last().String(), ".ticket") || strings.HasPrefix(p.Last().String(), ".doubt")
		}, cmp.Ignore()), cmp.AllowUnexported(session.Session{}))
		if diff != "" {
			t.Errorf("session (-made +opened):\n%s", diff)
		}
		if got.Ticket() != made.Ticket() && got.Ticket().Reveal() != made.Ticket().Reveal() {
			t.Error("another ticket")
		}
		_, err = c.managers[0].Open(t.Context(), session.NewTicket())
		wantError(t, err, session.ErrNone)
		_, err = c.managers[0].Open(t.Context(), session.Ticket{})
		wantError(t, err, session.ErrNone)
	})
}

// TestLoginReplaces is FLOW-34, SES-05 and SES-11: a new ticket at each login, and the old session is over.
func TestLoginReplaces(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 1)
		m := c.managers[0]
		old := c.login()
		next, err := m.Create(t.Context(), session.Login{
			Provider: "default", Issuer: "i", Subject: "s", Tokens: c.op.grant(), Previous: old.ID,
		})
		must(t, err)
		if next.ID == old.ID || next.Ticket().Reveal() == old.Ticket().Reveal() {
			t.Error("the ticket is used again")
		}
		_, err = m.Open(t.Context(), old.Ticket())
		wantError(t, err, session.ErrEnded)
		_, err = m.Open(t.Context(), next.Ticket())
		must(t, err)
		c.wantEvents("login", "ended replaced", "login")
	})
}

// TestEnd is SES-06: over at once on every replica; the tokens that are revoked are the newest.
func TestEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		old := c.login()
		c.advance(tokenLife)
		_, err := c.managers[0].Fresh(t.Context(), old)
		must(t, err)
		gone, cancel := context.WithCancel(t.Context())
		cancel() // a client that leaves does not stop its logout
		must(t, c.managers[1].End(gone, old, session.ReasonLogout))
		must(t, c.managers[0].End(t.Context(), old, session.ReasonLogout))
		_, err = c.managers[0].Open(t.Context(), old.Ticket())
		wantError(t, err, session.ErrEnded)
		c.close()
		if got := c.op.revocations(); len(got) != 1 || got[0] != "marker-refresh-2" {
			t.Errorf("revoked %v, want the newest refresh token once", got)
		}
		c.wantEvents("login", "refreshed", "ended logout", "revoked")
	})
}

// TestDeadlines is SES-01, SES-02, RFR-33 and RFR-35 on the clock, with the sweep running: refreshes do not put off the next
// login at the OP.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := newCluster(t, func() session.Store { return store }, 2)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for _, m := range c.managers {
			go func() { _ = m.Run(ctx) }()
		}
		m := c.managers[0]

		idle, busy, polled := c.login(), c.login(), c.login()
		loginAt := time.Now()
		for time.Since(loginAt) < 29*time.Minute {
			time.Sleep(time.Minute)
			s, err := m.Open(ctx, polled.Ticket())
			must(t, err)
			_, err = m.Fresh(ctx, s) // neither reading nor refreshing is activity
			must(t, err)
			s, err = m.Open(ctx, busy.Ticket())
			must(t, err)
			s, err = m.Touch(ctx, s)
			must(t, err)
			if !s.IdleAt.Equal(time.Now().Add(30 * time.Minute)) {
				t.Fatalf("idle at %v after activity at %v", s.IdleAt, time.Now())
			}
		}
		time.Sleep(time.Minute)
		_, err := m.Open(ctx, idle.Ticket())
		wantError(t, err, session.ErrIdle)
		_, err = m.Open(ctx, polled.Ticket())
		wantError(t, err, session.ErrIdle)

		for time.Since(loginAt) < 2*time.Hour-time.Minute {
			time.Sleep(time.Minute)
			s, err := c.managers[1].Open(ctx, busy.Ticket())
			must(t, err)
			s, err = c.managers[1].Fresh(ctx, s)
			must(t, err)
			_, err = c.managers[1].Touch(ctx, s)
			must(t, err)
		}
		time.Sleep(time.Minute)
		_, err = m.Open(ctx, busy.Ticket())
		wantError(t, err, session.ErrExpired)
		time.Sleep(30 * time.Minute) // tombstones outlive what the store forgets
		_, err = m.Open(ctx, busy.Ticket())
		wantError(t, err, session.ErrExpired)
		_, err = m.Open(ctx, idle.Ticket())
		wantError(t, err, session.ErrNone) // an hour has passed
		c.close()
	})
}

// TestSweep: sessions end on time when nobody asks for them, once on all replicas, and active ones do not.
func TestSweep(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		idle, busy := c.login(), c.login()
		c.advance(20 * time.Minute)
		_, err := c.managers[0].Touch(t.Context(), busy)
		must(t, err)
		c.advance(10*time.Minute + time.Second)
		sweep := func() {
			t.Helper()
			for _, m := range c.managers {
				must(t, m.Sweep(t.Context()))
			}
		}
		sweep()
		c.wantEvents("login", "login", "ended idle")
		_, err = c.managers[0].Open(t.Context(), idle.Ticket())
		wantError(t, err, session.ErrIdle)
		_, err = c.managers[0].Open(t.Context(), busy.Ticket())
		must(t, err)
		due, err := c.store.Due(t.Context(), c.now(), 10)
		must(t, err)
		if len(due) > 0 {
			t.Errorf("due after a sweep: %v", due)
		}
		c.advance(20 * time.Minute)
		sweep()
		c.wantEvents("login", "login", "ended idle", "ended idle")
		due, err = c.store.Due(t.Context(), c.now().Add(24*time.Hour), 10)
		must(t, err)
		if len(due) > 0 {
			t.Errorf("still due: %v", due)
		}
	})
}

// countingStore counts the writes of activity.
type countingStore struct {
	session.Store
	touches int
}

func (s *countingStore) Touch(ctx context.Context, id session.ID, at time.Time, keep time.Duration) error {
	s.touches++
	return s.Store.Touch(ctx, id, at, keep)
}

// TestTouchIsThrottled: one write in five seconds, however many requests.
func TestTouchIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countingStore{Store: memstore.New()}
		c := newCluster(t, func() session.Store { return store }, 1)
		s := c.login()
		for range 100 { // ten seconds
			time.Sleep(100 * time.Millisecond)
			got, err := c.managers[0].Touch(t.Context(), s) // the session as it was read long ago
			must(t, err)
			if ago := time.Since(got.LastSeenAt); ago >= 5*time.Second {
				t.Errorf("last seen %v ago", ago)
			}
		}
		if store.touches != 2 {
			t.Errorf("%d writes in ten seconds, want 2", store.touches)
		}
	})
}

// TestConsume is FLOW-06.
func TestConsume(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		must(t, c.managers[0].Consume(t.Context(), "state", time.Minute))
		wantError(t, c.managers[1].Consume(t.Context(), "state", time.Minute), session.ErrSpent)
		must(t, c.managers[1].Consume(t.Context(), "another state", time.Minute))
	})
}

// TestMovedRecords is SES-10: a record does not open in another session's place, nor in another version's.
func TestMovedRecords(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 1)
		m := c.managers[0]
		load := func(s *session.Session) session.Record {
			rec, _, err := c.store.Load(t.Context(), s.ID)
			must(t, err)
			return rec
		}
		put := func(s *session.Session, sealed []byte) {
			rec := load(s)
			rec.Version++
			rec.Sealed = sealed
			must(t, c.store.Update(t.Context(), rec))
		}
		for name, tamper := range map[string]func(s *session.Session){
			"another session's": func(s *session.Session) { put(s, load(c.login()).Sealed) },
			"an older version":  func(s *session.Session) { put(s, load(s).Sealed) },
			"a flipped bit": func(s *session.Session) {
				sealed := append([]byte(nil), load(s).Sealed...)
				sealed[len(sealed)-1] ^= 1
				put(s, sealed)
			},
			"nothing":   func(s *session.Session) { put(s, nil) },
			"too short": func(s *session.Session) { put(s, []byte{1, 200, 3}) },
		} {
			s := c.login()
			tamper(s)
			if _, err := m.Open(t.Context(), s.Ticket()); !errors.Is(err, session.ErrEnded) {
				t.Errorf("%s: error %v, want ErrEnded", name, err)
			}
		}
	})
}

// TestKeyRotation: no session is lost while every replica has every key in use; a key that has not arrived yet is not
// the end of a session, one that is retired is.
func TestKeyRotation(t *testing.T) {
	parse := func(lines ...string) *session.KeyRing {
		ring, err := session.ParseKeyRing([]byte(strings.Join(lines, "\n")))
		must(t, err)
		return ring
	}
	year := func(y int) string { return session.GenerateKey(time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)) }
	first, second, third := year(2024), year(2025), year(2026)
	store := memstore.New()
	c := newCluster(t, func() session.Store { return store }, 0)
	with := func(ring *session.KeyRing) *session.Manager { return session.NewManager(store, ring, c.options()) }
	opened := func(by *session.Manager, s *session.Session) error {
		_, err := by.Open(t.Context(), s.Ticket())
		return err
	}

	before := with(parse(first))
	appended := with(parse(first, second))
	moved := with(parse(second, first))
	c.managers = []*session.Manager{before}
	old := c.login()
	must(t, opened(appended, old))
	must(t, opened(moved, old))
	c.managers = []*session.Manager{moved}
	young := c.login()
	must(t, opened(appended, young))
	if err := opened(before, young); !isUnavailable(err) || errors.Is(err, session.ErrEnded) {
		t.Errorf("a newer key: %v, want ErrStoreUnavailable", err)
	}
	retired := with(parse(third, second))
	must(t, opened(retired, young))
	if err := opened(retired, old); !errors.Is(err, session.ErrEnded) || isUnavailable(err) {
		t.Errorf("a retired key: %v, want ErrEnded", err)
	}
}
