package rp_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	ordersAPI       = "https://orders.example.com/api"
	stockAPI        = "https://stock.example.com"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

	clientCredentials = "client_credentials"
	tokenExchange     = optest.GrantTokenExchange
)

// ask is a way to an access token that has no refresh token beside it.
type ask func(context.Context, rp.Target) (*rp.AccessToken, error)

// asks are both of them, by their grant_type.
func (f *fixture) asks(subject secret.String) map[string]ask {
	return map[string]ask{
		clientCredentials: f.client.ClientCredentials,
		tokenExchange: func(ctx context.Context, target rp.Target) (*rp.AccessToken, error) {
			return f.client.ExchangeToken(ctx, subject, target)
		},
	}
}

// eachAsk runs a test for both, with an OP at which alice has signed in.
func eachAsk(t *testing.T, test func(f *fixture, ask ask)) {
	for _, grantType := range []string{clientCredentials, tokenExchange} {
		t.Run(grantType, func(t *testing.T) {
			t.Parallel()
			f := startLoaded(t)
			subject := f.login().AccessToken
			f.op.ForgetRequests()
			test(f, f.asks(subject)[grantType])
		})
	}
}

// askedForm is the form of the one token request that was made.
func (f *fixture) askedForm() url.Values {
	f.Helper()
	requests := f.op.Requests(optest.TokenEndpoint)
	if len(requests) != 1 || len(requests[0].Query) > 0 {
		f.Fatalf("token requests %+v, want one", requests)
	}
	return requests[0].Form
}

