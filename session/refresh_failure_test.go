package session_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestUncertain is RFR-29: a refresh token that may have been used is never sent again, by any replica. The session
// lives as long as its access token.
func TestUncertain(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		c.op.answer = func(context.Context, *session.Session, *session.Refreshed) (*session.Refreshed, error) {
			return nil, session.ErrUncertain
		}
		c.advance(tokenLife - 10*time.Second)
		_, err := c.managers[0].Fresh(t.Context(), s)
		must(t, err)
		must(t, c.managers[0].Close(t.Context()))
		for range 3 {
			got, err := c.managers[1].Fresh(t.Context(), s) // a session as it was before
			must(t, err)
			if !got.Tokens.Access.Equal(s.Tokens.Access) {
				t.Error("another access token")
			}
		}
		must(t, c.managers[1].Close(t.Context()))
		c.advance(10 * time.Second)
		late := session.NewManager(c.store, c.ring, c.options())
		now, err := late.Open(t.Context(), s.Ticket())
		must(t, err)
		_, err = late.Fresh(t.Context(), now)
		wantError(t, err, session.ErrEnded)
		_, err = late.Open(t.Context(), s.Ticket())
		wantError(t, err, session.ErrEnded)
		must(t, late.Close(t.Context()))
		c.wantCalls(1)
		c.wantEvents("login", "refresh_failed", "ended refresh_uncertain", "revoked")
	})
}

// TestUncertainAfterExpiry: the same with requests waiting for the answer.
func TestUncertainAfterExpiry(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	c.op.answer = func(context.Context, *session.Session, *session.Refreshed) (*session.Refreshed, error) {
		return nil, session.ErrUncertain
	}
	c.advance(tokenLife)
	_, err := c.managers[0].Fresh(t.Context(), s)
	wantError(t, err, session.ErrEnded)
	_, err = c.managers[0].Open(t.Context(), s.Ticket())
	wantError(t, err, session.ErrEnded)
	c.wantCalls(1)
}

// panickingOP panics when it is asked to revoke a token.
type panickingOP struct{ *testOP }

func (panickingOP) Revoke(context.Context, string, session.Tokens) error { panic("revoke") }

// TestPanicInRefresher: what an OP sends can cost one session, not the process. The refresh token may have been sent.
func TestPanicInRefresher(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	opts := c.options()
	opts.Refresher = panickingOP{c.op}
	m := session.NewManager(c.store, c.ring, opts)
	c.managers = append(c.managers, m)
	s := c.login()
	c.op.answer = func(context.Context, *session.Session, *session.Refreshed) (*session.Refreshed, error) {
		panic("refresh")
	}
	c.advance(tokenLife)
	_, err := m.Fresh(t.Context(), s)
	wantError(t, err, session.ErrEnded)
	c.close()
	c.wantCalls(1)
	c.wantEvents("login", "refresh_failed", "ended refresh_uncertain", "revoke_failed")
}

// TestTemporaryFailure is RFR-28: the session stays, the old token serves until it expires, then the answer is "later";
// the OP is not hammered by any replica, and when it recovers so does the session.
func TestTemporaryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := newCluster(t, func() session.Store { return store }, 2)
		s := c.login()
		down := true
		c.op.answer = func(_ context.Context, s *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			if !down {
				return got, nil
			}
			c.op.unprocessed(s, got)
			return nil, errors.New("502 from the token endpoint")
		}
		time.Sleep(tokenLife - 10*time.Second)
		for range 10 { // in the last ten seconds, ten times a second, on two replicas
			for range 10 {
				for _, m := range c.managers {
					got, err := m.Fresh(t.Context(), s)
					must(t, err)
					if got != s {
						t.Fatal("another session")
					}
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		if calls, _ := c.op.count(); calls < 2 || calls > 5 {
			t.Errorf("%d attempts in ten seconds", calls)
		}
		for _, m := range c.managers {
			_, err := m.Fresh(t.Context(), s)
			wantError(t, err, session.ErrRefreshUnavailable)
			if errors.Is(err, session.ErrEnded) {
				t.Error("the session is said to have ended")
			}
		}
		down = false
		time.Sleep(3 * time.Second)
		got, err := c.managers[1].Fresh(t.Context(), s)
		must(t, err)
		if got.Tokens.Access.Equal(s.Tokens.Access) {
			t.Error("the old token")
		}
		c.close()
		time.Sleep(time.Minute) // lets timers run out
	})
}

// TestGrantRefused is RFR-28: invalid_grant ends the session.
func TestGrantRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 1)
		s := c.login()
		c.advance(tokenLife)
		clear(c.op.current)
		_, err := c.managers[0].Fresh(t.Context(), s)
		wantError(t, err, session.ErrEnded)
		_, err = c.managers[0].Open(t.Context(), s.Ticket())
		wantError(t, err, session.ErrEnded)
		c.close()
		c.wantEvents("login", "refresh_failed", "ended grant_refused", "revoked")
	})
}

// TestMismatchAtRefresh is RFR-09: what came for somebody else is neither kept nor left alive.
func TestMismatchAtRefresh(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		return got, session.ErrGrantRefused
	}
	c.advance(tokenLife)
	_, err := c.managers[0].Fresh(t.Context(), s)
	wantError(t, err, session.ErrEnded)
	c.close()
	got := c.op.revocations()
	slices.Sort(got)
	if !slices.Equal(got, []string{"marker-refresh-1", "marker-refresh-2"}) {
		t.Errorf("revoked %v", got)
	}
}

