package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func parsePrefixes(t *testing.T, texts ...string) (prefixes []netip.Prefix) {
	t.Helper()
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes
}

// contract.md "CSRF", CSR-01 to CSR-12: the whole table, by what a request shows and what the rule makes of it.
func TestSameOrigin(t *testing.T) {
	g := &Gateway{origin: "https://app.example.com"}
	const (
		ok      = ""
		header  = "csrf_header_missing"
		foreign = "cross_site_request"
	)
	for _, test := range []struct {
		request string // method, then headers
		header  string // what the rules answer
		origin  string
		nav     string
	}{
		{"GET", header, foreign, foreign},
		{"POST", header, foreign, foreign},
		{"GET X-CSRF:1", ok, foreign, foreign},
		{"HEAD X-CSRF:1", ok, foreign, foreign},
		{"GET X-CSRF:0", header, foreign, foreign},
		{"GET X-CSRF:", header, foreign, foreign},
		{"GET X-CSRF:1 Sec-Fetch-Site:same-origin", ok, ok, ok},
		{"DELETE X-CSRF:1 Sec-Fetch-Site:same-origin", ok, ok, ok},
		{"GET X-CSRF:1 Sec-Fetch-Site:same-site", foreign, foreign, foreign}, // BFF-12
		{"GET X-CSRF:1 Sec-Fetch-Site:cross-site", foreign, foreign, foreign},
		{"GET X-CSRF:1 Sec-Fetch-Site:none", foreign, foreign, foreign},
		{"GET X-CSRF:1 Sec-Fetch-Site:cross-site Origin:https://app.example.com", foreign, foreign, foreign},
		{"GET X-CSRF:1 Sec-Fetch-Site:foo", ok, foreign, foreign}, // CSR-11
		{"GET X-CSRF:1 Sec-Fetch-Site:foo Origin:https://evil.example", foreign, foreign, foreign},
		{"GET X-CSRF:1 Origin:https://app.example.com", ok, ok, ok},
		{"GET X-CSRF:1 Origin:http://app.example.com", foreign, foreign, foreign},
		{"GET X-CSRF:1 Origin:https://app.example.com:8443", foreign, foreign, foreign},
		{"GET X-CSRF:1 Origin:https://app.example.com.evil.example", foreign, foreign, foreign},
		{"GET X-CSRF:1 Origin:https://evil@app.example.com", foreign, foreign, foreign}, // CSR-05
		{"GET X-CSRF:1 Origin:null", foreign, foreign, foreign},
		{"GET X-CSRF:1 Origin:", foreign, foreign, foreign},
		{"GET X-CSRF:1 Origin:https://app.example.com Origin:https://app.example.com", foreign, foreign, foreign},
		{"GET Sec-Fetch-Site:same-origin", header, ok, ok},
		{"POST Sec-Fetch-Site:same-origin", header, ok, ok},
		{"GET Origin:https://app.example.com", header, ok, ok},
		{"GET Sec-Fetch-Site:cross-site Sec-Fetch-Mode:navigate Sec-Fetch-Dest:document", header, foreign, ok},
		{"HEAD Sec-Fetch-Site:cross-site Sec-Fetch-Mode:navigate Sec-Fetch-Dest:document", header, foreign, ok},
		{"POST Sec-Fetch-Site:cross-site Sec-Fetch-Mode:navigate Sec-Fetch-Dest:document", header, foreign, foreign},
		{"GET Sec-Fetch-Site:cross-site Sec-Fetch-Mode:navigate Sec-Fetch-Dest:iframe", header, foreign, foreign},
		{"GET Sec-Fetch-Site:cross-site Sec-Fetch-Mode:no-cors Sec-Fetch-Dest:image", header, foreign, foreign},
		{"GET Sec-Fetch-Site:cross-site Sec-Fetch-Mode:cors Accept:text/html", header, foreign, foreign},
		{"GET Sec-Fetch-Site:cross-site Sec-Fetch-Mode:websocket", header, foreign, foreign},
		{"GET Accept:text/html", header, foreign, ok}, // an old browser's navigation
		{"POST Accept:text/html", header, foreign, foreign},
		{"GET Accept:text/html Origin:https://evil.example", header, foreign, foreign}, // its fetch (CSR-02)
	} {
		fields := strings.Fields(test.request)
		r := httptest.NewRequest(fields[0], "https://evil-host.example/x", nil) // the Host decides nothing (CSR-07)
		for _, field := range fields[1:] {
			name, value, _ := strings.Cut(field, ":")
			r.Header.Add(name, value)
		}
		for rule, want := range map[csrfRule]string{csrfHeader: test.header, csrfOrigin: test.origin, csrfNavigation: test.nav, csrfNone: ok} {
			got := ""
			if err := g.sameOrigin(rule, r); err != nil {
				got = string(asProblem(err).Code)
			}
			if got != want {
				t.Errorf("%s: rule %s says %q, want %q", test.request, rule, got, want)
			}
		}
	}
}

