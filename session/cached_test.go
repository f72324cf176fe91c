package session_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

// askedStore counts what it is asked, and can be slow, deaf and hard of hearing.
type askedStore struct {
	session.Store
	asked   atomic.Int64              // Load and Touch
	loaded  func()                    // called when a record has been read and is not returned yet
	heardAt atomic.Pointer[time.Time] // if set, instead of the store's
	deaf    bool                      // nobody is told of anything
	follow  func(session.Follower)    // is told who follows
}

func (s *askedStore) Load(ctx context.Context, id session.ID) (session.Record, time.Time, error) {
	s.asked.Add(1)
	rec, seen, err := s.Store.Load(ctx, id)
	if s.loaded != nil {
		s.loaded()
	}
	return rec, seen, err
}

func (s *askedStore) Touch(ctx context.Context, id session.ID, at time.Time, keep time.Duration) error {
	s.asked.Add(1)
	return s.Store.Touch(ctx, id, at, keep)
}

func (s *askedStore) HeardAt() time.Time {
	if at := s.heardAt.Load(); at != nil {
		return *at
	}
	return s.Store.HeardAt()
}

func (s *askedStore) Follow(f session.Follower) (stop func()) {
	if s.follow != nil {
		s.follow(f)
	}
	if s.deaf {
		return func() {}
	}
	return s.Store.Follow(f)
}

// wantAsked runs what shall ask the store so many times.
func (s *askedStore) wantAsked(t *testing.T, want int64, what string, do func()) {
	t.Helper()
	before := s.asked.Load()
	do()
	if got := s.asked.Load() - before; got != want {
		t.Errorf("%s: the store was asked %d times, want %d", what, got, want)
	}
}

// addCached adds a replica that has a cache.
func (c *cluster) addCached(store session.Store) *session.Manager {
	opts := c.options()
	opts.CacheSize = 1000
	m := session.NewManager(store, c.ring, opts)
	c.managers = append(c.managers, m)
	return m
}

func open(t testing.TB, m *session.Manager, s *session.Session) *session.Session {
	t.Helper()
	opened, err := m.Open(context.Background(), s.Ticket())
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// TestCachedLoad: an ordinary API call opens its session without a round trip, without decryption and with at most two
// allocations; that it was active a moment ago costs nothing either.
func TestCachedLoad(t *testing.T) {
	store := &askedStore{Store: memstore.New()}
	c := newCluster(t, func() session.Store { return store }, 0)
	m := c.addCached(store)
	s := c.login()
	open(t, m, s)
	store.wantAsked(t, 0, "a call", func() {
		got := open(t, m, s)
		got, err := m.Fresh(t.Context(), got)
		must(t, err)
		got, err = m.Touch(t.Context(), got)
		must(t, err)
		if got != open(t, m, s) {
			t.Error("it is not the session of the cache: it was opened again")
		}
	})
	allocations := testing.AllocsPerRun(1000, func() {
		got, _ := m.Open(t.Context(), s.Ticket())
		got, _ = m.Fresh(t.Context(), got)
		_, _ = m.Touch(t.Context(), got)
	})
	t.Logf("%v allocations", allocations)
	if allocations > 2 {
		t.Errorf("%v allocations, want 2 at most", allocations)
	}
	_, err := m.Open(t.Context(), session.NewTicket())
	wantError(t, err, session.ErrNone)
	_, err = m.Open(t.Context(), session.Ticket{})
	wantError(t, err, session.ErrNone)
}

// TestCacheBounds: two seconds after the beginning of its load a session is read again, and also when it is not known
// for two seconds whether anything has happened to it.
func TestCacheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &askedStore{Store: memstore.New()}
		c := newCluster(t, func() session.Store { return store }, 0)
		m := c.addCached(store)
		s := c.login()
		again := func() { open(t, m, s) }

		store.loaded = func() { time.Sleep(time.Second) } // a slow answer is old when it comes
		store.wantAsked(t, 1, "the first time", again)
		store.loaded = nil
		time.Sleep(999 * time.Millisecond)
		store.wantAsked(t, 0, "before two seconds", again)
		time.Sleep(time.Millisecond)
		store.wantAsked(t, 1, "after two seconds", again)

		silent := time.Now()
		store.heardAt.Store(&silent)
		store.wantAsked(t, 0, "hearing", again)
		time.Sleep(1999 * time.Millisecond)
		store.wantAsked(t, 0, "silence for less than two seconds", again)
		time.Sleep(time.Millisecond)
		store.wantAsked(t, 2, "silence for two seconds", func() { again(); again() })
		store.heardAt.Store(&time.Time{})
		store.wantAsked(t, 2, "no connection", func() { again(); again() })
	})
}

