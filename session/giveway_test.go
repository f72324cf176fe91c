package session_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// cutStore is a store that a replica does not reach while it is cut.
type cutStore struct {
	session.Store
	cut atomic.Bool
}

var errCut = errors.New("the network is cut")

func (s *cutStore) Load(ctx context.Context, id session.ID) (session.Record, time.Time, error) {
	if s.cut.Load() {
		return session.Record{}, time.Time{}, errCut
	}
	return s.Store.Load(ctx, id)
}

func (s *cutStore) Update(ctx context.Context, rec session.Record) error {
	if s.cut.Load() {
		return errCut
	}
	return s.Store.Update(ctx, rec)
}

func (s *cutStore) Renew(ctx context.Context, id session.ID, owner string, ttl time.Duration) error {
	if s.cut.Load() {
		return errCut
	}
	return s.Store.Renew(ctx, id, owner, ttl)
}

// TestGiveWay: a replica has new tokens and cannot store them for so long that its lease runs out. The next to get the
// lease does not send the refresh token once more, which would end the grant (RFR-20, RFR-29), but finds what the other
// stores as soon as it can.
func TestGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New()
		c := newCluster(t, func() session.Store { return shared }, 1)
		defer c.close()
		s := c.login()
		store := &cutStore{Store: c.store}
		holder := session.NewManager(store, c.ring, c.options())
		c.managers = append(c.managers, holder)
		c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			store.cut.Store(true)
			return got, nil
		}
		c.advance(tokenLife)
		_, err := holder.Fresh(t.Context(), s)
		wantError(t, err, session.ErrRefreshUnavailable)
		time.Sleep(11 * time.Second) // the lease has run out
		go func() {
			time.Sleep(100 * time.Millisecond)
			store.cut.Store(false)
		}()
		got, err := c.managers[0].Fresh(t.Context(), s)
		must(t, err)
		if got.Tokens.Access.Equal(s.Tokens.Access) {
			t.Error("the old access token")
		}
		c.wantCalls(1)
	})
}

// TestRenewGivesWay: the same where the user asks for a refresh, and the old access token is good.
func TestRenewGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New()
		c := newCluster(t, func() session.Store { return shared }, 1)
		defer c.close()
		s := c.login()
		store := &cutStore{Store: c.store}
		holder := session.NewManager(store, c.ring, c.options())
		c.managers = append(c.managers, holder)
		c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			store.cut.Store(true)
			return got, nil
		}
		_, err := holder.Renew(t.Context(), s)
		wantError(t, err, session.ErrRefreshUnavailable)
		c.op.answer = nil
		time.Sleep(11 * time.Second) // the lease has run out
		go func() {
			time.Sleep(100 * time.Millisecond)
			store.cut.Store(false)
		}()
		begun := time.Now()
		_, err = c.managers[0].Renew(t.Context(), s)
		must(t, err)
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it took %v, though the other has stored its tokens", took)
		}
		c.wantCalls(2) // the second with the refresh token that the first has brought
	})
}

// TestGiveWayIsBounded: if the replica is gone for good, the session is refreshed a little later.
func TestGiveWayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		defer c.close()
		s := c.login()
		_, err := c.store.Acquire(t.Context(), s.ID, "gone", 15*time.Second)
		must(t, err)
		c.advance(tokenLife)
		time.Sleep(15 * time.Second)
		begun := time.Now()
		_, err = c.managers[0].Fresh(t.Context(), s)
		must(t, err)
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		c.wantCalls(1)
	})
}
