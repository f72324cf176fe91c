package session_test

import (
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// TestExtend: the new deadline is stored at once, whatever has been noted a moment ago, and other replicas hear of it.
func TestExtend(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		c.advance(4 * time.Second) // less than between two writes of activity
		changed, stop := c.managers[1].Watch(s.ID)
		defer stop()
		for begin := time.Now(); ; { // until the watcher's connection is there
			extended, err := c.managers[0].Extend(t.Context(), s)
			must(t, err)
			if ahead := extended.IdleAt.Sub(s.IdleAt); ahead < 4*time.Second {
				t.Fatalf("extended by %v", ahead)
			}
			select {
			case <-changed:
			case <-time.After(100 * time.Millisecond):
				if time.Since(begin) < 10*time.Second {
					continue
				}
				t.Fatal("the other replica has heard nothing")
			}
			now, err := c.managers[1].Reopen(t.Context(), s)
			must(t, err)
			if !now.IdleAt.Equal(extended.IdleAt) {
				t.Errorf("idle at %v, said %v", now.IdleAt, extended.IdleAt)
			}
			break
		}
		must(t, c.managers[1].End(t.Context(), s, session.ReasonLogout))
		before := len(c.kinds())
		_, err := c.managers[0].Extend(t.Context(), s)
		wantError(t, err, session.ErrEnded)
		c.close()
		if got := c.kinds(); len(got) > before+1 { // the revocation
			t.Errorf("events %q", got)
		}
	})
}

// TestTouchIsCheap: a request that comes within seconds of another costs nothing.
func TestTouchIsCheap(t *testing.T) {
	store := &countingStore{Store: memstore.New()}
	c := newCluster(t, func() session.Store { return store }, 0)
	options := c.options()
	options.CacheSize = 100
	m := session.NewManager(store, c.ring, options)
	c.managers = []*session.Manager{m}
	s := c.login()
	c.advance(10 * time.Second)
	touch := func() {
		opened, err := m.Open(t.Context(), s.Ticket())
		if err == nil {
			_, err = m.Touch(t.Context(), opened)
		}
		if err != nil {
			t.Error(err)
		}
	}
	touch()
	if got := testing.AllocsPerRun(100, touch); got > 2 { // what Open takes, see BenchmarkOpen
		t.Errorf("%v allocations", got)
	}
	if store.touches != 1 {
		t.Errorf("%d writes, want 1", store.touches)
	}
}
