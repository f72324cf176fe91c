package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

// named are claims, of which the access token tells which userinfo answer they are from.
func named(name string) func(context.Context, *session.Session) (map[string]json.RawMessage, error) {
	return func(_ context.Context, s *session.Session) (map[string]json.RawMessage, error) {
		_, serial, _ := strings.Cut(s.Tokens.Access.Reveal(), "marker-access-")
		return map[string]json.RawMessage{"name": json.RawMessage(`"` + name + " " + serial + `"`)}, nil
	}
}

func wantRenewed(t *testing.T, s *session.Session, serial, name string) {
	t.Helper()
	if s.Tokens.Refresh.Reveal() != "marker-refresh-"+serial || string(s.Claims["name"]) != `"`+name+`"` {
		t.Errorf("refresh token %s and name %s, want those of answer %s and %q",
			s.Tokens.Refresh.Reveal(), s.Claims["name"], serial, name)
	}
}

// TestRenew is pains.md 14 and RFR-20: five tabs on two replicas ask at once, one refresh is made, all get its tokens
// and the new claims, which are stored.
func TestRenew(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		old := c.login()
		c.op.claims = named("Alice Renamed")
		var tabs sync.WaitGroup
		for i := range 5 {
			tabs.Go(func() {
				s, err := c.managers[i%2].Renew(context.Background(), old)
				if err != nil {
					t.Errorf("tab %d: %v", i, err)
					return
				}
				wantRenewed(t, s, "2", "Alice Renamed 2")
			})
		}
		tabs.Wait()
		c.wantCalls(1)
		for _, m := range c.managers {
			stored, err := m.Reopen(t.Context(), old)
			must(t, err)
			wantRenewed(t, stored, "2", "Alice Renamed 2")
			if !stored.LastSeenAt.Equal(old.LastSeenAt) { // RFR-33
				t.Errorf("active at %v, at login %v", stored.LastSeenAt, old.LastSeenAt)
			}
			_, err = m.Renew(t.Context(), stored)
			wantError(t, err, session.ErrTooSoon)
		}
		c.wantCalls(1)
		c.close()
		c.wantEvents("login", "refreshed")
	})
}

// TestRenewRate: once in five seconds, whatever the replica.
func TestRenewRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		c := newCluster(t, func() session.Store { return store }, 2)
		s := c.login()
		for i := range 100 { // ten seconds
			next, err := c.managers[i%2].Renew(t.Context(), s)
			if err == nil {
				s = next
			} else {
				wantError(t, err, session.ErrTooSoon)
			}
			time.Sleep(100 * time.Millisecond)
		}
		c.close()
		c.wantCalls(2)
	})
}

// TestRenewAfterTooSoon: a renewal that comes too soon still refreshes what has expired, and nobody who waits for that
// hears of it.
func TestRenewAfterTooSoon(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	s, err := m.Renew(t.Context(), c.login())
	must(t, err)
	c.advance(tokenLife)
	var both sync.WaitGroup
	for _, call := range []func(context.Context, *session.Session) (*session.Session, error){m.Renew, m.Fresh} {
		both.Go(func() {
			got, err := call(context.Background(), s)
			if err != nil {
				t.Error(err)
				return
			}
			wantRenewed(t, got, "3", "Alice")
		})
	}
	both.Wait()
	c.wantCalls(2)
}

// TestRenewDuringRefresh: a refresh that is under way brings no claims, and is waited for.
func TestRenewDuringRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		for _, by := range []int{0, 1} { // the refresh is this replica's, or another's
			c := newCluster(t, open, 2)
			c.op.claims = named("Alice Renamed")
			s := c.login()
			begun, finish := make(chan struct{}), make(chan struct{})
			c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
				if got.Tokens.Refresh.Reveal() == "marker-refresh-2" {
					close(begun)
					<-finish
				}
				return got, nil
			}
			c.advance(tokenLife - 10*time.Second)
			_, err := c.managers[by].Fresh(t.Context(), s)
			must(t, err)
			receive(t, begun)
			renewed := make(chan *session.Session)
			go func() {
				got, err := c.managers[0].Renew(context.Background(), s)
				if err != nil {
					t.Error(err)
				}
				renewed <- got
			}()
			close(finish)
			wantRenewed(t, receive(t, renewed), "3", "Alice Renamed 3")
			c.wantCalls(2)
			c.close()
		}
	})
}

// TestRenewNotRefreshable: without a refresh token there is nothing to renew with.
func TestRenewNotRefreshable(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	tokens := c.op.grant()
	tokens.Refresh = secret.String{}
	s, err := c.managers[0].Create(t.Context(), session.Login{Provider: "default", Issuer: "i", Subject: "s", Tokens: tokens})
	must(t, err)
	_, err = c.managers[0].Renew(t.Context(), s)
	wantError(t, err, session.ErrNotRefreshable)
}

