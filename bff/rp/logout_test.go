package rp_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestEndSessionURL is RPL-03 to RPL-05.
func TestEndSessionURL(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	for name, tt := range map[string]struct {
		hint  secret.String
		state string
		want  url.Values
	}{
		"RPL-03 with hint": {secret.New("a.b.c"), "s1", url.Values{"id_token_hint": {"a.b.c"}, "state": {"s1"}}},
		"RPL-04 without":   {secret.String{}, "", url.Values{}},
	} {
		tt.want.Set("client_id", clientID)
		tt.want.Set("post_logout_redirect_uri", landing)
		address, err := f.client.EndSessionURL(tt.hint, tt.state)
		if err != nil {
			t.Fatal(err)
		}
		base, query, _ := strings.Cut(address, "?")
		got, err := url.ParseQuery(query)
		if err != nil || base != f.op.EndpointURL(optest.EndSessionEndpoint) {
			t.Errorf("%s: %s, %v", name, address, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestEndSession: the OP takes it and sends the browser back with the state.
func TestEndSession(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	grant := f.login()
	address, err := f.client.EndSessionURL(grant.IDToken, "s1")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.op.Visit(address).String(), landing+"?state=s1"; got != want {
		t.Errorf("back at %s, want %s", got, want)
	}
}

// TestEndSessionWithEncryptedIDToken: the hint is the JWS inside, of a login and of a refresh (Core §3.1.2.1). The OP
// cannot read what was encrypted to us.
func TestEndSessionWithEncryptedIDToken(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, encrypted(t, "ECDH-ES"))
	login := f.login()
	refreshed, err := f.client.Refresh(t.Context(), login.RefreshToken, login.Identity)
	if err != nil {
		t.Fatal(err)
	}
	for _, grant := range []*rp.Grant{login, refreshed} {
		address, err := f.client.EndSessionURL(grant.IDToken, "s1")
		if err != nil {
			t.Fatal(err)
		}
		if parts := strings.Count(grant.IDToken.Reveal(), "."); parts != 2 {
			t.Fatalf("the ID token has %d dots, want those of a JWS", parts)
		}
		if got, want := f.op.Visit(address).String(), landing+"?state=s1"; got != want {
			t.Errorf("back at %s, want %s", got, want)
		}
	}
}

func TestEndSessionURLKeepsQuery(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.op.Fault(optest.Metadata("end_session_endpoint", f.op.EndpointURL(optest.EndSessionEndpoint)+"?tenant=1"))
	f.load()
	address, err := f.client.EndSessionURL(secret.String{}, "")
	if err != nil || !strings.Contains(address, "tenant=1") || !strings.Contains(address, "client_id="+clientID) {
		t.Errorf("%s, %v", address, err)
	}
}

func TestWithoutEndpoint(t *testing.T) { // RPL-02
	f := start(t)
	if _, err := f.client.EndSessionURL(secret.String{}, ""); !errors.Is(err, rp.ErrUnavailable) {
		t.Errorf("EndSessionURL before Load: %v", err)
	}
	if err := f.client.Revoke(t.Context(), secret.New("t"), "refresh_token"); !errors.Is(err, rp.ErrUnavailable) {
		t.Errorf("Revoke before Load: %v", err)
	}
	f.op.Fault(optest.MetadataNoEndSession, optest.WithoutMetadata("revocation_endpoint"))
	f.load()
	if _, err := f.client.EndSessionURL(secret.String{}, ""); !errors.Is(err, rp.ErrUnsupported) {
		t.Errorf("EndSessionURL: %v", err)
	}
	if err := f.client.Revoke(t.Context(), secret.New("t"), "refresh_token"); !errors.Is(err, rp.ErrUnsupported) {
		t.Errorf("Revoke: %v", err)
	}
	f.wantCount(optest.RevocationEndpoint, 0)
}

// TestRevoke is EXT-04.
func TestRevoke(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	grant := f.login()
	if err := f.client.Revoke(t.Context(), grant.RefreshToken, "refresh_token"); err != nil {
		t.Fatal(err)
	}
	request := f.op.Requests(optest.RevocationEndpoint)[0]
	if request.Form.Get("token_type_hint") != "refresh_token" || request.Header.Get("Authorization") == "" {
		t.Errorf("request %+v", request.Form)
	}
	if _, err := f.client.Refresh(t.Context(), grant.RefreshToken, grant.Identity); !errors.Is(err, rp.ErrInvalidGrant) {
		t.Errorf("refresh afterwards: %v", err)
	}
	if err := f.client.Revoke(t.Context(), secret.New("marker-unknown"), "refresh_token"); err != nil {
		t.Errorf("an unknown token: %v", err)
	}
	f.wantQuiet()
}

func TestRevokeFails(t *testing.T) {
	t.Parallel()
	revocation := optest.RevocationEndpoint
	unsupported := optest.Reply("unsupported", revocation, answer(400, `{"error":"unsupported_token_type"}`))
	refused := optest.Reply("refused", revocation, answer(401, `{"error":"invalid_client"}`))
	for _, tt := range []struct {
		fault optest.Fault
		want  error
	}{
		{unsupported, nil},
		{refused, rp.ErrInvalidClient},
		{optest.Status(revocation, 503), rp.ErrUnavailable},
		{optest.Redirect(revocation, 307, trap(t).URL), rp.ErrUnavailable},
		{optest.Drop(revocation), rp.ErrUncertain},
	} {
		f := startLoaded(t)
		f.op.Fault(tt.fault)
		err := f.client.Revoke(t.Context(), secret.New("marker-token"), "refresh_token")
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.fault, err, tt.want)
		}
		f.wantCount(revocation, 1)
		f.wantQuiet(err)
	}
}
