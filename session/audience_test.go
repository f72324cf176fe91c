package session_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

var (
	own    = session.Audience{}
	orders = session.Audience{Resource: "https://orders.example.com"}
	stock  = session.Audience{Resource: "https://stock.example.com"}
)

// isFor reports whether a token of testOP is for an audience.
func isFor(token secret.String, a session.Audience) bool {
	before, resource, _ := strings.Cut(token.Reveal(), " for ")
	return strings.HasPrefix(before, "marker-access-") && resource == a.Resource
}

// call is a request that needs a token for an audience, from the cookie on.
func call(m *session.Manager, ticket session.Ticket, a session.Audience) (secret.String, error) {
	s, err := m.Open(context.Background(), ticket)
	if err == nil {
		s, err = m.Fresh(context.Background(), s)
	}
	if err != nil {
		return secret.String{}, err
	}
	return m.TokenFor(context.Background(), s, a)
}

// TestTokenForResource is EXT-01, EXT-02, RFR-20, RFR-21 and RFR-22: many requests for three audiences, in every order, on
// two replicas, with every token due. There is one refresh for each, nobody gets a token that is not stored, nor one that
// is for another upstream.
func TestTokenForResource(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		defer c.close()
		s := c.login()
		audiences := []session.Audience{own, orders, stock}
		for round := range 2 {
			var all sync.WaitGroup
			for i := range 60 {
				m, a := c.managers[i%2], audiences[(i/2+round)%3]
				all.Go(func() {
					token, err := call(m, s.Ticket(), a)
					if err != nil || !isFor(token, a) {
						t.Errorf("for %q: %s, %v", a.Resource, token.Reveal(), err)
						return
					}
					stored, err := c.managers[1-i%2].Reopen(context.Background(), s)
					if err != nil {
						t.Error(err)
						return
					}
					if again, err := c.managers[1-i%2].TokenFor(context.Background(), stored, a); err != nil || !again.Equal(token) {
						t.Errorf("for %q the other replica has %s, %v", a.Resource, again.Reveal(), err)
					}
				})
			}
			all.Wait()
			c.wantCalls([]int{2, 5}[round]) // the login has brought the session's own
			c.advance(tokenLife)
		}
		got, err := c.managers[0].Reopen(t.Context(), s)
		must(t, err)
		if len(got.Tokens.Scope) != 1 || got.Tokens.Scope[0] != "openid" { // those of the last token are not the session's
			t.Errorf("scope %q", got.Tokens.Scope)
		}
		c.wantEvents("login", "refreshed", "refreshed", "refreshed", "refreshed", "refreshed")
	})
}

// TestTokenForSession: the session's own token takes nothing.
func TestTokenForSession(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	token, err := c.managers[0].TokenFor(t.Context(), s, own)
	must(t, err)
	if !token.Equal(s.Tokens.Access) {
		t.Error("another token")
	}
	c.wantCalls(0)
}

// TestResourceKeepsItsToken: a refresh of the session leaves the tokens for resources, and the other way round.
func TestResourceKeepsItsToken(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	s := c.login()
	c.advance(3 * time.Minute)
	first, err := call(m, s.Ticket(), orders)
	must(t, err)
	c.advance(2 * time.Minute) // the session's own has expired
	token, err := call(m, s.Ticket(), own)
	must(t, err)
	if again, err := call(m, s.Ticket(), orders); err != nil || !again.Equal(first) {
		t.Errorf("for orders: another token, %v", err)
	}
	if _, err := call(m, s.Ticket(), stock); err != nil {
		t.Error(err)
	}
	if again, err := call(m, s.Ticket(), own); err != nil || !again.Equal(token) {
		t.Errorf("for the session: another token, %v", err)
	}
	c.wantCalls(3)
}

