package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// The token policies, with and without a session.
func TestTokenPolicies(t *testing.T) {
	g := newReplica(t, nil).ready()
	const sameOrigin = "Sec-Fetch-Site: same-origin"
	for _, test := range []struct {
		path     string
		signedIn bool
		status   int
		token    bool
	}{
		{"/api/x", false, 401, false},
		{"/api/x", true, 200, true},
		{"/ssr/x", false, 200, false},
		{"/ssr/x", true, 200, true},
		{"/public/x", false, 200, false},
		{"/public/x", true, 200, false},
	} {
		c := g.client()
		if test.signedIn {
			c.signIn()
		}
		before := g.calls()
		res := c.send("GET", test.path, csrf, sameOrigin)
		if res.StatusCode != test.status {
			t.Errorf("%+v: %s %s", test, res.Status, res.body)
		}
		if test.status != 200 {
			continue
		}
		if g.calls() != before+1 {
			t.Fatalf("%+v: %d upstream calls", test, g.calls()-before)
		}
		if got := g.received[before].Header.Get("Authorization") != ""; got != test.token {
			t.Errorf("%+v: Authorization is sent: %v", test, got)
		}
	}
}

// FLOW-22, PX-04: nobody can bring a token of his own, on any route.
func TestForeignTokensGoNowhere(t *testing.T) {
	g := newReplica(t, nil).ready()
	for _, path := range []string{"/public/x", "/ssr/x"} {
		res := g.client().send("GET", path, "Authorization: Bearer mine", "Proxy-Authorization: x", "DPoP: x", "Sec-Fetch-Site: same-origin")
		if res.StatusCode != 200 {
			t.Fatalf("%s: %s", path, res.Status)
		}
		up := g.received[g.calls()-1].Header
		if up.Get("Authorization")+up.Get("Proxy-Authorization")+up.Get("DPoP") != "" {
			t.Errorf("%s: the upstream got %v", path, up)
		}
	}
}

func gated(_ *replica, c *Config) {
	for i := range c.Routes {
		if c.Routes[i].Path == "/ssr/" {
			c.Routes[i].Login = "redirect"
			c.Routes[i].Token = "user"
		}
	}
}

// CK-09, CK-10: who follows a link from another site sends no strict cookie. The bounce page makes the navigation ours,
// and only its repeat starts a login.
func TestLoginRedirect(t *testing.T) {
	g := newReplica(t, gated).ready()
	document := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	for site, login := range map[string]bool{"cross-site": false, "same-site": false, "same-origin": true, "none": true} {
		res := g.client().send("GET", "/ssr/page?a=1&b=%2F", append(document, "Sec-Fetch-Site: "+site)...)
		switch {
		case login && (res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/bff/login?returnUrl=%2Fssr%2Fpage%3Fa%3D1%26b%3D%252F"):
			t.Errorf("%s: %s %s", site, res.Status, res.Header.Get("Location"))
		case !login && (res.StatusCode != http.StatusOK || !strings.Contains(res.body, `content="0; url=/ssr/page?a=1&amp;b=%2F"`)):
			t.Errorf("%s: %s\n%s", site, res.Status, res.body)
		}
	}
	// An old browser says nothing of sites; it is not bounced for ever.
	if res := g.client().send("GET", "/ssr/page", "Accept: text/html"); res.StatusCode != http.StatusSeeOther {
		t.Errorf("without Fetch Metadata: %s", res.Status)
	}
	// What is no navigation gets a 401 (PX-29).
	if res := g.client().send("GET", "/ssr/data", "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin"); res.StatusCode != 401 {
		t.Errorf("a fetch: %s", res.Status)
	}
	if g.calls() != 0 {
		t.Errorf("%d requests reached the upstream", g.calls())
	}
	// Signed in, the page is there, for a link from elsewhere too if the cookie came along (SameSite=Lax).
	c := g.client().signIn()
	for _, site := range []string{"same-origin", "cross-site", "none"} {
		if res := c.send("GET", "/ssr/page", append(document, "Sec-Fetch-Site: "+site)...); res.StatusCode != 200 || res.body != "GET /ssr/page" {
			t.Errorf("signed in, %s: %s %s", site, res.Status, res.body)
		}
	}
}

// RFR-28: revoking the grant at the OP ends the session at the next refresh, with a code that says so and without the
// cookie.
func TestRevokedGrantEndsTheSession(t *testing.T) {
	g := newReplica(t, func(g *replica, _ *Config) { g.op.Fault(optest.TokenMember("expires_in", 1)) }).ready()
	c := g.client().signIn()
	g.op.RevokeGrants("alice")
	var res response
	poll(t, "the access token to expire", func() bool {
		res = c.send("GET", "/api/x", csrf)
		return res.StatusCode != 200
	})
	if res.StatusCode != 401 || res.code() != "session_ended" || !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("%s %s, Set-Cookie %q", res.Status, res.body, res.Header.Get("Set-Cookie"))
	}
	if n := g.op.CountGrants("refresh_token"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}
