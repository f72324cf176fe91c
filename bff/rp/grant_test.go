package rp_test

import (
	"context"
	"encoding/base64"
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

// TestExchange: one token request with code, verifier and redirect URI (FLOW-17), by the registered method alone
// (CA-01 to CA-03).
func TestExchange(t *testing.T) {
	t.Parallel()
	for _, method := range []rp.ClientAuth{rp.ClientSecretBasic, rp.ClientSecretPost} {
		t.Run(string(method), func(t *testing.T) {
			f := startLoaded(t, func(_ *optest.Config, c *rp.Config) { c.ClientAuth = method })
			r := newRequest(nil)
			code := f.code(r)
			grant, err := f.client.Exchange(t.Context(), code, r)
			if err != nil {
				t.Fatal(err)
			}
			if grant.AccessToken.IsZero() || grant.RefreshToken.IsZero() || grant.IDToken.IsZero() {
				t.Errorf("grant %+v", grant)
			}
			if d := grant.ExpiresAt.Sub(grant.IssuedAt); d != 5*time.Minute {
				t.Errorf("the access token lives for %v", d)
			}
			if string(grant.Claims["name"]) != `"Alice"` {
				t.Errorf("claims %s", grant.Claims)
			}

			requests := f.op.Requests(optest.TokenEndpoint)
			if len(requests) != 1 {
				t.Fatalf("%d token requests", len(requests))
			}
			want := url.Values{
				"grant_type":    {"authorization_code"},
				"code":          {code.Reveal()},
				"redirect_uri":  {redirectURI},
				"code_verifier": {r.Verifier.Reveal()},
			}
			credentials := "Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":"+url.QueryEscape(clientSecret)))
			if method == rp.ClientSecretPost {
				want.Set("client_id", clientID)
				want.Set("client_secret", clientSecret)
				credentials = ""
			}
			if diff := cmp.Diff(want, requests[0].Form); diff != "" {
				t.Error(diff)
			}
			if got := requests[0].Header.Get("Authorization"); got != credentials || len(requests[0].Query) > 0 {
				t.Errorf("Authorization %q, query %v", got, requests[0].Query)
			}
			f.wantQuiet()
		})
	}
}

// TestTokenResponseRefused: an answer that cannot be used. It is uncertain, since the code may be spent, and it leads
// to no second request.
func TestTokenResponseRefused(t *testing.T) {
	t.Parallel()
	token := optest.TokenEndpoint
	for _, tt := range []struct {
		id    string
		fault optest.Fault
	}{
		{"FLOW-30", optest.NoTokenType},
		{"FLOW-30", optest.TokenTypeMAC},
		{"FLOW-30", optest.TokenTypeDPoP},
		{"RFC 6749 §5.1", optest.NoAccessToken},
		{"header injection", optest.TokenMember("access_token", "a\r\nX-Evil: 1")},
		{"header charset", optest.TokenMember("access_token", "a b")},
		{"type", optest.TokenMember("refresh_token", 7)},
		{"type", optest.TokenMember("scope", []string{"openid"})},
		{"XOA-10", optest.ContentType(token, "text/plain")},
		{"XOA-10", optest.HTML(token)},
		{"XOA-10", optest.Array(token)},
		{"FLOW-33", optest.Huge(token)},
		{"RFR-29", optest.Drop(token)},
		{"RFR-29", optest.Body(token, "application/json", `{"access_token":"marker`)},
	} {
		t.Run(tt.id+" "+tt.fault.String(), func(t *testing.T) {
			f := startLoaded(t)
			f.op.Fault(tt.fault)
			grant, err := f.exchange(nil)
			if !errors.Is(err, rp.ErrUncertain) || grant != nil {
				t.Errorf("error %v, want ErrUncertain", err)
			}
			f.wantCount(token, 1)
			f.wantCount(optest.UserInfoEndpoint, 0)
			f.wantQuiet(err)
		})
	}
}

// TestExchangeGivesBack: tokens that a login cannot use do not live on at the OP.
func TestExchangeGivesBack(t *testing.T) {
	t.Parallel()
	for _, fault := range []optest.Fault{
		optest.NoIDToken, optest.OtherNonce, optest.BadSignature, optest.WrongAtHash, optest.UserInfoOtherSubject,
		optest.TokenMember("token_type", "DPoP"), optest.TokenMember("access_token", "two words"), optest.TokenMember("scope", 1),
	} {
		f := startLoaded(t)
		f.op.Fault(fault)
		_, err := f.exchange(nil)
		if !errors.Is(err, rp.ErrIDToken) && !errors.Is(err, rp.ErrMismatch) && !errors.Is(err, rp.ErrUncertain) {
			t.Errorf("%s: %v", fault, err)
		}
		if revoked := f.op.Requests(optest.RevocationEndpoint); len(revoked) != 1 || revoked[0].Form.Get("token_type_hint") != "refresh_token" {
			t.Errorf("%s: revocation requests %+v", fault, revoked)
		}
		f.wantQuiet(err)
	}
}

// TestTokenEndpointFails: what the OP's refusals and failures are to the caller (RFR-28), each after exactly one
// request (FLOW-29, CA-01), at the exchange and at the refresh.
func TestTokenEndpointFails(t *testing.T) {
	t.Parallel()
	token := optest.TokenEndpoint
	for _, tt := range []struct {
		fault optest.Fault
		want  error // nil: none of the package's
	}{
		{optest.TokenError("invalid_grant", optest.HostileText), rp.ErrInvalidGrant},
		{optest.TokenError("invalid_client", ""), rp.ErrInvalidClient},
		{optest.TokenError("unauthorized_client", ""), rp.ErrInvalidClient},
		{optest.TokenError("temporarily_unavailable", ""), rp.ErrUnavailable},
		{optest.TokenError("invalid_request", ""), nil},
		{optest.TokenError("marker-unregistered", ""), nil},
		{optest.Status(token, 201), rp.ErrUncertain}, // it has acted
		{optest.Status(token, 204), rp.ErrUncertain},
		{optest.Status(token, 400), nil},
		{optest.Status(token, 401), rp.ErrInvalidClient},
		{optest.Status(token, 404), nil},
		{optest.Status(token, 429), rp.ErrUnavailable},
		{optest.Status(token, 500), rp.ErrUnavailable},
		{optest.Status(token, 503), rp.ErrUnavailable},
		{optest.Redirect(token, 302, trap(t).URL), rp.ErrUnavailable}, // FLOW-33
		{optest.Redirect(token, 307, trap(t).URL), rp.ErrUnavailable}, // XOA-02
		{optest.Gone(token), rp.ErrUncertain},
		{optest.Drop(token), rp.ErrUncertain}, // RFR-29
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			f := startLoaded(t)
			grant := f.login()
			r := newRequest(nil)
			code := f.code(r)
			f.op.ForgetRequests()
			f.op.Fault(tt.fault)

			_, exchangeErr := f.client.Exchange(t.Context(), code, r)
			f.wantCount(token, 1)
			_, refreshErr := f.client.Refresh(t.Context(), grant.RefreshToken, grant.Identity)
			f.wantCount(token, 2)
			kinds := []error{
				rp.ErrUnavailable, rp.ErrUncertain, rp.ErrInvalidGrant, rp.ErrInvalidClient, rp.ErrMismatch, rp.ErrIDToken,
			}
			for _, err := range []error{exchangeErr, refreshErr} {
				if err == nil {
					t.Fatal("no error")
				}
				for _, kind := range kinds {
					if errors.Is(err, kind) != (kind == tt.want) {
						t.Errorf("%v: is %q: %v", err, kind, errors.Is(err, kind))
					}
				}
				if strings.Contains(err.Error(), "marker") || strings.Contains(err.Error(), "script") {
					t.Errorf("the OP's text is repeated: %v", err)
				}
			}
			f.wantQuiet(exchangeErr, refreshErr)
		})
	}
}

