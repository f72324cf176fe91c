package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// visit is what every OP has to be good for: a login, API calls without a gap across two refreshes, the second with the
// refresh token that the first one brought, and a logout at the OP and back. The person signs in as alice.
func visit(t *testing.T, g *gateway, api *upstream, alice person) {
	t.Helper()
	a := newAgent(g)
	a.signIn(alice)
	eventually(t, time.Minute, "two refreshes", func() bool {
		a.fetch("GET", "/api/echo").want(t, http.StatusOK)
		return len(api.tokens()) >= 3
	})
	a.signOut(alice)
	a.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "unauthenticated")
}

// TestZitadel is a visit with the example OP of zitadel/oidc, through its sign-in page.
func TestZitadel(t *testing.T) {
	t.Parallel()
	proves(t, zitadel, codeFlow, secretBasic, userinfo, rotation, rpLogout)
	api := startAPI(t)
	c := newConfig(t, api)
	startZitadel(t, c, nil)
	c.Provider, c.Session = "userinfo: required", "refresh_before: 0s"
	g := serve(t, c)
	alice := person{"username": "test-user@127.0.0.1", "password": "verysecure"}
	visit(t, g, api, alice)

	a := newAgent(g)
	a.signIn(alice)
	user, _ := a.session()["user"].(map[string]any)
	if user["name"] != "Test User" || user["email"] != "test-user@zitadel.ch" {
		t.Errorf("the session says %v", user)
	}
}

// TestLuikyv is a visit with luikyv/go-oidc for every way in which it takes a request and answers it.
func TestLuikyv(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		rows     []string
		provider string
		mode     string // that the OP has seen
		key      bool   // private_key_jwt
	}{
		{"plain", []string{secretBasic}, "pushed_authorization_requests: off", "authorized mode= pushed=false", false},
		{"PAR, query.jwt", []string{pushed, privateKeyJWT, queryJWT}, `
response_mode: query.jwt
pushed_authorization_requests: required`, "authorized mode=query.jwt pushed=true", true},
		{"PAR, form_post", []string{pushed, privateKeyJWT, formPost}, `
response_mode: form_post
pushed_authorization_requests: required`, "authorized mode=form_post pushed=true", true},
		{"request object in PAR, form_post.jwt", []string{pushed, requestObject, privateKeyJWT, jwksURI, formPostJWT}, `
response_mode: form_post.jwt
request_object_signing_alg: ES256
pushed_authorization_requests: required`, "authorized mode=form_post.jwt pushed=true", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			proves(t, luikyv, append(test.rows, codeFlow, issParameter, userinfo, rotation, rpLogout)...)
			api := startAPI(t)
			c := newConfig(t, api)
			c.Session = "refresh_before: 0s"
			c.Provider = "id_token_signing_alg: PS256\nuserinfo: required\n" + test.provider
			client := metadata{}
			if test.key {
				c.Provider += "\nclient_auth: private_key_jwt"
				client["jwks"] = c.useKey(t)
				client["token_endpoint_auth_method"] = "private_key_jwt"
				client["require_pushed_authorization_requests"] = true
			}
			if strings.Contains(test.provider, "request_object") {
				delete(client, "jwks")
				client["jwks_uri"] = c.Origin + "/bff/jwks.json"
				client["request_object_signing_alg"] = "ES256"
				client["require_signed_request_object"] = true
			}
			op := startLuikyv(t, c, client, "HOST=localhost")
			visit(t, serve(t, c), api, person{"login": "alice"})
			op.want(test.mode, "ended session")
		})
	}
}
