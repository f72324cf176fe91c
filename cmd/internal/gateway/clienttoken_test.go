package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

// tokenSource is a source of tokens with its OP, in a bubble of testing/synctest: time passes only when everybody waits.
type tokenSource struct {
	*clientToken
	t       *testing.T
	op      *optest.OP
	client  *rp.Client
	sources *clientTokens
	log     *lockedBuffer
}

// inProcess is a transport to a handler without a network.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// testClientToken runs a test with tokens that live for so long. No goroutine may be left when it ends: synctest sees to
// that.
func testClientToken(t *testing.T, lifetime time.Duration, test func(t *testing.T, s *tokenSource)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &tokenSource{t: t, log: &lockedBuffer{}}
		var err error
		s.op, err = optest.New(optest.Config{
			Issuer:              "https://op.example.com",
			Clients:             []optest.Client{{ID: "app", Secret: "s", RedirectURIs: []string{"https://app.example.com/callback"}}},
			AccessTokenLifetime: lifetime,
			OpaqueAccessTokens:  true,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.client, err = rp.New(rp.Config{
			Issuer: s.op.Issuer(), ClientID: "app", ClientSecret: secret.New("s"), RedirectURI: "https://app.example.com/callback",
			Scopes: []string{"openid"}, HTTPClient: &http.Client{Transport: inProcess{s.op}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.client.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.sources = newClientTokens(time.Now, NewLogger(s.log))
		s.clientToken = s.sources.source("default", s.client, rp.Target{Audience: "orders", Scopes: []string{"orders:read"}})
		test(t, s)
		if err := s.sources.Close(); err != nil {
			t.Error(err)
		}
	})
}

// good is a token that must come.
func (s *tokenSource) good() string {
	s.t.Helper()
	token, err := s.Token(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, ok := s.op.AccessToken(token.Reveal()); !ok {
		s.t.Error("the token is not good")
	}
	return token.Reveal()
}

func (s *tokenSource) wantRequests(n int) {
	s.t.Helper()
	synctest.Wait()
	if got := s.op.CountGrants("client_credentials"); got != n {
		s.t.Errorf("%d token requests, want %d", got, n)
	}
}

func (s *tokenSource) wantUnavailable(err error) {
	s.t.Helper()
	if p, ok := errors.AsType[*problem.Error](err); !ok || p.Code != problem.ProviderUnavailable {
		s.t.Errorf("%v, want %s", err, problem.ProviderUnavailable)
	}
}

// RFC 6749 §4.4, EXT-02: whoever asks, and however often, it is one token, for the target.
func TestClientTokenIsShared(t *testing.T) {
	testClientToken(t, time.Hour, func(t *testing.T, s *tokenSource) {
		s.op.Fault(optest.SlowToken(time.Second))
		tokens := make([]string, 50)
		var group sync.WaitGroup
		for i := range tokens {
			group.Go(func() { tokens[i] = s.good() })
		}
		group.Wait()
		for range 50 {
			tokens = append(tokens, s.good())
		}
		for _, token := range tokens {
			if token != tokens[0] {
				t.Fatal("several tokens")
			}
		}
		s.wantRequests(1)
		issued, _ := s.op.AccessToken(tokens[0])
		if !cmp.Equal(issued.Audience, []string{"orders"}) || !cmp.Equal(issued.Scopes, []string{"orders:read"}) {
			t.Errorf("issued %+v", issued)
		}
	})
}

// EXT-02: routes with the same target share a source, others never.
func TestClientTokenSources(t *testing.T) {
	testClientToken(t, time.Hour, func(t *testing.T, s *tokenSource) {
		two := rp.Target{Audience: "a", Resource: "https://a.example", Scopes: []string{"x", "y"}}
		one := s.sources.source("default", s.client, two)
		two.Scopes = []string{"y", "x"}
		if s.sources.source("default", s.client, two) != one {
			t.Error("two sources for one target")
		}
		for name, other := range map[string]*clientToken{
			"provider": s.sources.source("second", s.client, two),
			"audience": s.sources.source("default", s.client, rp.Target{Resource: two.Resource, Scopes: two.Scopes}),
			"resource": s.sources.source("default", s.client, rp.Target{Audience: "a", Scopes: two.Scopes}),
			"scopes":   s.sources.source("default", s.client, rp.Target{Audience: "a", Resource: two.Resource}),
		} {
			if other == one {
				t.Errorf("another %s, the same source", name)
			}
		}
	})
}

// RFR-27: the next token is asked for while the last is good, at most a minute and at most a third of its life before its
// end, by one caller, and nobody waits.
func TestClientTokenIsRenewedEarly(t *testing.T) {
	for _, tt := range []struct{ lifetime, early, due time.Duration }{
		{10 * time.Minute, 9 * time.Minute, 9*time.Minute + 6*time.Second},
		{30 * time.Second, 20 * time.Second, 21 * time.Second},
	} {
		testClientToken(t, tt.lifetime, func(t *testing.T, s *tokenSource) {
			first := s.good()
			time.Sleep(tt.early - time.Second)
			s.good()
			s.wantRequests(1)

			s.op.Fault(optest.SlowToken(2 * time.Second))
			time.Sleep(tt.due - tt.early + time.Second)
			for range 10 {
				before := time.Now()
				if s.good() != first || time.Since(before) > 0 {
					t.Error("somebody has waited")
				}
			}
			s.wantRequests(2)
			time.Sleep(3 * time.Second)
			if s.good() == first {
				t.Error("still the first token")
			}
			s.wantRequests(2)
		})
	}
}

// RFR-25: the request belongs to nobody who waits for it.
func TestClientTokenOutlivesItsCaller(t *testing.T) {
	testClientToken(t, time.Hour, func(t *testing.T, s *tokenSource) {
		s.op.Fault(optest.SlowToken(2 * time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want that of the context", err)
		}
		s.good()
		s.wantRequests(1)
	})
}

// RFR-26: a request waits for eight seconds and no longer. One that is not answered is given up.
func TestClientTokenWaitIsBounded(t *testing.T) {
	testClientToken(t, time.Hour, func(t *testing.T, s *tokenSource) {
		s.op.Fault(optest.SlowToken(time.Hour))
		before := time.Now()
		_, err := s.Token(t.Context())
		s.wantUnavailable(err)
		if waited := time.Since(before); waited != 8*time.Second {
			t.Errorf("waited for %v", waited)
		}
		_, err = s.Token(t.Context())
		s.wantUnavailable(err)
		if waited := time.Since(before); waited != 10*time.Second {
			t.Errorf("the request was given up after %v", waited)
		}
		s.wantRequests(1)
	})
}

// RFR-28: an OP that is down is asked with growing pauses, however many want a token. What there is serves until it
// expires.
func TestClientTokenWhileTheOPIsDown(t *testing.T) {
	testClientToken(t, 10*time.Minute, func(t *testing.T, s *tokenSource) {
		first := s.good()
		s.op.Fault(optest.Status(optest.TokenEndpoint, 503))
		failed := 0
		for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(100 * time.Millisecond) {
			token, err := s.Token(t.Context())
			if good := time.Since(start) < 10*time.Minute; good != (err == nil) || good && token.Reveal() != first {
				t.Fatalf("after %v: error %v", time.Since(start), err)
			}
			if err != nil {
				s.wantUnavailable(err)
				failed++
			}
		}
		if n := s.op.CountGrants("client_credentials"); n < 100 || n > 125 { // 51 minutes, mostly two a minute
			t.Errorf("%d token requests", n)
		}
		if failed < 1000 {
			t.Errorf("%d failures", failed)
		}
		s.op.ClearFaults()
		time.Sleep(30 * time.Second)
		if s.good() == first {
			t.Error("the first token")
		}
		if logged := s.log.String(); !strings.Contains(logged, "503") || strings.Contains(logged, first) ||
			!strings.Contains(logged, `"audience":"orders"`) {
			t.Errorf("log %.1000s", logged)
		}
	})
}

// The pauses begin anew after every success.
func TestClientTokenPauses(t *testing.T) {
	testClientToken(t, time.Minute, func(t *testing.T, s *tokenSource) {
		s.op.Fault(optest.Status(optest.TokenEndpoint, 503))
		requests := 0
		for _, pause := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			_, err := s.Token(t.Context())
			s.wantUnavailable(err)
			requests++
			time.Sleep(pause*time.Second - time.Millisecond)
			before := time.Now()
			_, err = s.Token(t.Context())
			s.wantUnavailable(err)
			if time.Since(before) > 0 {
				t.Error("waited during a pause")
			}
			s.wantRequests(requests)
			time.Sleep(time.Millisecond)
		}
		s.op.ClearFaults()
		s.good()
		s.op.Fault(optest.Status(optest.TokenEndpoint, 503))
		time.Sleep(2 * time.Minute)
		_, err := s.Token(t.Context())
		s.wantUnavailable(err)
		s.op.ClearFaults()
		time.Sleep(time.Second)
		s.good()
	})
}

// A token that was good for less time than it took to come is none, and the OP is not asked again without a pause.
func TestClientTokenThatComesTooLate(t *testing.T) {
	testClientToken(t, time.Second, func(t *testing.T, s *tokenSource) {
		s.op.Fault(optest.SlowToken(2 * time.Second))
		for range 2 {
			_, err := s.Token(t.Context())
			s.wantUnavailable(err)
			s.wantRequests(1)
		}
		s.op.ClearFaults()
		time.Sleep(time.Second)
		s.good()
	})
}

// EXT-01: what only the operator can mend is an error in the log, and says what it is about.
func TestClientTokenRefused(t *testing.T) {
	testClientToken(t, time.Hour, func(t *testing.T, s *tokenSource) {
		s.op.Fault(optest.InvalidTarget)
		_, err := s.Token(t.Context())
		s.wantUnavailable(err)
		if logged := s.log.String(); !strings.Contains(logged, "EXT-01") || !strings.Contains(logged, `"ERROR"`) ||
			strings.Contains(logged, "script") {
			t.Errorf("log %s", logged)
		}
	})
	for err, want := range map[error]slog.Level{
		rp.ErrUnavailable: slog.LevelWarn, rp.ErrUncertain: slog.LevelWarn, rp.ErrInvalidClient: slog.LevelError,
		context.Canceled: slog.LevelInfo,
	} {
		if got := clientTokenLevel(err); got != want {
			t.Errorf("%v is logged as %v", err, got)
		}
	}
}

// Close ends the request that is under way, and begins no other. A token that is there still serves.
func TestCloseClientTokens(t *testing.T) {
	testClientToken(t, time.Minute, func(t *testing.T, s *tokenSource) {
		s.good()
		time.Sleep(50 * time.Second)
		s.op.Fault(optest.SlowToken(time.Hour))
		s.good()
		s.wantRequests(2)
		before := time.Now()
		if err := s.sources.Close(); err != nil || time.Since(before) > 0 {
			t.Errorf("Close: %v after %v", err, time.Since(before))
		}
		if !strings.Contains(s.log.String(), "canceled") {
			t.Error("Close has not waited for the end of the request")
		}
		time.Sleep(5 * time.Second)
		s.good()
		time.Sleep(time.Minute)
		_, err := s.Token(t.Context())
		s.wantUnavailable(err)
		s.wantRequests(2)
	})
}
