package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

var (
	billing = session.Audience{Exchange: true, Name: "billing", Scope: "read write"}
	mail    = session.Audience{Exchange: true, Name: "mail"}
)

// exchanging makes the OP of a cluster exchange tokens, which tell what they are made of, and counts.
func exchanging(c *cluster) (count *atomic.Int32) {
	count = new(atomic.Int32)
	c.op.exchange = func(_ context.Context, s *session.Session, a session.Audience) (*session.AudienceToken, error) {
		return c.exchange(count.Add(1), s, a), nil
	}
	return count
}

func (c *cluster) exchange(serial int32, s *session.Session, a session.Audience) *session.AudienceToken {
	return &session.AudienceToken{
		Token:    secret.New(fmt.Sprintf("marker-exchanged-%d of %s for %s", serial, s.Tokens.Access.Reveal(), a.Name)),
		IssuedAt: c.now(), ExpiresAt: c.now().Add(tokenLife),
	}
}

// isExchanged reports whether a token is one by exchange for an audience, made of a session's access token.
func isExchanged(token secret.String, s *session.Session, a session.Audience) bool {
	_, of, _ := strings.Cut(token.Reveal(), " of ")
	return of == s.Tokens.Access.Reveal()+" for "+a.Name
}

// TestExchange is EXT-02 and EXT-03: many requests of two sessions for two audiences, one exchange for each session and
// audience, nobody gets another's token.
func TestExchange(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 1)
		defer c.close()
		m := c.managers[0]
		count := exchanging(c)
		sessions := []*session.Session{c.login(), c.login()}
		var all sync.WaitGroup
		for i := range 80 {
			s, a := sessions[i%2], []session.Audience{billing, mail}[i/2%2]
			all.Go(func() {
				if token, err := call(m, s.Ticket(), a); err != nil || !isExchanged(token, s, a) {
					t.Errorf("for %s: %q, %v", a.Name, token.Reveal(), err)
				}
			})
		}
		all.Wait()
		if n := count.Load(); n != 4 {
			t.Errorf("%d exchanges, want 4", n)
		}
		c.wantCalls(0)
	})
}

// TestExchangeEnds is EXT-03: a token by exchange lives no longer than the session, its access token, or itself, and is
// another one when the access token is.
func TestExchangeEnds(t *testing.T) {
	for name, test := range map[string]struct {
		life    time.Duration // of the token by exchange
		session time.Duration // of the session's access token
		refresh string        // with or without a refresh token
	}{
		"with itself":                   {time.Minute, tokenLife, "refresh"},
		"with the access token":         {time.Hour, tokenLife, "refresh"},
		"with the session":              {time.Hour, tokenLife, ""},
		"with the session, at the last": {4 * time.Hour, 3 * time.Hour, "refresh"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, func() session.Store { return memstore.New() }, 1)
				defer c.close()
				options := c.options()
				options.IdleTimeout, options.RefreshBefore = 12*time.Hour, 0
				m := session.NewManager(c.store, c.ring, options)
				c.managers = append(c.managers, m)
				var issued []*session.AudienceToken
				c.op.exchange = func(_ context.Context, s *session.Session, a session.Audience) (*session.AudienceToken, error) {
					got := c.exchange(int32(len(issued)), s, a)
					got.ExpiresAt = c.now().Add(test.life)
					issued = append(issued, got)
					return got, nil
				}
				tokens := c.op.grant()
				tokens.ExpiresAt = tokens.IssuedAt.Add(test.session)
				if test.refresh == "" {
					tokens.Refresh = secret.String{}
				}
				s, err := m.Create(t.Context(), session.Login{Provider: "default", Issuer: "i", Subject: "s", Tokens: tokens})
				must(t, err)
				_, err = call(m, s.Ticket(), billing)
				must(t, err)
				end := min(test.life, test.session, 2*time.Hour)
				time.Sleep(end - time.Nanosecond)
				if token, err := m.TokenFor(t.Context(), s, billing); err != nil || !token.Equal(issued[0].Token) {
					t.Errorf("before the end: %q, %v", token.Reveal(), err)
				}
				time.Sleep(time.Nanosecond)
				// With the session as it was: the look at the clock is TokenFor's own.
				if token, _ := m.TokenFor(t.Context(), s, billing); token.Equal(issued[0].Token) {
					t.Error("after the end: the same token")
				}
			})
		})
	}
}