// TestCacheClock: what counts as stale does not depend on the clock that sessions go by.
func TestCacheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &askedStore{Store: memstore.New()}
		c := newCluster(t, func() session.Store { return store }, 0)
		m := c.addCached(store)
		s := c.login()
		open(t, m, s)
		c.advance(-time.Hour)
		time.Sleep(2 * time.Second)
		store.wantAsked(t, 1, "a clock that was put back", func() { open(t, m, s) })
	})
}

// TestLateFill is SES-06 and BCL-28 with a barrier: what was read before the session changed is not served after it.
func TestLateFill(t *testing.T) {
	for name, change := range map[string]func(c *cluster, f session.Follower, s *session.Session) error{
		"ended elsewhere": func(c *cluster, _ session.Follower, s *session.Session) error {
			return c.managers[1].End(c.t.Context(), s, session.ReasonLogout)
		},
		"refreshed elsewhere": func(c *cluster, _ session.Follower, s *session.Session) error {
			return c.managers[1].Rewrite(c.t.Context(), s.Ticket(), &session.Refreshed{Tokens: c.op.grant()})
		},
		"changed while nobody listened": func(c *cluster, f session.Follower, s *session.Session) error {
			f.Missed()
			return nil
		},
		"ended here": func(c *cluster, _ session.Follower, s *session.Session) error {
			return c.managers[0].End(c.t.Context(), s, session.ReasonLogout)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var follower session.Follower
			read, goOn := make(chan struct{}), make(chan struct{})
			mem := memstore.New()
			store := &askedStore{Store: mem, follow: func(f session.Follower) { follower = f }}
			c := newCluster(t, func() session.Store { return store }, 0)
			m := c.addCached(store)
			c.addCached(mem)
			s := c.login()
			store.loaded = func() { close(read); <-goOn }
			opened := make(chan error)
			go func() {
				_, err := m.Open(t.Context(), s.Ticket())
				opened <- err
			}()
			receive(t, read)
			store.loaded = nil
			must(t, change(c, follower, s))
			close(goOn)
			must(t, receive(t, opened)) // as it was when it was asked for
			store.wantAsked(t, 1, "afterwards", func() { _, _ = m.Open(t.Context(), s.Ticket()) })
		})
	}
}

// TestLocalChanges: what this replica does to a session it sees at once, whether the store tells it or not.
func TestLocalChanges(t *testing.T) {
	store := &askedStore{Store: memstore.New(), deaf: true}
	c := newCluster(t, func() session.Store { return store }, 0)
	m := c.addCached(store)

	s := open(t, m, c.login())
	must(t, m.Rewrite(t.Context(), s.Ticket(), &session.Refreshed{Tokens: session.Tokens{
		Access: secret.New("marker-new"), ExpiresAt: c.now().Add(time.Hour),
	}}))
	if got := open(t, m, s); got.Tokens.Access.Reveal() != "marker-new" {
		t.Error("the tokens are those from before the refresh")
	}

	s = open(t, m, c.login())
	c.advance(time.Minute)
	extended, err := m.Extend(t.Context(), s)
	must(t, err)
	if got := open(t, m, s); !got.IdleAt.Equal(extended.IdleAt) {
		t.Errorf("idle at %v, want %v as extended", got.IdleAt, extended.IdleAt)
	}

	for name, end := range map[string]func(*session.Session) error{
		"End":     func(s *session.Session) error { return m.End(t.Context(), s, session.ReasonLogout) },
		"EndByID": func(s *session.Session) error { return m.EndByID(t.Context(), s.ID, session.ReasonAdmin) },
	} {
		s = open(t, m, c.login())
		must(t, end(s))
		if _, err := m.Open(t.Context(), s.Ticket()); err == nil {
			t.Errorf("open after %s", name)
		}
	}

	s = open(t, m, c.login())
	must(t, m.Close(t.Context()))
	store.wantAsked(t, 2, "after Close", func() { open(t, m, s); open(t, m, s) })
}