// CSR-08: a refused request reaches no upstream, spends no token and slides nothing; one per route family.
func TestRefusedRequestsHaveNoEffect(t *testing.T) {
	g := newReplica(t, nil).ready()
	c := g.client().signIn()
	before := c.send("GET", "/bff/session", csrf)
	for _, path := range []string{"/api/x", "/files/x", "/ssr/x", "/bff/session", "/bff/user", "/bff/session/extend", "/bff/logout"} {
		method := http.MethodGet
		if path == "/bff/session/extend" || path == "/bff/logout" {
			method = http.MethodPost
		}
		res := c.send(method, path, csrf, "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors")
		if res.StatusCode != 403 || res.code() != "cross_site_request" {
			t.Errorf("%s: %s %s", path, res.Status, res.body)
		}
		if res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: Set-Cookie %s", path, res.Header.Get("Set-Cookie"))
		}
	}
	if g.calls() != 0 {
		t.Errorf("%d requests reached the upstream", g.calls())
	}
	if after := c.send("GET", "/bff/session", csrf); before.body[:60] != after.body[:60] {
		t.Errorf("the session is another one:\n%s\n%s", before.body, after.body)
	}
	if n := strings.Count(g.log.String(), `"event":"csrf_refused"`); n != 7 {
		t.Errorf("%d audit lines, want 7", n)
	}
}

// BFF-11: every method needs the header on an API route.
func TestEveryMethodNeedsTheHeader(t *testing.T) {
	g := newReplica(t, nil).ready()
	c := g.client().signIn()
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if res := c.send(method, "/api/x"); res.StatusCode != 403 {
			t.Errorf("%s: %s", method, res.Status)
		}
		if res := c.send(method, "/api/x", csrf); res.StatusCode != 200 {
			t.Errorf("%s with the header: %s", method, res.Status)
		}
	}
	if g.calls() != 7 {
		t.Errorf("%d upstream calls, want 7", g.calls())
	}
}

// BFF-13: a preflight of another origin is not approved.
func TestPreflightIsNotApproved(t *testing.T) {
	g := newReplica(t, nil).ready()
	res := g.client().signIn().send("OPTIONS", "/api/x", "Origin: https://evil.example",
		"Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x-csrf")
	for name := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %s", name, res.Header.Get(name))
		}
	}
	if res.StatusCode != 403 || g.calls() != 0 {
		t.Errorf("%s, %d upstream calls", res.Status, g.calls())
	}
}

// BFF-20: the JSON form of login is an API call.
func TestLoginAsJSONNeedsTheHeader(t *testing.T) {
	g := newReplica(t, nil).ready()
	for name, test := range map[string]struct {
		headers []string
		status  int
		code    string
	}{
		"no header":         {nil, 403, "csrf_header_missing"},
		"from another site": {[]string{csrf, "Sec-Fetch-Site: cross-site"}, 403, "cross_site_request"},
		"its own page":      {[]string{csrf, "Sec-Fetch-Site: same-origin"}, 200, ""},
	} {
		res := g.client().send("GET", "/bff/login", append(test.headers, "Accept: application/json")...)
		if res.StatusCode != test.status || res.code() != test.code {
			t.Errorf("%s: %s %s", name, res.Status, res.body)
		}
	}
}

// FLOW-38: speculative loads sign nobody in or out.
func TestSpeculativeLoadsHaveNoEffect(t *testing.T) {
	g := newReplica(t, func(_ *replica, c *Config) { c.Login.ThirdParty = true }).ready()
	c := g.client().signIn()
	var session struct {
		LogoutURL string `json:"logout_url"`
	}
	decode(t, c.send("GET", "/bff/session", csrf).body, &session)
	g.op.ForgetRequests()
	for _, header := range []string{"Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Moz: prefetch", "Purpose: preview"} {
		initiate := "/bff/login/initiate?iss=" + g.op.Issuer()
		for _, path := range []string{"/bff/login", initiate, "/bff/callback?state=x&code=y", session.LogoutURL, "/bff/logout/callback", "/bff/landing", "/bff/error"} {
			res := c.send("GET", path, header)
			if res.StatusCode != http.StatusNoContent || len(res.Cookies()) != 0 {
				t.Errorf("%s with %s: %s, cookies %v", path, header, res.Status, res.Cookies())
			}
		}
	}
	if res := c.send("GET", "/api/x", csrf); res.StatusCode != 200 {
		t.Errorf("the session is gone: %s", res.Status)
	}
	if n := g.op.Count(optest.TokenEndpoint); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

func FuzzSameOrigin(f *testing.F) {
	f.Add("1", "same-origin", "https://app.example.com", "navigate")
	f.Add("1", "", "", "")
	g := &Gateway{origin: "https://app.example.com"}
	f.Fuzz(func(t *testing.T, csrf, site, origin, mode string) {
		r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/"}, Header: http.Header{
			"X-Csrf": {csrf}, "Sec-Fetch-Site": {site}, "Origin": {origin}, "Sec-Fetch-Mode": {mode},
		}}
		for _, rule := range []csrfRule{csrfHeader, csrfOrigin, csrfNavigation} {
			if g.sameOrigin(rule, r) == nil && site != "same-origin" && origin != g.origin {
				t.Errorf("%s lets %s pass", rule, fmt.Sprint(r.Header))
			}
		}
	})
}
