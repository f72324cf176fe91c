package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestReplace is RFR-32: an upstream refuses the token of twenty requests at once, on two replicas. One refresh is made,
// all get its token, and so do those that come later with the old one.
func TestReplace(t *testing.T) {
	for _, a := range []session.Audience{own, orders} {
		t.Run("for "+a.Resource, func(t *testing.T) {
			everywhere(t, func(t *testing.T, open func() session.Store) {
				c := newCluster(t, open, 2)
				defer c.close()
				s := c.login()
				refused, err := call(c.managers[0], s.Ticket(), a)
				must(t, err)
				before, _ := c.op.count()
				c.advance(10 * time.Second)
				for range 2 {
					var all sync.WaitGroup
					for i := range 20 {
						all.Go(func() {
							token, err := c.managers[i%2].Replace(context.Background(), s, a, refused)
							if err != nil || token.Equal(refused) || !isFor(token, a) {
								t.Errorf("got %q, %v", token.Reveal(), err)
							}
						})
					}
					all.Wait()
					c.wantCalls(before + 1)
				}
			})
		})
	}
}

// TestReplaceRate: an upstream that refuses every token costs the OP one request a minute for each session, and none for
// a token that is ten seconds old.
func TestReplaceRate(t *testing.T) {
	for _, a := range []session.Audience{own, orders} {
		t.Run("for "+a.Resource, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				c := newCluster(t, func() session.Store { return store }, 2)
				defer c.close()
				s := c.login()
				for i := range 130 {
					m := c.managers[i%2]
					refused, err := call(m, s.Ticket(), a)
					must(t, err)
					token, err := m.Replace(t.Context(), s, a, refused)
					switch replaced := i%60 == 10; {
					case replaced && (err != nil || token.Equal(refused)):
						t.Errorf("after %d s: %q, %v", i, token.Reveal(), err)
					case !replaced && !errors.Is(err, session.ErrTooSoon):
						t.Errorf("after %d s: %q, %v", i, token.Reveal(), err)
					}
					time.Sleep(time.Second)
				}
				want := 2
				if a != own {
					want = 3
				}
				c.wantCalls(want)
			})
		})
	}
}

// TestReplaceFails: whatever an upstream refuses, the session lives, and its user keeps the token that there is.
func TestReplaceFails(t *testing.T) {
	for name, test := range map[string]struct{ failure, want error }{
		"temporary": {errors.New("502 from the token endpoint"), session.ErrRefreshUnavailable},
		"uncertain": {session.ErrUncertain, session.ErrTooSoon},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, func() session.Store { return memstore.New() }, 1)
			defer c.close()
			m := c.managers[0]
			s := c.login()
			c.op.answer = func(context.Context, *session.Session, *session.Refreshed) (*session.Refreshed, error) {
				return nil, test.failure
			}
			c.advance(10 * time.Second)
			_, err := m.Replace(t.Context(), s, own, s.Tokens.Access)
			wantError(t, err, test.want)
			if token, err := call(m, s.Ticket(), own); err != nil || !token.Equal(s.Tokens.Access) {
				t.Errorf("afterwards: %q, %v", token.Reveal(), err)
			}
			c.wantCalls(1)
		})
	}
}

// TestReplaceWithoutRefreshToken: there is no other token, and the session lives.
func TestReplaceWithoutRefreshToken(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	tokens := c.op.grant()
	tokens.Refresh = secret.String{}
	s, err := m.Create(t.Context(), session.Login{Provider: "default", Issuer: "i", Subject: "s", Tokens: tokens})
	must(t, err)
	c.advance(time.Minute)
	_, err = m.Replace(t.Context(), s, own, s.Tokens.Access)
	wantError(t, err, session.ErrNotRefreshable)
	_, err = m.Open(t.Context(), s.Ticket())
	must(t, err)
}

// TestReplaceAfterLogout: an ended session gets no token, though the request had opened it before.
func TestReplaceAfterLogout(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		defer c.close()
		exchanging(c)
		s := c.login()
		_, err := call(c.managers[1], s.Ticket(), billing)
		must(t, err)
		c.advance(time.Minute)
		must(t, c.managers[0].End(t.Context(), s, session.ReasonLogout))
		for _, a := range []session.Audience{own, orders, billing} {
			_, err = c.managers[1].Replace(t.Context(), s, a, secret.New("refused"))
			wantError(t, err, session.ErrEnded)
		}
		c.wantCalls(0)
	})
}