// TestServerErrorDoesNotEndTheGrant: a server in trouble may say anything; its status counts (RFR-28).
func TestServerErrorDoesNotEndTheGrant(t *testing.T) {
	t.Parallel()
	err := &rp.TokenError{Status: 500, Code: "invalid_grant"}
	if errors.Is(err, rp.ErrInvalidGrant) || !errors.Is(err, rp.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestTokenEndpointUnreachable(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	r := newRequest(nil)
	code := f.code(r)
	f.op.Close()
	if _, err := f.client.Exchange(t.Context(), code, r); !errors.Is(err, rp.ErrUnavailable) || errors.Is(err, rp.ErrUncertain) {
		t.Errorf("nothing could be sent: %v, want ErrUnavailable", err)
	}
}

func TestExchangeBeforeLoad(t *testing.T) {
	t.Parallel()
	f := start(t)
	if _, err := f.client.Exchange(t.Context(), secret.New("c"), newRequest(nil)); !errors.Is(err, rp.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}

// TestCallerGoesAway: a caller that leaves while the OP works leaves the outcome open.
func TestCallerGoesAway(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	r := newRequest(nil)
	code := f.code(r)
	_, err := f.client.Exchange(f.leaveAt(optest.TokenEndpoint), code, r)
	if !errors.Is(err, rp.ErrUncertain) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want ErrUncertain and Canceled", err)
	}
	f.wantCount(optest.TokenEndpoint, 1)
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id    string
		fault optest.Fault
		want  time.Duration
	}{
		{"FLOW-31", optest.NoExpiresIn, 5 * time.Minute},
		{"FLOW-31", optest.NegativeExpiresIn, 5 * time.Minute},
		{"FLOW-31", optest.TokenMember("expires_in", 0), 5 * time.Minute},
		{"FLOW-31", optest.TokenMember("expires_in", nil), 5 * time.Minute},
		{"FLOW-31", optest.TokenMember("expires_in", "soon"), 5 * time.Minute},
		{"FLOW-31", optest.TokenMember("expires_in", "NaN"), 5 * time.Minute},
		{"FLOW-31", optest.TokenMember("expires_in", 1e300), 365 * 24 * time.Hour},
		{"XOA-05", optest.FractionalExpiresIn, 299*time.Second + 500*time.Millisecond},
		{"XOA-05", optest.StringExpiresIn, 300 * time.Second},
		{"FLOW-30", optest.TokenTypeOddCase, 5 * time.Minute},
	} {
		t.Run(tt.id+" "+tt.fault.String(), func(t *testing.T) {
			f := startLoaded(t)
			f.op.Fault(tt.fault)
			grant := f.login()
			if got := grant.ExpiresAt.Sub(grant.IssuedAt); got != tt.want {
				t.Errorf("lifetime %v, want %v", got, tt.want)
			}
		})
	}
}

func TestGrantedScope(t *testing.T) { // FLOW-32
	asked := []string{"openid", "profile", "email", "offline_access"}
	for name, tt := range map[string]struct {
		fault optest.Fault
		want  []string
	}{
		"as asked": {optest.Fault{}, asked},
		"absent":   {optest.NoScope, asked},
		"narrower": {optest.NarrowerScope, []string{"openid"}},
		"wider":    {optest.WiderScope, append(asked, "admin")},
		"empty":    {optest.TokenMember("scope", ""), []string{}},
	} {
		f := startLoaded(t)
		f.op.Fault(tt.fault)
		if diff := cmp.Diff(tt.want, f.login().Scope); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