// TestResourceDue is RFR-27: nobody waits while the token is good.
func TestResourceDue(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	tokens := c.op.grant()
	tokens.ExpiresAt = tokens.ExpiresAt.Add(time.Hour)
	s, err := m.Create(t.Context(), session.Login{Provider: "default", Issuer: "i", Subject: "s", Tokens: tokens})
	must(t, err)
	first, err := call(m, s.Ticket(), orders)
	must(t, err)
	begun, finish := make(chan struct{}), make(chan struct{})
	c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		close(begun)
		<-finish
		return got, nil
	}
	c.advance(tokenLife - 10*time.Second)
	for range 3 {
		token, err := call(m, s.Ticket(), orders)
		must(t, err)
		if !token.Equal(first) {
			t.Error("another token, before it came")
		}
	}
	receive(t, begun)
	close(finish)
	c.close()
	c.wantCalls(2)
	if token, err := call(m, s.Ticket(), orders); err != nil || token.Equal(first) {
		t.Errorf("the old token, %v", err)
	}
}

// TestOneResourceFails is RFR-26, RFR-28 and EXT-02: what the OP does not give for one audience costs no other one
// anything, and nobody gets another's token instead. It is not asked for all the time.
func TestOneResourceFails(t *testing.T) {
	for name, test := range map[string]struct {
		failure, want error
		attempts      int // in ten seconds
	}{
		"temporary": {errors.New("502 from the token endpoint"), session.ErrRefreshUnavailable, 5},
		"refused":   {session.ErrAudienceRefused, session.ErrAudienceRefused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, func() session.Store { return memstore.New() }, 1)
				defer c.close()
				m := c.managers[0]
				s := c.login()
				if _, err := call(m, s.Ticket(), stock); err != nil {
					t.Fatal(err)
				}
				attempts := 0
				c.op.answerFor = func(a session.Audience, s *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
					if a != orders {
						return got, nil
					}
					attempts++
					c.op.unprocessed(s, got)
					return nil, test.failure
				}
				for range 100 {
					token, err := call(m, s.Ticket(), orders)
					if !errors.Is(err, test.want) || !token.IsZero() {
						t.Fatalf("for orders: %q, %v", token.Reveal(), err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				if attempts != test.attempts {
					t.Errorf("%d attempts in ten seconds, want %d", attempts, test.attempts)
				}
				time.Sleep(tokenLife)
				for _, a := range []session.Audience{orders, own, orders, stock, orders} { // all of which are due
					token, err := call(m, s.Ticket(), a)
					if a == orders && !errors.Is(err, test.want) || a != orders && (err != nil || !isFor(token, a)) {
						t.Errorf("for %q: %q, %v", a.Resource, token.Reveal(), err)
					}
				}
				c.op.answerFor = nil
				time.Sleep(30 * time.Second)
				if token, err := call(m, s.Ticket(), orders); err != nil || !isFor(token, orders) {
					t.Errorf("afterwards: %q, %v", token.Reveal(), err)
				}
			})
		})
	}
}

// TestOwnRefreshFails is EXT-02 in the pause after a failed refresh of the session's own token, which is still good: a
// request for another audience gets none instead.
func TestOwnRefreshFails(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	defer c.close()
	m := c.managers[0]
	s := c.login()
	failed := make(chan struct{}, 1)
	c.op.answer = func(_ context.Context, s *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		c.op.unprocessed(s, got)
		failed <- struct{}{}
		return nil, errors.New("502 from the token endpoint")
	}
	c.advance(tokenLife - 10*time.Second)
	_, err := call(m, s.Ticket(), own)
	must(t, err)
	receive(t, failed)
	for range 3 {
		token, err := call(m, s.Ticket(), orders)
		if !errors.Is(err, session.ErrRefreshUnavailable) || !token.IsZero() {
			t.Errorf("for orders: %q, %v", token.Reveal(), err)
		}
	}
	c.wantCalls(1)
}

