package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// signInAt goes through the login that begins at an address of the gateway.
func (c *client) signInAt(address string) {
	c.g.t.Helper()
	start := c.send("GET", address)
	if start.StatusCode != http.StatusFound {
		c.g.t.Fatalf("%s: %s %s", address, start.Status, start.body)
	}
	if res := c.follow(c.g.op.Authorize(start.Header.Get("Location"))); res.Header.Get("Location") != "/bff/landing" {
		c.g.t.Fatalf("callback: %s to %s", res.Status, res.Header.Get("Location"))
	}
}

// allReady waits until every provider has been loaded; one is enough for ready.
func (g *replica) allReady() *replica {
	g.t.Helper()
	poll(g.t, "all providers", func() bool {
		state, _ := g.health.check(g.t.Context())
		return state.Status == "ok"
	})
	return g
}

// follow takes an authorization response to the gateway, a form as a page of the OP's posts it.
func (c *client) follow(response optest.Answer) response {
	c.g.t.Helper()
	req, err := response.NewRequest()
	if err != nil {
		c.g.t.Fatal(err)
	}
	return c.do(req)
}

// FPM-01, FPM-02: a response by form_post, which comes from another site, signs in.
func TestFormPost(t *testing.T) {
	for _, mode := range []string{"form_post", "form_post.jwt"} {
		g := newReplica(t, func(_ *replica, c *Config) { c.Providers[0].ResponseMode = mode }).ready()
		c := g.client()
		c.signInAt("/bff/login")
		if res := c.send("GET", "/api/x", csrf); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", mode, res.Status, res.body)
		}
	}
}

// FPM-03: the redirect URIs and initiate_login_uri are exempt from the origin check, and nothing beside them.
func TestOnlyTheCallbackTakesForeignPosts(t *testing.T) {
	g := newReplica(t, nil).ready()
	c := g.client().signIn()
	for path, want := range map[string]int{
		"/bff/callback":               http.StatusSeeOther,
		"/bff/callback/second":        http.StatusSeeOther, // to the error page: there is no such provider
		"/bff/callback/":              http.StatusNotFound,
		"/bff/callback/a/b":           http.StatusNotFound,
		"/bff/callbacks":              http.StatusNotFound,
		"/bff/Callback":               http.StatusNotFound,
		"/bff/callback/../logout":     http.StatusBadRequest,
		"/bff/callback%2f..%2flogout": http.StatusBadRequest,
		"/bff/callback;a":             http.StatusBadRequest,
		"/bff/login/initiate":         http.StatusNotFound, // exempt, and turned off
		"/bff/login/initiate/":        http.StatusNotFound,
		"/bff/login":                  http.StatusMethodNotAllowed,
		"/bff/logout":                 http.StatusForbidden,
		"/bff/logout/callback":        http.StatusMethodNotAllowed,
		"/bff/session/extend":         http.StatusForbidden,
		"/api/bff/callback":           http.StatusForbidden,
		"/files/bff/callback":         http.StatusForbidden,
		"/ssr/bff/callback":           http.StatusForbidden,
	} {
		res := c.send("POST", path, csrf, "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		if res.StatusCode != want {
			t.Errorf("POST %s: %s %s, want %d", path, res.Status, res.body, want)
		}
	}
	if g.calls() != 0 {
		t.Errorf("%d requests reached the upstream", g.calls())
	}
	if res := c.send("GET", "/api/x", csrf); res.StatusCode != http.StatusOK {
		t.Errorf("the session is gone: %s", res.Status)
	}
}

// TPI-01, TPI-05: as the configuration has it.
func TestThirdPartyLogin(t *testing.T) {
	for _, on := range []bool{false, true} {
		g := newReplica(t, func(_ *replica, c *Config) { c.Login.ThirdParty = on }).ready()
		path := "/bff/login/initiate?iss=" + g.op.Issuer() + "&target_link_uri=" + g.url + "/ssr/x"
		res := g.client().send("GET", path)
		if got := res.StatusCode == http.StatusFound && strings.HasPrefix(res.Header.Get("Location"), g.op.Issuer()); got != on {
			t.Errorf("on %v: %s %s", on, res.Status, res.body)
		}
		if !on && res.code() != "not_found" {
			t.Errorf("%s %s", res.Status, res.body)
		}
	}
}