// TestRefreshTokenStays is RFR-11, for an OP that does not rotate; what else did not come stays too.
func TestRefreshTokenStays(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		got.Tokens.Refresh, got.Tokens.ID, got.Tokens.Scope = secret.String{}, secret.String{}, nil
		return got, nil
	}
	c.advance(tokenLife)
	got, err := c.managers[0].Fresh(t.Context(), s)
	must(t, err)
	if !got.Tokens.Refresh.Equal(s.Tokens.Refresh) || !got.Tokens.ID.Equal(s.Tokens.ID) ||
		!slices.Equal(got.Tokens.Scope, s.Tokens.Scope) || string(got.Claims["name"]) != `"Alice"` {
		t.Errorf("got %+v", got)
	}
	if got.Tokens.Access.Equal(s.Tokens.Access) {
		t.Error("the old access token")
	}
}

// TestWriteConflict is step 4 of a refresh: another write in between does not cost the rotated token.
func TestWriteConflict(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		c.op.answer = func(ctx context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			return got, c.managers[1].Rewrite(ctx, s.Ticket(), nil)
		}
		c.advance(tokenLife)
		got, err := c.managers[0].Fresh(t.Context(), s)
		must(t, err)
		stored, err := c.managers[1].Open(t.Context(), s.Ticket())
		must(t, err)
		for _, s := range []*session.Session{got, stored} {
			if s.Tokens.Refresh.Reveal() != "marker-refresh-2" {
				t.Errorf("refresh token %s", s.Tokens.Refresh.Reveal())
			}
		}
	})
}

// TestOvertaken is RFR-23: a holder whose lease ran out does not write over what its successor got.
func TestOvertaken(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		theirs := c.op.grant()
		theirs.ExpiresAt = theirs.ExpiresAt.Add(tokenLife)
		c.op.answer = func(ctx context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			return got, c.managers[1].Rewrite(ctx, s.Ticket(), &session.Refreshed{Tokens: theirs})
		}
		c.advance(tokenLife)
		got, err := c.managers[0].Fresh(t.Context(), s)
		must(t, err)
		if !got.Tokens.Refresh.Equal(theirs.Refresh) {
			t.Errorf("refresh token %s, want the successor's", got.Tokens.Refresh.Reveal())
		}
		c.close()
		if revoked := c.op.revocations(); len(revoked) > 0 {
			t.Errorf("revoked %v", revoked)
		}
	})
}

// TestWithoutRefreshToken: the session ends with its access token.
func TestWithoutRefreshToken(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	tokens := c.op.grant()
	tokens.Refresh = secret.String{}
	m := c.managers[0]
	s, err := m.Create(t.Context(), session.Login{Provider: "default", Issuer: "i", Subject: "s", Tokens: tokens})
	must(t, err)
	if !s.ExpiresAt.Equal(tokens.ExpiresAt) {
		t.Errorf("expires at %v, the access token at %v", s.ExpiresAt, tokens.ExpiresAt)
	}
	c.advance(tokenLife - time.Second)
	_, err = m.Fresh(t.Context(), s)
	must(t, err)
	c.advance(time.Second)
	_, err = m.Fresh(t.Context(), s)
	wantError(t, err, session.ErrExpired)
	_, err = m.Open(t.Context(), s.Ticket())
	wantError(t, err, session.ErrExpired)
	c.wantCalls(0)
}

// TestClose: refreshes under way are waited for, and none begins afterwards.
func TestClose(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	s, late := c.login(), c.login()
	begun, finish := make(chan struct{}), make(chan struct{})
	c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		close(begun)
		<-finish
		return got, nil
	}
	c.advance(tokenLife - time.Second)
	_, err := m.Fresh(t.Context(), s)
	must(t, err)
	receive(t, begun)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, m.Close(ctx), context.Canceled)
	_, err = m.Fresh(t.Context(), late)
	must(t, err)
	c.advance(time.Second)
	_, err = m.Fresh(t.Context(), late)
	wantError(t, err, session.ErrRefreshUnavailable)
	close(finish)
	c.close()
	c.wantCalls(1)
}

// TestRefusedSinceOvertaken: a refusal that another replica's success explains is not the end.
func TestRefusedSinceOvertaken(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	theirs := c.op.grant()
	theirs.ExpiresAt = theirs.ExpiresAt.Add(tokenLife)
	c.op.answer = func(ctx context.Context, _ *session.Session, _ *session.Refreshed) (*session.Refreshed, error) {
		must(t, c.managers[0].Rewrite(ctx, s.Ticket(), &session.Refreshed{Tokens: theirs}))
		return nil, session.ErrGrantRefused
	}
	c.advance(tokenLife)
	got, err := c.managers[0].Fresh(t.Context(), s)
	must(t, err)
	if !got.Tokens.Refresh.Equal(theirs.Refresh) {
		t.Error("not the successor's tokens")
	}
}

// TestExpiredOnArrival: a token that is worth nothing when it comes is no token, and no session without one either.
func TestExpiredOnArrival(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		got.Tokens.ExpiresAt = c.op.now()
		return got, nil
	}
	c.advance(tokenLife)
	if got, err := c.managers[0].Fresh(t.Context(), s); got != nil || !errors.Is(err, session.ErrRefreshUnavailable) {
		t.Errorf("Fresh = %v, %v", got, err)
	}
}