// TestRenewFails: the old token is good, and still the caller is told that nothing came. The OP is not asked again for a
// while (RFR-28), and after an answer that never came not at all (RFR-29).
func TestRenewFails(t *testing.T) {
	for name, failure := range map[string]error{
		"temporary": errors.New("502 from the token endpoint"),
		"uncertain": session.ErrUncertain,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, func() session.Store { return memstore.New() }, 1)
			s := c.login()
			c.op.answer = func(context.Context, *session.Session, *session.Refreshed) (*session.Refreshed, error) {
				return nil, failure
			}
			for range 3 { // with the session as it was before
				_, err := c.managers[0].Renew(t.Context(), s)
				wantError(t, err, session.ErrRefreshUnavailable)
			}
			got, err := c.managers[0].Open(t.Context(), s.Ticket())
			must(t, err)
			if !got.Tokens.Access.Equal(s.Tokens.Access) {
				t.Error("another access token")
			}
			c.wantCalls(1)
		})
	}
}

// TestRenewUncertain is RFR-29: a refresh token that may be spent is not sent for a renewal either, when another one
// would be due.
func TestRenewUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		s := c.login()
		c.op.answer = func(context.Context, *session.Session, *session.Refreshed) (*session.Refreshed, error) {
			return nil, session.ErrUncertain
		}
		for range 3 {
			_, err := c.managers[0].Renew(t.Context(), s)
			wantError(t, err, session.ErrRefreshUnavailable)
			time.Sleep(time.Minute)
		}
		c.wantCalls(1)
	})
}

// TestRenewWithoutClaims: when the claims do not come, the tokens are not lost, and the claims stay.
func TestRenewWithoutClaims(t *testing.T) {
	for name, claims := range map[string]func(context.Context, *session.Session) (map[string]json.RawMessage, error){
		"no endpoint": nil,
		"failure": func(context.Context, *session.Session) (map[string]json.RawMessage, error) {
			return nil, errors.New("the userinfo endpoint answers 500")
		},
		"panic": func(context.Context, *session.Session) (map[string]json.RawMessage, error) { panic("claims") },
		"too slow": func(ctx context.Context, _ *session.Session) (map[string]json.RawMessage, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, func() session.Store { return memstore.New() }, 1)
				s := c.login()
				c.op.claims = claims
				got, err := c.managers[0].Renew(t.Context(), s)
				must(t, err)
				wantRenewed(t, got, "2", "Alice")
				stored, err := c.managers[0].Reopen(t.Context(), s)
				must(t, err)
				wantRenewed(t, stored, "2", "Alice")
			})
		})
	}
}

// TestRenewFindsAnotherUser is UIN-01: an access token that opens another user's claims would open that user's data.
func TestRenewFindsAnotherUser(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	c.op.claims = func(context.Context, *session.Session) (map[string]json.RawMessage, error) {
		return nil, fmt.Errorf("%w: another sub", session.ErrGrantRefused)
	}
	_, err := c.managers[0].Renew(t.Context(), s)
	wantError(t, err, session.ErrEnded)
	_, err = c.managers[0].Open(t.Context(), s.Ticket())
	wantError(t, err, session.ErrEnded)
	c.close()
	c.wantEvents("login", "refreshed", "ended grant_refused", "revoked")
}

// TestLogoutDuringRenew is RFR-24 and BCL-25: claims that come for a session that has ended bring it back no more than
// tokens do.
func TestLogoutDuringRenew(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		c.op.claims = func(ctx context.Context, got *session.Session) (map[string]json.RawMessage, error) {
			if err := c.managers[1].End(ctx, got, session.ReasonLogout); err != nil {
				t.Error(err)
			}
			return named("Alice Renamed")(ctx, got)
		}
		_, err := c.managers[0].Renew(t.Context(), s)
		wantError(t, err, session.ErrEnded)
		c.close()
		_, err = c.managers[0].Reopen(t.Context(), s)
		wantError(t, err, session.ErrEnded)
	})
}

// TestRenewDetached is RFR-25: who asked for it may go away.
func TestRenewDetached(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	begun, finish := make(chan struct{}), make(chan struct{})
	c.op.claims = func(ctx context.Context, got *session.Session) (map[string]json.RawMessage, error) {
		close(begun)
		<-finish
		return named("Alice Renamed")(ctx, got)
	}
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := c.managers[0].Renew(ctx, s)
		gone <- err
	}()
	receive(t, begun)
	leave()
	wantError(t, receive(t, gone), context.Canceled)
	close(finish)
	c.close()
	stored, err := c.managers[0].Reopen(t.Context(), s)
	must(t, err)
	wantRenewed(t, stored, "2", "Alice Renamed 2")
}