// TestCachedActivity: activity is written every five seconds, and in between nobody writes, and nobody reads.
func TestCachedActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &askedStore{Store: memstore.New()}
		c := newCluster(t, func() session.Store { return store }, 0)
		m := c.addCached(store)
		s := c.login()
		time.Sleep(5 * time.Second)
		open(t, m, s)
		var touched *session.Session
		call := func() {
			got, err := m.Touch(t.Context(), open(t, m, s))
			must(t, err)
			if touched = got; !got.LastSeenAt.Equal(time.Now()) {
				t.Errorf("last seen at %v", got.LastSeenAt)
			}
		}
		store.wantAsked(t, 1, "the first call", call)
		store.wantAsked(t, 0, "the next", call)
		if open(t, m, s) != touched {
			t.Error("the activity is not in the cache")
		}
	})
}

// TestCachedIdle: activity is read before a cached session is called idle; it may have been on another replica.
func TestCachedIdle(t *testing.T) {
	store := &askedStore{Store: memstore.New()}
	c := newCluster(t, func() session.Store { return store }, 0)
	here, there := c.addCached(store), c.addCached(store)
	busy, idle := c.login(), c.login()
	open(t, here, busy)
	open(t, here, idle)
	c.advance(20 * time.Minute)
	_, err := there.Touch(t.Context(), busy)
	must(t, err)
	store.wantAsked(t, 0, "before the deadline", func() { open(t, here, busy) })
	c.advance(10 * time.Minute)
	store.wantAsked(t, 1, "at the deadline", func() { open(t, here, busy) })
	_, err = here.Open(t.Context(), idle.Ticket())
	wantError(t, err, session.ErrIdle)
}

// TestCachedDoubt: no session ends for its tokens, either, before a look into the store.
func TestCachedDoubt(t *testing.T) {
	store := &askedStore{Store: memstore.New(), deaf: true}
	c := newCluster(t, func() session.Store { return store }, 0)
	here, there, doubter := c.addCached(store), c.addCached(store), c.addCached(store)
	s := c.login()
	c.op.answer = func(context.Context, *session.Session, *session.Refreshed) (*session.Refreshed, error) {
		return nil, session.ErrUncertain
	}
	c.advance(tokenLife - 30*time.Second)
	_, err := doubter.Fresh(t.Context(), s)
	must(t, err)
	must(t, doubter.Close(t.Context()))

	s = open(t, here, s)
	must(t, there.Rewrite(t.Context(), s.Ticket(), &session.Refreshed{Tokens: c.op.grant()}))
	c.advance(time.Minute)
	if open(t, here, s) != s {
		t.Fatal("the session is not in the cache")
	}
	newest, err := here.Fresh(t.Context(), s)
	must(t, err)
	if !c.now().Before(newest.Tokens.ExpiresAt) {
		t.Error("the token has expired")
	}
	c.wantEvents("login", "refresh_failed")
}

// TestCachedKeyRing: when the keys change, sessions are opened again, with those that there are now.
func TestCachedKeyRing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	old := session.GenerateKey(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	young := session.GenerateKey(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
	write := func(lines string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte(lines), 0o600))
	}
	store := &askedStore{Store: memstore.New()}
	c := newCluster(t, func() session.Store { return store }, 0)
	write(old)
	ring, err := session.OpenKeyRing(file, slog.New(slog.DiscardHandler))
	must(t, err)
	c.ring = ring
	m := c.addCached(store)
	s := c.login()
	open(t, m, s)
	store.wantAsked(t, 0, "the keys are as they were", func() { open(t, m, s) })
	write(young + "\n" + old)
	store.wantAsked(t, 1, "there is a new key", func() { ring.Reload(); open(t, m, s) })
	write(young)
	ring.Reload()
	_, err = m.Open(t.Context(), s.Ticket())
	wantError(t, err, session.ErrEnded)
}

// TestUncached: every Open asks the store, and what is in memory is used only for the record that is there now.
func TestUncached(t *testing.T) {
	store := &askedStore{Store: memstore.New()}
	c := newCluster(t, func() session.Store { return store }, 1)
	opts := c.options()
	opts.CacheSize, opts.Uncached = 1000, true
	m := session.NewManager(store, c.ring, opts)
	c.managers = append(c.managers, m)
	s := c.login()
	open(t, m, s)
	store.wantAsked(t, 2, "two calls", func() {
		open(t, m, s)
		open(t, m, s)
	})

	c.advance(tokenLife)
	fresh, err := c.managers[0].Fresh(t.Context(), s) // another replica
	must(t, err)
	if got := open(t, m, s); !got.Tokens.Access.Equal(fresh.Tokens.Access) {
		t.Error("the old token is served")
	}
	must(t, c.managers[0].End(t.Context(), s, session.ReasonLogout))
	_, err = m.Open(t.Context(), s.Ticket())
	wantError(t, err, session.ErrEnded)
	c.close()
}
