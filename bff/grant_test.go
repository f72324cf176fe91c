package bff

import (
	"errors"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/secret"
)

// signedIn is a new session of alice's.
func (a *app) signedIn() *session.Session {
	a.t.Helper()
	b := a.browser()
	b.login()
	ticket, err := session.ParseTicket(b.cookies(a.cookies.session)[0].Value)
	if err != nil {
		a.t.Fatal(err)
	}
	s, err := a.Sessions.Open(a.t.Context(), ticket)
	if err != nil {
		a.t.Fatal(err)
	}
	return s
}

// RFR-28, RFR-29, RFR-09: which failure of a refresh means what for the session.
func TestRefresherTellsFailuresApart(t *testing.T) {
	for name, test := range map[string]struct {
		fault   optest.Fault
		want    error // of session's; nil: none of them, the session stays and the refresh is tried again
		revokes bool  // a refresh token came with the answer and is handed over to be revoked
	}{
		"invalid_grant":       {optest.TokenError("invalid_grant", optest.HostileText), session.ErrGrantRefused, false},
		"RFR-02 another iss":  {optest.OnRefresh(optest.WrongIssuer), session.ErrGrantRefused, true},
		"RFR-03 another sub":  {optest.OnRefresh(optest.OtherSubject), session.ErrGrantRefused, true},
		"the answer is lost":  {optest.Drop(optest.TokenEndpoint), session.ErrUncertain, false},
		"invalid_client":      {optest.TokenError("invalid_client", optest.HostileText), nil, false},
		"a server in trouble": {optest.Status(optest.TokenEndpoint, 500), nil, false},
		"too many requests":   {optest.Status(optest.TokenEndpoint, 429), nil, false},
		"the OP is not there": {optest.Gone(optest.TokenEndpoint), session.ErrUncertain, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			s := a.signedIn()
			a.op.Fault(test.fault)
			got, err := NewRefresher(a.Providers).Refresh(t.Context(), s)
			if err == nil {
				t.Fatal("no error")
			}
			for _, kind := range []error{session.ErrGrantRefused, session.ErrUncertain} {
				if errors.Is(err, kind) != (kind == test.want) {
					t.Errorf("errors.Is(%v, %v) = %v", err, kind, errors.Is(err, kind))
				}
			}
			if revokes := got != nil && !got.Tokens.Refresh.IsZero(); revokes != test.revokes {
				t.Errorf("a token to revoke: %v", revokes)
			}
		})
	}
}

// The claims of a new ID token lie over the older ones; what it does not say stays as it was at login.
func TestRefresherMergesClaims(t *testing.T) {
	a := newApp(t)
	s := a.signedIn()
	a.op.Fault(optest.IDTokenClaim("name", "Alice B."))
	got, err := NewRefresher(a.Providers).Refresh(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if name, email := string(got.Claims["name"]), string(got.Claims["email"]); name != `"Alice B."` || email != `"alice@example.com"` {
		t.Errorf("name %s, email %s", name, email)
	}
	if name := string(s.Claims["name"]); name != `"Alice"` {
		t.Errorf("the session that was refreshed has changed: name %s", name)
	}
}

// A provider that has gone from the configuration can neither refresh nor revoke; its sessions end.
func TestRefresherWithoutProvider(t *testing.T) {
	a := newApp(t)
	r := NewRefresher(a.Providers)
	if _, err := r.Refresh(t.Context(), &session.Session{Provider: "gone"}); !errors.Is(err, session.ErrGrantRefused) {
		t.Errorf("Refresh: %v", err)
	}
	if err := r.Revoke(t.Context(), "gone", session.Tokens{Refresh: secret.New("x")}); err == nil {
		t.Error("Revoke: no error")
	}
}

// EXT-04: the refresh token goes first; without one the access token.
func TestRefresherRevokes(t *testing.T) {
	a := newApp(t)
	r := NewRefresher(a.Providers)
	for hint, tokens := range map[string]session.Tokens{
		"refresh_token": {Refresh: secret.New("a"), Access: secret.New("b")},
		"access_token":  {Access: secret.New("b")},
	} {
		a.op.ForgetRequests()
		if err := r.Revoke(t.Context(), "one", tokens); err != nil {
			t.Fatal(err)
		}
		if got := a.op.Requests(optest.RevocationEndpoint); len(got) != 1 || got[0].Form.Get("token_type_hint") != hint {
			t.Errorf("%s: %+v", hint, got)
		}
	}
}

// pains.md 14: what userinfo says now is laid over the ID token's claims; an answer about somebody else ends the session
// (UIN-01), and one that does not come leaves everything as it was.
func TestRefresherAsksForClaims(t *testing.T) {
	a := newApp(t)
	s := a.signedIn()
	r := NewRefresher(a.Providers)
	a.op.Fault(optest.UserInfoClaim("name", "Alice B."))
	claims, err := r.Claims(t.Context(), s)
	if err != nil || string(claims["name"]) != `"Alice B."` || string(claims["email"]) != `"alice@example.com"` ||
		string(claims["sid"]) != string(s.Claims["sid"]) {
		t.Errorf("claims %s, error %v", claims, err)
	}
	if name := string(s.Claims["name"]); name != `"Alice"` {
		t.Errorf("the session has changed: name %s", name)
	}
	a.op.Fault(optest.UserInfoOtherSubject)
	if claims, err := r.Claims(t.Context(), s); claims != nil || !errors.Is(err, session.ErrGrantRefused) {
		t.Errorf("of another user: %s, error %v", claims, err)
	}
	a.op.Fault(optest.Status(optest.UserInfoEndpoint, 503))
	if claims, err := r.Claims(t.Context(), s); claims != nil || err != nil {
		t.Errorf("of an OP in trouble: %s, error %v", claims, err)
	}
	s.Provider = "gone"
	if _, err := r.Claims(t.Context(), s); err == nil {
		t.Error("of a provider that is gone: no error")
	}
}