// TestReplaceExpired: a token that has expired, or is not there, is no other token.
func TestReplaceExpired(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	defer c.close()
	m, s := c.managers[0], c.login()
	var last secret.String
	for range 2 {
		token, err := m.Replace(t.Context(), s, orders, secret.New("refused"))
		if err != nil || !isFor(token, orders) || token.Equal(last) {
			t.Errorf("got %q, %v", token.Reveal(), err)
		}
		last = token
		c.advance(tokenLife)
		_, err = call(m, s.Ticket(), own)
		must(t, err)
	}
	c.wantCalls(4)
}

// TestReplaceDuringRefresh: what a refresh under way brings, here or on another replica, is another token already.
func TestReplaceDuringRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		for by := range 2 {
			c := newCluster(t, open, 2)
			s := c.login()
			begun, finish := make(chan struct{}), make(chan struct{})
			c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
				close(begun)
				<-finish
				return got, nil
			}
			c.advance(tokenLife - 10*time.Second)
			_, err := c.managers[by].Fresh(t.Context(), s)
			must(t, err)
			receive(t, begun)
			replaced := make(chan secret.String)
			go func() {
				token, err := c.managers[0].Replace(context.Background(), s, own, s.Tokens.Access)
				if err != nil {
					t.Error(err)
				}
				replaced <- token
			}()
			time.AfterFunc(50*time.Millisecond, func() { close(finish) }) // most likely the other waits by then
			if token := receive(t, replaced); token.Reveal() != "marker-access-2" {
				t.Errorf("replaced by %q", token.Reveal())
			}
			c.wantCalls(1)
			c.close()
		}
	})
}

// TestReplaceBringsNoClaims: a user who asks for a refresh while a token is being replaced gets the claims too.
func TestReplaceBringsNoClaims(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	defer c.close()
	m := c.managers[0]
	s := c.login()
	c.advance(10 * time.Second)
	asked := 0
	c.op.claims = func(ctx context.Context, s *session.Session) (map[string]json.RawMessage, error) {
		asked++
		return named("Alice Renamed")(ctx, s)
	}
	begun, finish := make(chan struct{}), make(chan struct{})
	c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		if got.Tokens.Refresh.Reveal() == "marker-refresh-2" {
			close(begun)
			<-finish
		}
		return got, nil
	}
	replaced := make(chan secret.String)
	go func() {
		token, err := m.Replace(context.Background(), s, own, s.Tokens.Access)
		if err != nil {
			t.Error(err)
		}
		replaced <- token
	}()
	receive(t, begun)
	renewed := make(chan *session.Session)
	go func() {
		got, err := m.Renew(context.Background(), s)
		if err != nil {
			t.Error(err)
		}
		renewed <- got
	}()
	close(finish)
	if token := receive(t, replaced); token.Reveal() != "marker-access-2" {
		t.Errorf("replaced by %q", token.Reveal())
	}
	wantRenewed(t, receive(t, renewed), "3", "Alice Renamed 3")
	if asked != 1 {
		t.Errorf("asked for claims %d times", asked)
	}
}

// TestReplaceExchanged is RFR-32 for a token by exchange: once in ten seconds, for all requests together; the refused one
// stays where no other comes.
func TestReplaceExchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		defer c.close()
		m := c.managers[0]
		count := exchanging(c)
		s := c.login()
		refused, err := call(m, s.Ticket(), billing)
		must(t, err)
		_, err = m.Replace(t.Context(), s, billing, refused)
		wantError(t, err, session.ErrTooSoon)
		time.Sleep(10 * time.Second)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				token, err := m.Replace(context.Background(), s, billing, refused)
				if err != nil || token.Equal(refused) || !isExchanged(token, s, billing) {
					t.Errorf("got %q, %v", token.Reveal(), err)
				}
			})
		}
		all.Wait()
		if n := count.Load(); n != 2 {
			t.Errorf("%d exchanges, want 2", n)
		}
		c.op.exchange = func(context.Context, *session.Session, session.Audience) (*session.AudienceToken, error) {
			return nil, errors.New("502")
		}
		time.Sleep(10 * time.Second)
		second, err := call(m, s.Ticket(), billing)
		must(t, err)
		_, err = m.Replace(t.Context(), s, billing, second)
		wantError(t, err, session.ErrTooSoon)
		if token, err := call(m, s.Ticket(), billing); err != nil || !token.Equal(second) {
			t.Errorf("afterwards: %q, %v", token.Reveal(), err)
		}
		c.wantCalls(0)
	})
}