// TestOldResourceTokenServes: when another cannot be had, until it expires.
func TestOldResourceTokenServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		defer c.close()
		m := c.managers[0]
		s := c.login()
		time.Sleep(time.Second)
		first, err := call(m, s.Ticket(), orders)
		must(t, err)
		c.op.answerFor = func(a session.Audience, s *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			if a == own {
				return got, nil
			}
			c.op.unprocessed(s, got)
			return nil, session.ErrAudienceRefused
		}
		for end := time.Now().Add(tokenLife); time.Now().Before(end); time.Sleep(time.Second) {
			if token, err := call(m, s.Ticket(), orders); err != nil || !token.Equal(first) {
				t.Fatalf("%v before the end: %v", time.Until(end), err)
			}
		}
		_, err = call(m, s.Ticket(), orders)
		wantError(t, err, session.ErrAudienceRefused)
	})
}

// TestResourceUncertain is RFR-29: after a refresh for one audience that was never answered the refresh token is sent for
// none. What is there serves until it expires.
func TestResourceUncertain(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	s := c.login()
	_, err := call(m, s.Ticket(), stock)
	must(t, err)
	c.op.answer = func(context.Context, *session.Session, *session.Refreshed) (*session.Refreshed, error) {
		return nil, session.ErrUncertain
	}
	for range 3 {
		_, err = call(m, s.Ticket(), orders)
		wantError(t, err, session.ErrRefreshUnavailable)
		_, err = m.TokenFor(t.Context(), s, orders) // with the session as it was before
		wantError(t, err, session.ErrRefreshUnavailable)
		for _, a := range []session.Audience{own, stock} {
			if token, err := call(m, s.Ticket(), a); err != nil || !isFor(token, a) {
				t.Errorf("for %q: %v", a.Resource, err)
			}
		}
	}
	c.wantCalls(2)
	c.advance(tokenLife)
	_, err = call(m, s.Ticket(), stock)
	wantError(t, err, session.ErrEnded)
	c.wantCalls(2)
}

// TestResourceGrantRefused is RFR-28: invalid_grant is about the session, whatever was asked for.
func TestResourceGrantRefused(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	clear(c.op.current)
	_, err := call(c.managers[0], s.Ticket(), orders)
	wantError(t, err, session.ErrEnded)
	_, err = c.managers[0].Open(t.Context(), s.Ticket())
	wantError(t, err, session.ErrEnded)
}

// TestResourceWithoutRefreshToken: nothing to get it with, and the message says what to change.
func TestResourceWithoutRefreshToken(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	tokens := c.op.grant()
	tokens.Refresh = secret.String{}
	s, err := c.managers[0].Create(t.Context(), session.Login{Provider: "default", Issuer: "i", Subject: "s", Tokens: tokens})
	must(t, err)
	_, err = call(c.managers[0], s.Ticket(), orders)
	wantError(t, err, session.ErrNotRefreshable)
	if !strings.Contains(err.Error(), "offline_access") {
		t.Errorf("the error says %q", err)
	}
	c.wantCalls(0)
}

// TestLogoutDuringResource is RFR-24: nobody gets the token, and it is revoked.
func TestLogoutDuringResource(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		s := c.login()
		c.op.answer = func(ctx context.Context, s *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			return got, c.managers[1].End(ctx, s, session.ReasonLogout)
		}
		_, err := c.managers[0].TokenFor(t.Context(), s, orders)
		wantError(t, err, session.ErrEnded)
		c.close()
		_, err = c.managers[0].Open(t.Context(), s.Ticket())
		wantError(t, err, session.ErrEnded)
		c.wantEvents("login", "ended logout", "revoked", "revoked")
	})
}

// TestResourceClientGone is RFR-25.
func TestResourceClientGone(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	s := c.login()
	ctx, leave := context.WithCancel(t.Context())
	c.op.answer = func(ctx context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		leave()
		return got, ctx.Err()
	}
	if _, err := c.managers[0].TokenFor(ctx, s, orders); err != nil {
		wantError(t, err, context.Canceled)
	}
	c.close()
	stored, err := c.managers[0].Reopen(t.Context(), s)
	must(t, err)
	if stored.Tokens.Refresh.Reveal() != "marker-refresh-2" {
		t.Error("the rotated token is lost")
	}
}
