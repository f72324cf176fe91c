package session_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// TestOneRefresh is RFR-20, 21 and 22: many requests, two replicas, one refresh, everybody gets its result.
func TestOneRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		old := c.login()
		c.advance(tokenLife)
		var all sync.WaitGroup
		for i := range 100 {
			m := c.managers[i%2]
			all.Go(func() {
				s, err := m.Open(context.Background(), old.Ticket())
				if err == nil {
					s, err = m.Fresh(context.Background(), s)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if got := s.Tokens.Access.Reveal(); got != "marker-access-2" {
					t.Errorf("access token %s", got)
				}
				stored, err := m.Open(context.Background(), old.Ticket())
				if err != nil || !stored.Tokens.Refresh.Equal(s.Tokens.Refresh) {
					t.Errorf("a token was handed out that is not stored: %v", err)
				}
			})
		}
		all.Wait()
		c.wantCalls(1)
		c.wantEvents("login", "refreshed")
	})
}

// TestNotBeforeExpiry: refresh_before 0 is what it says.
func TestNotBeforeExpiry(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	options := c.options()
	options.RefreshBefore = 0
	m := session.NewManager(c.store, c.ring, options)
	s := c.login()
	c.advance(tokenLife - time.Second)
	_, err := m.Fresh(t.Context(), s)
	must(t, err)
	c.close()
	c.wantCalls(0)
}

// TestNobodyWaitsWhileTheTokenIsGood is RFR-27: due ahead of expiry, requests go on with the old token.
func TestNobodyWaitsWhileTheTokenIsGood(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	s := c.login()
	begun, finish := make(chan struct{}), make(chan struct{})
	c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		close(begun)
		<-finish
		return got, nil
	}
	c.advance(tokenLife - 2*time.Minute)
	_, err := m.Fresh(t.Context(), s) // not due yet
	must(t, err)
	c.wantCalls(0)
	c.advance(time.Minute + 10*time.Second)
	_, err = m.Fresh(t.Context(), s)
	must(t, err)
	receive(t, begun)
	got, err := m.Fresh(t.Context(), s)
	must(t, err)
	if got != s {
		t.Error("Fresh returned another session")
	}
	close(finish)
	c.close()
	c.wantCalls(1)
	got, err = m.Open(t.Context(), s.Ticket())
	must(t, err)
	if got.Tokens.Access.Reveal() != "marker-access-2" {
		t.Error("the refresh was not stored")
	}
}

// TestDueAtMostAThirdBeforeExpiry: a short-lived token is not refreshed all the time.
func TestDueAtMostAThirdBeforeExpiry(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	tokens := c.op.grant()
	tokens.ExpiresAt = tokens.IssuedAt.Add(30 * time.Second)
	s, err := m.Create(t.Context(), session.Login{Provider: "default", Issuer: "i", Subject: "s", Tokens: tokens})
	must(t, err)
	c.advance(19 * time.Second)
	_, err = m.Fresh(t.Context(), s)
	must(t, err)
	c.close()
	c.wantCalls(0)
}

// TestClientGone is RFR-25: who asked for the refresh may go away.
func TestClientGone(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		c.advance(tokenLife)
		begun, finish := make(chan struct{}), make(chan struct{})
		c.op.answer = func(ctx context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			close(begun)
			<-finish
			return got, ctx.Err()
		}
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := c.managers[0].Fresh(ctx, s)
			gone <- err
		}()
		receive(t, begun)
		leave()
		wantError(t, receive(t, gone), context.Canceled)
		close(finish)
		c.close()
		got, err := c.managers[1].Open(t.Context(), s.Ticket())
		must(t, err)
		if got.Tokens.Refresh.Reveal() != "marker-refresh-2" {
			t.Error("the rotated token is lost")
		}
		c.wantCalls(1)
	})
}

// TestLogoutDuringRefresh is RFR-24 and BCL-25: the session stays dead and the fresh token is revoked.
func TestLogoutDuringRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		c.advance(tokenLife)
		begun, finish := make(chan struct{}), make(chan struct{})
		c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			close(begun)
			<-finish
			return got, nil
		}
		result := make(chan error)
		go func() {
			_, err := c.managers[0].Fresh(context.Background(), s)
			result <- err
		}()
		receive(t, begun)
		must(t, c.managers[1].End(t.Context(), s, session.ReasonLogout))
		close(finish)
		wantError(t, receive(t, result), session.ErrEnded)
		c.close()
		for _, m := range c.managers {
			_, err := m.Open(t.Context(), s.Ticket())
			wantError(t, err, session.ErrEnded)
		}
		if got := c.op.revocations(); !slices.Contains(got, "marker-refresh-2") {
			t.Errorf("revoked %v, not the fresh token", got)
		}
		c.wantEvents("login", "ended logout", "revoked", "revoked")
	})
}

// TestLeaseHolderKilled: the lease of a dead replica runs out and the next one refreshes.
func TestLeaseHolderKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 1)
		s := c.login()
		c.advance(tokenLife)
		if _, err := c.store.Acquire(t.Context(), s.ID, "dead", 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err := c.managers[0].Fresh(t.Context(), s)
		must(t, err)
		if waited := time.Since(begin); waited < 200*time.Millisecond {
			t.Errorf("refreshed after %v, without the lease", waited)
		}
		c.wantCalls(1)
	})
}

// TestWaitIsBounded is RFR-26: 503 while somebody else's refresh takes too long, and no second refresh.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		s := c.login()
		time.Sleep(tokenLife)
		if _, err := c.store.Acquire(t.Context(), s.ID, "slow", time.Minute); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err := c.managers[0].Fresh(t.Context(), s)
		wantError(t, err, session.ErrRefreshUnavailable)
		if waited := time.Since(begin); waited > 10*time.Second {
			t.Errorf("waited for %v", waited)
		}
		c.close()
		c.wantCalls(0)
	})
}
