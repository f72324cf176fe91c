package bff

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
)

const ordersAPI, stockAPI = "https://orders.example.com", "https://stock.example.com"

func forResources(o *setup) { o.RP[0].Resource = []string{ordersAPI, stockAPI} }

// EXT-02, RFC 8707 §2.2: a refresh for one resource is one of the session, which stays a session for all of them.
func TestRefresherForOneResource(t *testing.T) {
	a := newApp(t, forResources)
	s := a.signedIn()
	got, err := NewRefresher(a.Providers).RefreshFor(t.Context(), s, session.Audience{Resource: stockAPI})
	if err != nil {
		t.Fatal(err)
	}
	issued, _ := a.op.AccessToken(got.Tokens.Access.Reveal())
	if diff := cmp.Diff([]string{stockAPI}, issued.Audience); diff != "" {
		t.Error(diff)
	}
	var identity rp.Identity
	if err := json.Unmarshal(got.Identity, &identity); err != nil || !cmp.Equal(identity.Resource, []string{ordersAPI, stockAPI}) {
		t.Errorf("identity %s", got.Identity)
	}
	if got.Tokens.Refresh.IsZero() || got.Tokens.Refresh.Equal(s.Tokens.Refresh) || string(got.Claims["email"]) != `"alice@example.com"` {
		t.Errorf("refreshed %+v", got)
	}
}

// EXT-03: the session's access token for one of an upstream's own.
func TestRefresherExchanges(t *testing.T) {
	a := newApp(t)
	s := a.signedIn()
	got, err := NewRefresher(a.Providers).Exchange(t.Context(), s, session.Audience{
		Exchange: true, Name: "orders", Resource: ordersAPI, Scope: "orders:read orders:write",
	})
	if err != nil {
		t.Fatal(err)
	}
	issued, _ := a.op.AccessToken(got.Token.Reveal())
	if issued.Subject != "alice" || !cmp.Equal(issued.Audience, []string{ordersAPI, "orders"}) ||
		!cmp.Equal(issued.Scopes, []string{"orders:read", "orders:write"}) || !cmp.Equal(got.Scope, issued.Scopes) {
		t.Errorf("issued %+v, scope %v", issued, got.Scope)
	}
	if got.ExpiresAt.Sub(got.IssuedAt) != 5*time.Minute {
		t.Errorf("from %v to %v", got.IssuedAt, got.ExpiresAt)
	}
	requests := a.op.Requests(optest.TokenEndpoint)
	if form := requests[len(requests)-1].Form; form.Get("subject_token") != s.Tokens.Access.Reveal() {
		t.Error("the subject token is not the session's access token")
	}
}

// EXT-01, EXT-03, RFR-28, RFR-29: which failure means what for the session, at a refresh for a resource and at an
// exchange.
func TestRefresherTellsFailuresOfAudiencesApart(t *testing.T) {
	for name, test := range map[string]struct {
		fault             optest.Fault
		refresh, exchange error // of session's; nil: none of them, it is tried again
	}{
		"invalid_grant":          {optest.TokenError("invalid_grant", ""), session.ErrGrantRefused, session.ErrGrantRefused},
		"invalid_request":        {optest.TokenError("invalid_request", ""), nil, session.ErrGrantRefused}, // RFC 8693 §2.2.2
		"invalid_target":         {optest.InvalidTarget, session.ErrAudienceRefused, session.ErrAudienceRefused},
		"invalid_scope":          {optest.TokenError("invalid_scope", ""), session.ErrAudienceRefused, session.ErrAudienceRefused},
		"unauthorized_client":    {optest.TokenError("unauthorized_client", ""), session.ErrAudienceRefused, session.ErrAudienceRefused},
		"unsupported_grant_type": {optest.TokenError("unsupported_grant_type", ""), session.ErrAudienceRefused, session.ErrAudienceRefused},
		"access_denied":          {optest.TokenError("access_denied", ""), session.ErrAudienceRefused, session.ErrAudienceRefused},
		"invalid_client":         {optest.TokenError("invalid_client", ""), nil, nil},
		"RFR-03 another sub":     {optest.OtherSubject, session.ErrGrantRefused, errNone},
		"EXT-03 another type":    {optest.IssuedJWT, errNone, nil},
		"the answer is lost":     {optest.Drop(optest.TokenEndpoint), session.ErrUncertain, nil}, // an exchange spends nothing
		"a server in trouble":    {optest.Status(optest.TokenEndpoint, 500), nil, nil},
		"too many requests":      {optest.Status(optest.TokenEndpoint, 429), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, forResources)
			s := a.signedIn()
			r := NewRefresher(a.Providers)
			a.op.Fault(test.fault)
			got, err := r.Exchange(t.Context(), s, session.Audience{Exchange: true, Name: "orders"})
			wantKind(t, err, test.exchange)
			if (got == nil) != (err != nil) {
				t.Errorf("exchanged %v and %v", got, err)
			}
			refreshed, err := r.RefreshFor(t.Context(), s, session.Audience{Resource: ordersAPI})
			wantKind(t, err, test.refresh)
			if lost := refreshed != nil && !refreshed.Tokens.Refresh.IsZero(); err != nil && lost != (name == "RFR-03 another sub") {
				t.Errorf("a token to revoke: %v", lost)
			}
		})
	}
}

var errNone = errors.New("it works")

// wantKind checks that an error is one of session's, or for nil none of them.
func wantKind(t *testing.T, err, want error) {
	t.Helper()
	if (err == nil) != (want == errNone) {
		t.Errorf("error %v, want %v", err, want)
	}
	for _, kind := range []error{session.ErrGrantRefused, session.ErrUncertain, session.ErrAudienceRefused} {
		if errors.Is(err, kind) != (kind == want) {
			t.Errorf("errors.Is(%v, %v) = %v", err, kind, errors.Is(err, kind))
		}
	}
}

// EXT-01: a resource that the login has not named costs no request; a server in trouble says nothing about an audience.
func TestRefresherRefusesAudiences(t *testing.T) {
	a := newApp(t, forResources)
	s := a.signedIn()
	r := NewRefresher(a.Providers)
	a.op.ForgetRequests()
	_, err := r.RefreshFor(t.Context(), s, session.Audience{Resource: "https://another.example.com"})
	wantKind(t, err, session.ErrAudienceRefused)
	if n := a.op.Count(optest.TokenEndpoint); n != 0 {
		t.Errorf("%d token requests", n)
	}
	wantKind(t, aboutAudience(&rp.TokenError{Status: 500, Code: "invalid_scope"}), nil)
}

// The sessions of a provider that has gone from the configuration end.
func TestRefresherForAudienceWithoutProvider(t *testing.T) {
	r := NewRefresher(newApp(t).Providers)
	_, err := r.RefreshFor(t.Context(), &session.Session{Provider: "gone"}, session.Audience{Resource: ordersAPI})
	wantKind(t, err, session.ErrGrantRefused)
	_, err = r.Exchange(t.Context(), &session.Session{Provider: "gone"}, session.Audience{Exchange: true})
	wantKind(t, err, session.ErrGrantRefused)
}
