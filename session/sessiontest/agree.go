package sessiontest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// The part of the suite about what replicas agree upon: leases, notices and names that are used once.

func acquire(t *testing.T, store session.Store, id session.ID, owner string, ttl time.Duration) session.Hold {
	t.Helper()
	hold, err := store.Acquire(t.Context(), id, owner, ttl)
	must(t, err)
	return hold
}

func lease(t *testing.T, store session.Store) {
	id := session.NewTicket().ID()
	if hold := acquire(t, store, id, "a", time.Minute); !hold.Taken {
		t.Fatalf("a free lease: %+v", hold)
	}
	if hold := acquire(t, store, id, "a", time.Minute); !hold.Taken {
		t.Errorf("a repetition: %+v", hold)
	}
	hold := acquire(t, store, id, "b", time.Minute)
	if hold.Taken || hold.Resting || hold.Left <= 50*time.Second || hold.Left > time.Minute {
		t.Errorf("somebody else's lease: %+v", hold)
	}
	wantError(t, store.Renew(t.Context(), id, "b", time.Hour), session.ErrNotFound)
	must(t, store.Release(t.Context(), id, "b", 0)) // does nothing
	must(t, store.Renew(t.Context(), id, "a", time.Hour))
	if hold := acquire(t, store, id, "b", time.Minute); hold.Taken || hold.Left <= time.Minute {
		t.Errorf("somebody else's renewed lease: %+v", hold)
	}
	must(t, store.Release(t.Context(), id, "a", 0))
	must(t, store.Release(t.Context(), id, "a", 0)) // a repetition
	wantError(t, store.Renew(t.Context(), id, "a", time.Minute), session.ErrNotFound)
	if hold := acquire(t, store, id, "b", time.Minute); !hold.Taken || hold.Abandoned {
		t.Errorf("a released lease: %+v", hold)
	}
}

func leaseRace(t *testing.T, store session.Store) {
	id := session.NewTicket().ID()
	got := parallel(30, func(int) error {
		hold, err := store.Acquire(context.Background(), id, rand.Text(), time.Minute)
		if err == nil && !hold.Taken {
			return session.ErrConflict
		}
		return err
	})
	wantCount(t, got, map[error]int{nil: 1, session.ErrConflict: 29})
}

func leaseRunsOut(t *testing.T, store session.Store) {
	id := session.NewTicket().ID()
	acquire(t, store, id, "a", 50*time.Millisecond)
	eventually(t, func() bool {
		hold := acquire(t, store, id, "b", time.Minute)
		if hold.Taken && !hold.Abandoned {
			t.Errorf("a lease that was never released: %+v", hold)
		}
		return hold.Taken
	})
	if hold := acquire(t, store, id, "b", time.Minute); !hold.Taken || hold.Abandoned {
		t.Errorf("one's own: %+v", hold)
	}
	wantError(t, store.Renew(t.Context(), id, "a", time.Minute), session.ErrNotFound)
	must(t, store.Release(t.Context(), id, "a", 0))
	must(t, store.Renew(t.Context(), id, "b", time.Minute))
}

func leaseRests(t *testing.T, store session.Store) {
	id := session.NewTicket().ID()
	acquire(t, store, id, "a", time.Minute)
	must(t, store.Release(t.Context(), id, "a", 100*time.Millisecond))
	hold := acquire(t, store, id, "a", time.Minute)
	if hold.Taken || !hold.Resting || hold.Left > 100*time.Millisecond {
		t.Errorf("a resting lease: %+v", hold)
	}
	eventually(t, func() bool {
		hold := acquire(t, store, id, "b", time.Minute)
		if hold.Abandoned {
			t.Errorf("a lease that rested: %+v", hold)
		}
		return hold.Taken
	})
}

func watch(t *testing.T, store session.Store) {
	rec, other := mustCreate(t, store), mustCreate(t, store)
	changed, stop := store.Watch(rec.ID)
	defer stop()
	// A new watcher may be told without a cause, when the connection that carries the notices comes up after it.
	step := func(name string, do func() error) {
		t.Helper()
		deadline := time.After(5 * time.Second)
		must(t, do())
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("not told of " + name)
		}
	}
	acquire(t, store, rec.ID, "a", time.Minute)
	step("an update", func() error { return store.Update(t.Context(), next(rec, "second")) })
	step("a release", func() error { return store.Release(t.Context(), rec.ID, "a", time.Minute) })
	step("Tell", func() error { return store.Tell(t.Context(), rec.ID) })
	step("a delete", func() error {
		_, err := store.Delete(t.Context(), rec.ID, session.ReasonLogout)
		return err
	})

	untold, stopOther := store.Watch(other.ID)
	must(t, store.Touch(t.Context(), other.ID, start, time.Hour))
	stopOther()
	must(t, store.Update(t.Context(), next(other, "second")))
	select {
	case <-untold:
		t.Error("told after stop, or of activity")
	default:
	}
}

func consumeRace(t *testing.T, store session.Store) {
	for range 3 {
		name := "once:" + rand.Text()
		got := parallel(50, func(int) error { return store.Consume(context.Background(), name, time.Minute) })
		wantCount(t, got, map[error]int{nil: 1, session.ErrSpent: 49})
	}
}

func consumeAgain(t *testing.T, store session.Store) {
	name := "once:" + rand.Text()
	must(t, store.Consume(t.Context(), name, 50*time.Millisecond))
	eventually(t, func() bool { return store.Consume(t.Context(), name, time.Minute) == nil })
	wantError(t, store.Consume(t.Context(), name, time.Minute), session.ErrSpent)
}

func consumed(t *testing.T, store session.Store) {
	name := "once:" + rand.Text()
	want := func(want bool) {
		t.Helper()
		if got, err := store.Consumed(t.Context(), name); err != nil || got != want {
			t.Fatalf("consumed %v, %v, want %v", got, err, want)
		}
	}
	want(false)
	want(false) // asking is not using
	must(t, store.Consume(t.Context(), name, 100*time.Millisecond))
	want(true)
	eventually(t, func() bool {
		seen, err := store.Consumed(t.Context(), name)
		must(t, err)
		return !seen
	})
}