// TestExchangeOfNewToken is EXT-03: when the session's access token has been refreshed, what was made of the old one is not
// used any more.
func TestExchangeOfNewToken(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		defer c.close()
		count := exchanging(c)
		old := c.login()
		for _, m := range c.managers {
			_, err := call(m, old.Ticket(), billing)
			must(t, err)
		}
		c.advance(10 * time.Second)
		s, err := c.managers[0].Renew(t.Context(), old)
		must(t, err)
		for _, m := range c.managers {
			token, err := m.TokenFor(t.Context(), s, billing)
			must(t, err)
			if !isExchanged(token, s, billing) {
				t.Errorf("got %s", token.Reveal())
			}
			// A request that has opened the session before does not bring back the old one.
			if again, err := m.TokenFor(t.Context(), old, billing); err != nil || !again.Equal(token) {
				t.Errorf("with the session as it was: %s, %v", again.Reveal(), err)
			}
		}
		if n := count.Load(); n != 4 {
			t.Errorf("%d exchanges, want one for each token on each replica", n)
		}
	})
}

// TestExchangeOfProlongedToken: an OP that sends the same access token at a refresh, for longer, gets it exchanged again.
func TestExchangeOfProlongedToken(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	defer c.close()
	count := exchanging(c)
	m, s := c.managers[0], c.login()
	c.op.answer = func(_ context.Context, s *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		got.Tokens.Access = s.Tokens.Access
		return got, nil
	}
	first, err := call(m, s.Ticket(), billing)
	must(t, err)
	c.advance(tokenLife)
	for range 3 {
		if token, err := call(m, s.Ticket(), billing); err != nil || token.Equal(first) || !isExchanged(token, s, billing) {
			t.Errorf("got %q, %v", token.Reveal(), err)
		}
	}
	if n := count.Load(); n != 2 {
		t.Errorf("%d exchanges, want 2", n)
	}
}

// TestLogoutForgetsExchanged is EXT-03 and BCL-28: a logout clears the memory of every replica, and nobody gets a token
// any more, not even who had opened the session before.
func TestLogoutForgetsExchanged(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		defer c.close()
		exchanging(c)
		s, other := c.login(), c.login()
		for _, m := range c.managers {
			eventually(t, func() bool { // the feed of a new replica begins with a notice that it may have missed something
				_, err := call(m, s.Ticket(), billing)
				must(t, err)
				_, err = call(m, other.Ticket(), mail)
				must(t, err)
				return m.Exchanges() == 2
			})
		}
		must(t, c.managers[0].End(t.Context(), s, session.ReasonLogout))
		if n := c.managers[0].Exchanges(); n != 1 { // at once where it ends
			t.Errorf("%d tokens are left after the logout", n)
		}
		for i, m := range c.managers {
			eventually(t, func() bool { return m.Exchanges() == 1 })
			token, err := m.TokenFor(t.Context(), s, billing)
			if !errors.Is(err, session.ErrEnded) || !token.IsZero() {
				t.Errorf("replica %d: %q, %v", i, token.Reveal(), err)
			}
			if token, err := call(m, other.Ticket(), mail); err != nil || !isExchanged(token, other, mail) {
				t.Errorf("replica %d, the other session: %q, %v", i, token.Reveal(), err)
			}
		}
	})
}

// TestLogoutDuringExchange: what comes for a session that has ended nobody gets.
func TestLogoutDuringExchange(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		defer c.close()
		s := c.login()
		c.op.exchange = func(ctx context.Context, s *session.Session, a session.Audience) (*session.AudienceToken, error) {
			return c.exchange(1, s, a), c.managers[1].End(ctx, s, session.ReasonLogout)
		}
		token, err := c.managers[0].TokenFor(t.Context(), s, billing)
		if !errors.Is(err, session.ErrEnded) || !token.IsZero() {
			t.Errorf("got %q, %v", token.Reveal(), err)
		}
		eventually(t, func() bool { return c.managers[0].Exchanges() == 0 })
	})
}

