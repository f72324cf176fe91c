package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
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

// SES-12: a store that does not answer makes nobody anonymous and costs nobody a cookie, on any route that asks it.
func TestStoreFailureIsNotAnonymity(t *testing.T) {
	g := newReplica(t, func(g *replica, c *Config) {
		c.Session.Store, c.Session.KeysFile = "redis://127.0.0.1:1", filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(c.Session.KeysFile, []byte(session.GenerateKey(time.Now())), 0o600); err != nil {
			t.Fatal(err)
		}
		gated(g, c)
		c.Routes[0].Token = "user_or_none"
	})
	cookie := &http.Cookie{Name: "cloakroom-" + g.config.PublicURL.Port(), Value: session.NewTicket().Reveal()}
	for path, headers := range map[string][]string{
		"/api/x":   {csrf},
		"/files/x": {"Sec-Fetch-Site: same-origin"},
		"/ssr/x":   {"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none"},
	} {
		res := g.client().send("GET", path, append(headers, "Cookie: "+cookie.String())...)
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s %v", path, res.Status, res.Header)
		}
	}
	if g.calls() != 0 {
		t.Errorf("%d requests reached the upstream", g.calls())
	}
}

// SES-01: a call counts as activity, and a session that is over loses its cookie on the way to the login.
func TestActivity(t *testing.T) {
	var passed atomic.Int64
	g := newReplica(t, func(g *replica, c *Config) {
		g.options.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
		g.op.Fault(optest.TokenMember("expires_in", 24*60*60))
		gated(g, c)
	}).ready()
	c := g.client().signIn()
	for range 3 {
		passed.Add(int64(20 * time.Minute))
		if res := c.send("GET", "/api/x", csrf); res.StatusCode != 200 {
			t.Fatalf("a session in use: %s %s", res.Status, res.body)
		}
	}
	passed.Add(int64(31 * time.Minute))
	res := c.send("GET", "/ssr/x", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none")
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("an idle one: %s %v", res.Status, res.Header)
	}
}

// What is refused without looking at the session does not count as its activity (CSR-08).
func TestRefusedMethodIsNoActivity(t *testing.T) {
	var passed atomic.Int64
	g := newReplica(t, func(g *replica, c *Config) {
		g.options.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
		g.op.Fault(optest.TokenMember("expires_in", 24*60*60))
		c.Routes[0].Methods = []string{"GET"}
	}).ready()
	c := g.client().signIn()
	for range 2 {
		passed.Add(int64(20 * time.Minute))
		if res := c.send("DELETE", "/api/x", csrf); res.StatusCode != http.StatusMethodNotAllowed {
			t.Fatalf("%s %s", res.Status, res.body)
		}
	}
	if res := c.send("GET", "/api/x", csrf); res.code() != "session_expired" {
		t.Errorf("after 40 idle minutes: %s %s", res.Status, res.body)
	}
}

// A store that still reads and takes no writes, as during a failover, refuses nobody who is signed in.
func TestActivityThatCannotBeStored(t *testing.T) {
	var passed atomic.Int64
	g := newReplica(t, func(g *replica, c *Config) {
		g.options.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
		g.op.Fault(optest.TokenMember("expires_in", 24*60*60))
		g.options.store = readOnlyStore{memstore.New()}
	}).ready()
	c := g.client().signIn()
	passed.Add(int64(time.Minute))
	if res := c.send("GET", "/api/x", csrf); res.StatusCode != http.StatusOK {
		t.Errorf("%s %s", res.Status, res.body)
	}
	if res := c.send("POST", "/bff/session/extend", csrf); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("asking for more time: %s %s", res.Status, res.body)
	}
}

type readOnlyStore struct{ session.Store }

func (readOnlyStore) Touch(context.Context, session.ID, time.Time, time.Duration) error {
	return errors.New("READONLY")
}

// CSR-09: what depends on the request's origin says so.
func TestVary(t *testing.T) {
	g := newReplica(t, nil).ready()
	for path, want := range map[string]bool{"/api/x": true, "/files/x": true, "/ssr/x": true, "/public/x": false} {
		vary := strings.Join(g.client().send("GET", path).Header.Values("Vary"), ",")
		if got := strings.Contains(vary, "Sec-Fetch-Site, Origin"); got != want {
			t.Errorf("%s: Vary %q", path, vary)
		}
	}
}

// PX-14: the base path ends at a segment border. SES-16: nothing under it is stored.
func TestBasePath(t *testing.T) {
	g := newReplica(t, func(_ *replica, c *Config) {
		c.BasePath = "/callback"
		second := c.Providers[0]
		second.Name, second.PushedRequests = "second", "off" // so that its request can be read off the address
		c.Providers = append(c.Providers, second)
	}).allReady()
	if res := g.client().send("GET", "/callbacks", "Accept: text/html"); !strings.Contains(res.body, "<title>app</title>") {
		t.Errorf("/callbacks is not the application's: %s", res.Status)
	}
	for _, path := range []string{
		"/login?provider=second", "/login/initiate", "/callback", "/landing", "/error", "/session", "/user", "/logout", "/logout/callback", "/jwks.json",
	} {
		if res := g.client().send("GET", "/callback"+path, csrf); res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s, Cache-Control %q", path, res.Status, res.Header.Get("Cache-Control"))
		}
	}
	// FLOW-14: each provider's answers come to a path of its own.
	c := g.client()
	location := parseURL(t, c.send("GET", "/callback/login?provider=second").Header.Get("Location"))
	if want := g.url + "/callback/callback/second"; location.Query().Get("redirect_uri") != want {
		t.Fatalf("redirect_uri %s, want %s", location.Query().Get("redirect_uri"), want)
	}
	answer := "?error=access_denied&state=" + location.Query().Get("state") + "&iss=" + url.QueryEscape(g.op.Issuer())
	c.send("GET", "/callback/callback/second"+answer)
	if !strings.Contains(g.log.String(), "access_denied") {
		t.Errorf("the answer did not reach its provider:\n%s", g.log)
	}
}