// RFC 6749 §4.4.2, EXT-01, RFC 8693 §2.1: what is sent is the target and the credentials (CA-01 to CA-03), and what comes
// back is a token for that target (EXT-02).
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	token, err := f.client.ClientCredentials(t.Context(), rp.Target{
		Audience: "orders", Resource: ordersAPI, Scopes: []string{"orders:read", "orders:write"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(url.Values{
		"grant_type": {clientCredentials}, "audience": {"orders"}, "resource": {ordersAPI},
		"scope": {"orders:read orders:write"},
	}, f.askedForm()); diff != "" {
		t.Error(diff)
	}
	issued, ok := f.op.AccessToken(token.Token.Reveal())
	if !ok || issued.Subject != clientID || !cmp.Equal(issued.Audience, []string{ordersAPI, "orders"}) {
		t.Errorf("issued %+v", issued)
	}
	if !cmp.Equal(token.Scope, []string{"orders:read", "orders:write"}) || token.ExpiresAt.Sub(token.IssuedAt) != 5*time.Minute {
		t.Errorf("token %+v", token)
	}
	f.wantQuiet()
}

// RFC 8693 §2.1 (EXT-03).
func TestExchangeToken(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	subject := f.login().AccessToken
	f.op.ForgetRequests()
	token, err := f.client.ExchangeToken(t.Context(), subject, rp.Target{
		Audience: "orders", Resource: ordersAPI, Scopes: []string{"orders:read"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(url.Values{
		"grant_type": {tokenExchange}, "subject_token": {subject.Reveal()}, "subject_token_type": {accessTokenType},
		"requested_token_type": {accessTokenType}, "audience": {"orders"}, "resource": {ordersAPI}, "scope": {"orders:read"},
	}, f.askedForm()); diff != "" {
		t.Error(diff)
	}
	issued, ok := f.op.AccessToken(token.Token.Reveal())
	if !ok || issued.Subject != "alice" || !cmp.Equal(issued.Audience, []string{ordersAPI, "orders"}) || token.Token.Equal(subject) {
		t.Errorf("issued %+v", issued)
	}
	f.wantQuiet()
}

// EXT-03: what the OP issued must be what was asked for, and it must say so.
func TestExchangeTokenOfAnotherType(t *testing.T) {
	t.Parallel()
	for _, fault := range []optest.Fault{
		optest.NoIssuedTokenType, optest.IssuedRefreshToken, optest.IssuedJWT,
		optest.TokenMember("issued_token_type", 7), optest.TokenMember("issued_token_type", nil),
	} {
		f := startLoaded(t)
		subject := f.login().AccessToken
		f.op.Fault(fault)
		token, err := f.client.ExchangeToken(t.Context(), subject, rp.Target{})
		if token != nil || !errors.Is(err, rp.ErrUncertain) || !strings.Contains(err.Error(), "EXT-03") {
			t.Errorf("%s: %v, want ErrUncertain naming EXT-03", fault, err)
		}
		f.wantQuiet(err)
	}
}

// RFC 8693 §2.2.2 has invalid_request for a subject token that is not valid; others say invalid_grant or invalid_token. A
// server in trouble says nothing about it, and with client credentials there is none.
func TestSubjectTokenRefused(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	subject := f.login().AccessToken
	refused := func(name string, err error, want bool) {
		t.Helper()
		if err == nil || errors.Is(err, rp.ErrInvalidGrant) != want {
			t.Errorf("%s: %v, ErrInvalidGrant: want %v", name, err, want)
		}
		f.wantQuiet(err)
	}
	f.op.RevokeGrants("alice")
	_, err := f.client.ExchangeToken(t.Context(), subject, rp.Target{})
	refused("a revoked grant", err, true)

	for code, want := range map[string]bool{
		"invalid_grant": true, "invalid_request": true, "invalid_token": true,
		"invalid_target": false, "invalid_client": false, "invalid_scope": false, "unauthorized_client": false,
	} {
		f.op.Fault(optest.TokenError(code, optest.HostileText))
		_, err := f.client.ExchangeToken(t.Context(), subject, rp.Target{})
		refused(code, err, want)
		_, err = f.client.ClientCredentials(t.Context(), rp.Target{})
		refused("client credentials: "+code, err, code == "invalid_grant")
		f.op.ClearFaults()
	}
	f.op.Fault(optest.Reply("trouble", optest.TokenEndpoint, answer(500, `{"error":"invalid_request"}`)))
	_, err = f.client.ExchangeToken(t.Context(), subject, rp.Target{})
	refused("500", err, false)
}

// EXT-01: invalid_target is an error that says where to look.
func TestInvalidTarget(t *testing.T) {
	t.Parallel()
	eachAsk(t, func(f *fixture, ask ask) {
		f.op.Fault(optest.InvalidTarget)
		token, err := ask(f.Context(), rp.Target{Audience: "orders"})
		if token != nil || !errors.Is(err, rp.ErrInvalidTarget) || !strings.Contains(err.Error(), "EXT-01") {
			f.Errorf("%v, want ErrInvalidTarget naming EXT-01", err)
		}
		for _, other := range []error{rp.ErrInvalidGrant, rp.ErrInvalidClient, rp.ErrUnavailable, rp.ErrUncertain} {
			if errors.Is(err, other) {
				f.Errorf("%v is also %q", err, other)
			}
		}
		f.wantQuiet(err)
	})
}

// EXT-01: what can be no resource is never sent.
func TestTargetIsNoResource(t *testing.T) {
	t.Parallel()
	eachAsk(t, func(f *fixture, ask ask) {
		for _, resource := range []string{"/relative", "orders.example.com", ordersAPI + "#part", ordersAPI + "#", ":"} {
			if _, err := ask(f.Context(), rp.Target{Resource: resource}); !errors.Is(err, rp.ErrInvalidTarget) {
				f.Errorf("%q: %v, want ErrInvalidTarget", resource, err)
			}
		}
		f.wantCount(optest.TokenEndpoint, 0)
	})
}

// RFC 6749 §4.4.3: a refresh token is left alone, and so is an ID token, whatever it is. Revoking the refresh token could
// end the grant.
func TestTokensBesideAreLeftAlone(t *testing.T) {
	t.Parallel()
	eachAsk(t, func(f *fixture, ask ask) {
		f.op.Fault(optest.ExtraRefreshToken, optest.TokenMember("id_token", "no.id.token"))
		if token, err := ask(f.Context(), rp.Target{}); err != nil || token.Token.IsZero() {
			f.Errorf("token %v, error %v", token, err)
		}
		f.wantCount(optest.RevocationEndpoint, 0)
		f.wantCount(optest.UserInfoEndpoint, 0)
	})
}

// FLOW-31, XOA-05: every token has an end, also one from an OP that does not say when. What the OP promises beyond the
// life of the subject token is told as it is (EXT-03 is the caller's).
func TestLifetimeOfAccessTokens(t *testing.T) {
	t.Parallel()
	eachAsk(t, func(f *fixture, ask ask) {
		for _, tt := range []struct {
			fault optest.Fault
			want  time.Duration
		}{
			{optest.TokenMember("expires_in", 120), 2 * time.Minute},
			{optest.NoExpiresIn, 5 * time.Minute},
			{optest.NegativeExpiresIn, 5 * time.Minute},
			{optest.FractionalExpiresIn, 299*time.Second + 500*time.Millisecond},
			{optest.StringExpiresIn, 5 * time.Minute},
			{optest.OutlivesAll, 365 * 24 * time.Hour},
			{optest.TokenMember("expires_in", 1e300), 365 * 24 * time.Hour},
		} {
			f.op.Fault(tt.fault)
			token, err := ask(f.Context(), rp.Target{})
			if err != nil {
				f.Errorf("%s: %v", tt.fault, err)
			} else if got := token.ExpiresAt.Sub(token.IssuedAt); got != tt.want || f.clock.now().Before(token.IssuedAt) {
				f.Errorf("%s: lives for %v, want %v", tt.fault, got, tt.want)
			}
			f.op.ClearFaults()
		}
	})
}

// FLOW-32: what was granted counts; an OP that does not say has granted what was asked for.
func TestScopeOfAccessTokens(t *testing.T) {
	t.Parallel()
	eachAsk(t, func(f *fixture, ask ask) {
		asked := []string{"orders:read"}
		for _, tt := range []struct {
			fault       optest.Fault
			asked, want []string
		}{
			{optest.Fault{}, asked, asked},
			{optest.NoScope, asked, asked},
			{optest.NoScope, nil, nil},
			{optest.NarrowerScope, asked, []string{"openid"}},
			{optest.TokenMember("scope", ""), asked, []string{}},
		} {
			f.op.Fault(tt.fault)
			token, err := ask(f.Context(), rp.Target{Scopes: tt.asked})
			if err != nil {
				f.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, token.Scope); diff != "" {
				f.Errorf("%s: %s", tt.fault, diff)
			}
			f.op.ClearFaults()
		}
	})
}

// FLOW-30, FLOW-33, RFR-29, XOA-10: answers that cannot be used, and failures, after exactly one request each (FLOW-29,
// CA-01).
func TestNoAccessToken(t *testing.T) {
	t.Parallel()
	endpoint := optest.TokenEndpoint
	eachAsk(t, func(f *fixture, ask ask) {
		for _, tt := range []struct {
			fault optest.Fault
			want  error
		}{
			{optest.TokenTypeNA, rp.ErrUncertain},
			{optest.NoTokenType, rp.ErrUncertain},
			{optest.TokenTypeDPoP, rp.ErrUncertain},
			{optest.NoAccessToken, rp.ErrUncertain},
			{optest.TokenMember("access_token", "two words"), rp.ErrUncertain},
			{optest.HTML(endpoint), rp.ErrUncertain},
			{optest.Drop(endpoint), rp.ErrUncertain},
			{optest.Huge(endpoint), rp.ErrUncertain},
			{optest.Status(endpoint, 503), rp.ErrUnavailable},
			{optest.Status(endpoint, 429), rp.ErrUnavailable},
			{optest.Redirect(endpoint, 307, trap(f.T).URL), rp.ErrUnavailable},
			{optest.TokenError("invalid_client", optest.HostileText), rp.ErrInvalidClient},
			{optest.TokenError("unauthorized_client", optest.HostileText), rp.ErrInvalidClient},
		} {
			f.op.ForgetRequests()
			f.op.Fault(tt.fault)
			token, err := ask(f.Context(), rp.Target{})
			if token != nil || !errors.Is(err, tt.want) {
				f.Errorf("%s: %v, want %v", tt.fault, err, tt.want)
			}
			f.wantCount(endpoint, 1)
			f.wantQuiet(err)
			f.op.ClearFaults()
		}
	})
}

func TestAccessTokenBeforeLoad(t *testing.T) {
	t.Parallel()
	f := start(t)
	for name, ask := range f.asks(secret.New("subject")) {
		if _, err := ask(t.Context(), rp.Target{}); !errors.Is(err, rp.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
}
