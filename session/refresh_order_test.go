package session_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
)

// TestRefreshReadsAgain is RFR-21: a replica that gets the lease after another has refreshed uses what that has stored.
func TestRefreshReadsAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		old := c.login()
		c.advance(tokenLife)
		first, err := c.managers[0].Fresh(t.Context(), old)
		must(t, err)
		second, err := c.managers[1].Fresh(t.Context(), old) // as it was read before
		must(t, err)
		if !second.Tokens.Access.Equal(first.Tokens.Access) {
			t.Error("another token")
		}
		c.wantCalls(1)
	})
}

// diary notes which calls a refresh makes, and what comes between.
type diary struct {
	session.Store
	lines []string
}

func (d *diary) Acquire(ctx context.Context, id session.ID, owner string, ttl time.Duration) (session.Hold, error) {
	d.lines = append(d.lines, "lease")
	return d.Store.Acquire(ctx, id, owner, ttl)
}

func (d *diary) Load(ctx context.Context, id session.ID) (session.Record, time.Time, error) {
	d.lines = append(d.lines, "read")
	return d.Store.Load(ctx, id)
}

func (d *diary) Update(ctx context.Context, rec session.Record) error {
	err := d.Store.Update(ctx, rec)
	d.lines = append(d.lines, "written")
	return err
}

func (d *diary) Release(ctx context.Context, id session.ID, owner string, pause time.Duration) error {
	d.lines = append(d.lines, "release")
	return d.Store.Release(ctx, id, owner, pause)
}

// TestRefreshIsWrittenFirst is RFR-22: the rotated token is in the store before the lease is given back, and before anyone
// has the new access token.
func TestRefreshIsWrittenFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		store := &diary{Store: open()}
		c := newCluster(t, func() session.Store { return store }, 1)
		c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			store.lines = append(store.lines, "asked")
			return got, nil
		}
		s := c.login()
		c.advance(tokenLife)
		_, err := c.managers[0].Fresh(t.Context(), s)
		must(t, err)
		store.lines = append(store.lines, "used")
		want := []string{"lease", "read", "asked", "written", "release", "used"}
		if diff := cmp.Diff(want, slices.Compact(store.lines)); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}