// TestExchangeFails is RFR-26 and RFR-28 for tokens by exchange: the old one serves until it expires, then the answer is
// an error, the OP is not asked all the time, and the session lives whatever the OP says.
func TestExchangeFails(t *testing.T) {
	for name, test := range map[string]struct {
		failure, want error
		least, most   int // attempts in ten seconds
	}{
		"temporary":                {errors.New("502 from the token endpoint"), session.ErrRefreshUnavailable, 4, 5},
		"audience refused":         {session.ErrAudienceRefused, session.ErrAudienceRefused, 1, 1},
		"the access token refused": {session.ErrGrantRefused, session.ErrRefreshUnavailable, 4, 5},
		"no answer":                {session.ErrUncertain, session.ErrRefreshUnavailable, 4, 5},
		"panic":                    {nil, session.ErrRefreshUnavailable, 4, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, func() session.Store { return memstore.New() }, 1)
				defer c.close()
				m := c.managers[0]
				exchanging(c)
				s := c.login()
				first, err := call(m, s.Ticket(), billing)
				must(t, err)
				attempts := 0
				c.op.exchange = func(context.Context, *session.Session, session.Audience) (*session.AudienceToken, error) {
					attempts++
					if test.failure == nil {
						panic("exchange")
					}
					return nil, test.failure
				}
				c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
					t.Error("a refresh")
					return got, nil
				}
				for range 290 {
					token, err := m.TokenFor(t.Context(), s, billing)
					if err != nil || !token.Equal(first) {
						t.Fatalf("while the old one is good: %q, %v", token.Reveal(), err)
					}
					time.Sleep(time.Second)
				}
				time.Sleep(time.Minute) // the last pause is over
				attempts = 0
				for range 100 {
					token, err := m.TokenFor(t.Context(), s, billing)
					if !errors.Is(err, test.want) || !token.IsZero() {
						t.Fatalf("got %q, %v", token.Reveal(), err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				if attempts < test.least || attempts > test.most {
					t.Errorf("%d attempts in ten seconds", attempts)
				}
				if _, err := m.Open(t.Context(), s.Ticket()); err != nil {
					t.Errorf("the session: %v", err)
				}
			})
		})
	}
}

// TestExchangeDue is RFR-27: nobody waits while the token is good.
func TestExchangeDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		defer c.close()
		m := c.managers[0]
		var serial int32
		finish := make(chan struct{})
		c.op.exchange = func(_ context.Context, s *session.Session, a session.Audience) (*session.AudienceToken, error) {
			if serial++; serial > 1 {
				<-finish
			}
			got := c.exchange(serial, s, a)
			got.ExpiresAt = c.now().Add(time.Minute)
			return got, nil
		}
		s := c.login()
		first, err := call(m, s.Ticket(), billing)
		must(t, err)
		time.Sleep(50 * time.Second)
		for range 3 {
			if token, err := call(m, s.Ticket(), billing); err != nil || !token.Equal(first) {
				t.Errorf("got %q, %v", token.Reveal(), err)
			}
		}
		close(finish)
		synctest.Wait()
		if token, err := call(m, s.Ticket(), billing); err != nil || token.Equal(first) || serial != 2 {
			t.Errorf("after %d exchanges %q, %v", serial, token.Reveal(), err)
		}
	})
}

// TestExchangeDetached is RFR-25 and RFR-26: who asked for it may go away, nobody waits for ever, and Close waits.
func TestExchangeDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		m := c.managers[0]
		s := c.login()
		c.op.exchange = func(ctx context.Context, s *session.Session, a session.Audience) (*session.AudienceToken, error) {
			takes := 5 * time.Second
			if a == mail {
				takes = 9 * time.Second
			}
			time.Sleep(takes)
			return c.exchange(1, s, a), ctx.Err()
		}
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		_, err := m.TokenFor(ctx, s, billing)
		wantError(t, err, context.Canceled)
		_, err = m.TokenFor(t.Context(), s, billing)
		must(t, err)
		begun := time.Now()
		_, err = m.TokenFor(t.Context(), s, mail)
		wantError(t, err, session.ErrRefreshUnavailable)
		if waited := time.Since(begun); waited > 8*time.Second {
			t.Errorf("waited for %v", waited)
		}
		c.close()
		if n := m.Exchanges(); n != 0 {
			t.Errorf("%d tokens are left after Close", n)
		}
		_, err = m.TokenFor(t.Context(), s, billing)
		wantError(t, err, session.ErrRefreshUnavailable)
	})
}

// TestExchangedIsForgotten: what has expired leaves the memory.
func TestExchangedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		defer c.close()
		m := c.managers[0]
		exchanging(c)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = m.Run(ctx) }()
		s := c.login()
		for _, a := range []session.Audience{billing, mail} {
			_, err := call(m, s.Ticket(), a)
			must(t, err)
		}
		time.Sleep(tokenLife - time.Second)
		if n := m.Exchanges(); n != 2 {
			t.Errorf("%d tokens", n)
		}
		time.Sleep(time.Minute)
		if n := m.Exchanges(); n != 0 {
			t.Errorf("%d expired tokens", n)
		}
	})
}
