package optest_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
)

const resourceA, resourceB = "https://a.example/api", "urn:b"

func (p *party) authorizeResources(resources ...string) url.Values {
	p.Helper()
	request := p.authorizationRequest()
	request["resource"] = resources
	return p.callback(p.get(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + request.Encode()))
}

func (p *party) audience(response map[string]any) any {
	p.Helper()
	claims, _ := p.verified(response["access_token"])
	return claims["aud"]
}

// EXT-01: all resources, or those of them that the token request names.
func TestResources(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	both := []any{resourceA, resourceB}
	withResource := func(form url.Values, resources ...string) url.Values {
		form["resource"] = resources
		return form
	}
	code := func() url.Values { return codeForm(p.authorizeResources(resourceA, resourceB).Get("code")) }
	response := p.ok(p.tokenRequest(code()))
	if diff := cmp.Diff(any(both), p.audience(response)); diff != "" {
		t.Error(diff)
	}
	if p.ok(p.userInfo(response["access_token"]))["sub"] != "alice" {
		t.Error("userinfo refuses the token")
	}
	if got := p.audience(p.ok(p.tokenRequest(withResource(code(), resourceB)))); got != resourceB {
		t.Errorf("one of two: %v", got)
	}
	if got := p.audience(p.ok(p.tokenRequest(withResource(code(), resourceB, resourceA)))); len(got.([]any)) != 2 {
		t.Errorf("two of two: %v", got)
	}
	other := withResource(code(), resourceA, "https://c.example")
	p.refused(p.tokenRequest(other), http.StatusBadRequest, "invalid_target")

	refresh := refreshForm(response["refresh_token"])
	p.refused(p.tokenRequest(withResource(refresh, "https://c.example")), http.StatusBadRequest, "invalid_target")
	response = p.ok(p.tokenRequest(withResource(refresh, resourceA)))
	if got := p.audience(response); got != resourceA {
		t.Errorf("one of two on refresh: %v", got)
	}
	response = p.ok(p.tokenRequest(refreshForm(response["refresh_token"])))
	if diff := cmp.Diff(any(both), p.audience(response)); diff != "" {
		t.Error(diff)
	}
}

func TestRefusedResources(t *testing.T) {
	t.Parallel()
	for _, known := range [][]string{nil, {resourceA}} {
		cfg := config()
		cfg.Resources = known
		p := newParty(t, cfg)
		if got := p.authorizeResources(resourceA); !got.Has("code") {
			t.Errorf("known %v: %v", known, got)
		}
		if got := p.authorizeResources(resourceB); got.Has("code") != (known == nil) {
			t.Errorf("known %v: %v", known, got)
		}
		for _, bad := range []string{"/relative", "a.example", "https://a.example/#f", "https://a.example#", ":", ""} {
			if got := p.authorizeResources(resourceA, bad); got.Get("error") != "invalid_target" {
				t.Errorf("%q: %v", bad, got)
			}
		}
		p.refused(p.tokenRequest(func() url.Values {
			form := codeForm(p.authorizeResources().Get("code"))
			form.Set("resource", resourceA)
			return form
		}()), http.StatusBadRequest, "invalid_target")
	}
}

// EXT-09: what was granted is told, at login and at refresh.
func TestAuthorizationDetails(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	want := []any{map[string]any{"type": "payment", "amount": 5.0}, map[string]any{"type": "read"}}
	response := p.login("authorization_details", `[{"type":"payment","amount":5},{"type":"read"}]`)
	claims, _ := p.verified(response["access_token"])
	refreshed := p.ok(p.tokenRequest(refreshForm(response["refresh_token"])))
	for _, got := range []any{
		response["authorization_details"], claims["authorization_details"], refreshed["authorization_details"],
	} {
		if diff := cmp.Diff(any(want), got); diff != "" {
			t.Error(diff)
		}
	}
	if response := p.login(); response["authorization_details"] != nil {
		t.Errorf("unasked: %v", response)
	}
	for _, bad := range []string{"", "{}", "null", `["a"]`, `[{}]`, `[{"type":1}]`, `[{"type":""}]`, "[", `[null]`} {
		request := p.authorizationRequest()
		request.Set("authorization_details", bad)
		a := p.get(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + request.Encode())
		if got := p.callback(a); got.Get("error") != "invalid_authorization_details" {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// EXT-05: an access token need not be a JWT.
func TestOpaqueAccessTokens(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.OpaqueAccessTokens = true
	p := newParty(t, cfg)
	response := p.login()
	if header, _ := decode(response["access_token"].(string)); header != nil {
		t.Errorf("a JWT with header %v", header)
	}
	claims, _ := p.verified(response["id_token"])
	if claims["at_hash"] != atHash(response) || p.ok(p.userInfo(response["access_token"]))["sub"] != "alice" {
		t.Errorf("claims %v", claims)
	}
}
