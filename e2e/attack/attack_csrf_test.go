package attack_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// What a request may say of where it comes from. The first value of each is not to say anything.
var (
	sites   = []string{"", "same-origin", "same-site", "cross-site", "none", "foo", "Same-Origin", "same-origin, cross-site"}
	origins = []string{
		"", origin, "null", "https://evil.example", "http://" + host, "https://" + host + ":8443", "https://evil@" + host,
		"https://" + host + ".evil.example", "https://evil." + host, "https://APP.example.com", origin + "/", origin + " https://evil.example",
	}
	tokens  = []string{"", "1", "0", "true", "1, 1"}
	methods = []string{"GET", "POST"}
)

// claim is one combination of them.
type claim struct{ site, origin, token, method string }

func claims() []claim {
	var all []claim
	for _, site := range sites {
		for _, origin := range origins {
			for _, token := range tokens {
				for _, method := range methods {
					all = append(all, claim{site, origin, token, method})
				}
			}
		}
	}
	return all
}

// message is the claim as a request of alice's browser, on a connection that stays open.
func (c claim) message(target string) string {
	fields := []string{"Host: " + host, alice}
	for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Origin": c.origin, "X-CSRF": c.token} {
		if value != "" {
			fields = append(fields, name+": "+value)
		}
	}
	if c.method != "GET" {
		fields = append(fields, "Content-Length: 0")
	}
	return message(c.method+" "+target+" HTTP/1.1", fields...)
}

// The rules of contract.md "CSRF", written down a second time: the code of the refusal, or "".
func (c claim) header() string {
	switch {
	case c.token != "1":
		return "csrf_header_missing"
	case c.known() && c.site != "same-origin", !c.known() && c.origin != "" && c.origin != origin:
		return "cross_site_request"
	}
	return ""
}

func (c claim) sameOrigin() string {
	if c.site == "same-origin" || !c.known() && c.origin == origin {
		return ""
	}
	return "cross_site_request"
}

func (c claim) none() string { return "" }

// known reports whether Sec-Fetch-Site has a value of its specification; any other counts as absent (CSR-11).
func (c claim) known() bool {
	return slices.Contains([]string{"same-origin", "same-site", "cross-site", "none"}, c.site)
}

// TestCrossSiteMatrix sends every claim to a route of each family and to the gateway's own endpoints, signed in. What is
// refused reaches no upstream (CSR-01 to CSR-08, CSR-11, CSR-12).
func TestCrossSiteMatrix(t *testing.T) {
	t.Parallel()
	s := newSuite(t, config{})
	for _, family := range []struct {
		target  string
		rule    func(claim) string
		methods string
		refused bool // send only what must be refused: the rest has an effect, or no end
	}{
		{"/api/x", claim.header, "GET POST", false},
		{"/files/x", claim.sameOrigin, "GET POST", false},
		{"/ws/x", claim.sameOrigin, "GET POST", false},
		{"/pages/x", claim.sameOrigin, "GET POST", false}, // a navigation says more; see below
		{"/gated/x", claim.sameOrigin, "GET POST", false},
		{"/public/x", claim.none, "GET POST", false},
		{"/bff/session", claim.header, "GET", false},
		{"/bff/user", claim.header, "GET", false},
		{"/bff/sessions", claim.header, "GET", false},
		{"/bff/session/extend", claim.header, "POST", true},
		{"/bff/session/refresh", claim.header, "POST", true},
		{"/bff/events", claim.sameOrigin, "GET", true},
		{"/bff/logout", claim.header, "POST", true},
	} {
		t.Run(family.target, func(t *testing.T) {
			before := len(s.up.all())
			var sent []claim
			var text strings.Builder
			allowed := 0
			for _, c := range claims() {
				code := family.rule(c)
				if !strings.Contains(family.methods, c.method) || family.refused && code == "" {
					continue
				}
				sent = append(sent, c)
				text.WriteString(c.message(family.target))
				if code == "" {
					allowed++
				}
			}
			text.WriteString(get("/public/end"))
			answers := s.send(t, s.fill(text.String()))
			if len(answers) != len(sent)+1 || allowed == len(sent) != (family.target == "/public/x") {
				t.Fatalf("%d answers to %d requests, %d of them allowed", len(answers), len(sent), allowed)
			}
			for i, c := range sent {
				got, want := answers[i].describe(), "403 "+family.rule(c)
				switch {
				case family.rule(c) == "" && answers[i].StatusCode != http.StatusOK:
					t.Errorf("%+v: %s, and it is allowed", c, got)
				case family.rule(c) != "" && got != want:
					t.Errorf("%+v: %s, want %s", c, got, want)
				}
			}
			arrived := len(s.up.all()) - before - 1
			if strings.HasPrefix(family.target, "/bff/") && arrived != 0 || !strings.HasPrefix(family.target, "/bff/") && arrived != allowed {
				t.Errorf("%d requests have reached the upstream, %d were allowed", arrived, allowed)
			}
			t.Logf("%d requests, %d refused", len(sent), len(sent)-allowed)
		})
	}
}

// TestCrossSiteRequests are those that a foreign page can really make a browser send (CSR-12).
func TestCrossSiteRequests(t *testing.T) {
	t.Parallel()
	const crossSite = "403 cross_site_request"
	const missing = "403 csrf_header_missing"
	foreign := func(mode, dest string, more ...string) []string {
		return append([]string{alice, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: " + mode, "Sec-Fetch-Dest: " + dest}, more...)
	}
	form := func(target, kind string) string {
		fields := foreign("navigate", "document", "Origin: https://evil.example", "Content-Type: "+kind, "Content-Length: 7", "Accept: text/html")
		return request("POST", target, fields...) + "a=b&c=d"
	}
	newSuite(t, config{}).run(t, []attack{
		{"form", "CSR-01", form("/api/x", "application/x-www-form-urlencoded"), "403"},
		{"form that looks like JSON", "CSR-01", form("/api/x", "text/plain"), "403"},
		{"form with a file", "CSR-01", form("/files/x", "multipart/form-data; boundary=x"), "403"},
		{"form to a page", "CSR-01", form("/pages/x", "application/x-www-form-urlencoded"), "403"},
		{"form to a page behind a login", "CSR-01", form("/gated/x", "application/x-www-form-urlencoded"), "403"},
		{"form to logout", "CSR-10", form("/bff/logout", "application/x-www-form-urlencoded"), "403"},
		{"form from a sandbox", "CSR-05", request("POST", "/pages/x", alice, "Origin: null", "Content-Length: 0"), crossSite},
		{"image", "CSR-12", get("/files/x", foreign("no-cors", "image")...), crossSite},
		{"image of a page", "CSR-12", get("/pages/x", foreign("no-cors", "image")...), crossSite},
		{"script", "PX-30", get("/api/x", foreign("no-cors", "script")...), missing},
		{"script of ours", "PX-30", get("/api/x", alice, csrf, same, "Sec-Fetch-Dest: script"), "403 forbidden"},
		{"frame", "PX-30", get("/pages/x", foreign("navigate", "iframe")...), "403"},
		{"object", "PX-30", get("/pages/x", foreign("navigate", "object")...), "403"},
		{"service worker of ours", "PX-30", get("/files/x", alice, same, "Sec-Fetch-Dest: serviceworker", "Service-Worker: script"), "403 forbidden"},
		{"download link", "CSR-12", get("/files/x", foreign("navigate", "document")...), "403"},
		{"EventSource", "CSR-12", get("/bff/events", foreign("cors", "empty", "Origin: https://evil.example")...), crossSite},
		{"beacon", "CSR-01", request("POST", "/api/x", foreign("no-cors", "empty", "Origin: https://evil.example", "Content-Length: 0")...), missing},
		{"fetch with the header, after a preflight that failed", "CSR-06", get("/api/x", foreign("cors", "empty", "Origin: https://evil.example", csrf)...), crossSite},
		{"preflight", "CSR-06", request("OPTIONS", "/api/x", foreign("cors", "empty", "Origin: https://evil.example", "Access-Control-Request-Headers: x-csrf")...), missing},
		{"preflight to a download", "CSR-06", request("OPTIONS", "/files/x", foreign("cors", "empty", "Origin: https://evil.example", "Access-Control-Request-Method: PUT")...), crossSite},
		{"a sibling host", "CSR-01", get("/files/x", alice, "Sec-Fetch-Site: same-site", "Origin: https://evil.example.com"), crossSite},
		{"typed address of an API", "CSR-01", get("/files/x", alice, "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), "403"},
		{"navigation mode, and not to a document", "CSR-01", get("/pages/x", foreign("navigate", "empty")...), "403"},
		{"Accept and a foreign Origin", "CSR-02", get("/pages/x", alice, "Accept: text/html", "Origin: https://evil.example"), "403"},
		{"two Origins", "CSR-02", get("/files/x", alice, "Origin: "+origin, "Origin: https://evil.example"), crossSite},
		{"two Sec-Fetch-Sites", "CSR-11", get("/files/x", alice, "Sec-Fetch-Site: cross-site", same), crossSite},
		{"Referer instead of Origin", "CSR-02", get("/files/x", alice, "Referer: "+origin+"/"), crossSite},
		{"X-CSRF by its underscore", "PX-07", get("/api/x", alice, "X_CSRF: 1"), missing},
		{"X-CSRF in the query", "CSR-06", get("/api/x?X-CSRF=1", alice), missing},
		{"the method in the query", "CSR-12", get("/bff/logout?_method=POST&sid=x", append(foreign("navigate", "document"), "Accept: text/html")...), "400"},

		// CSR-04: what is exempt is exempt by method and path, to the letter.
		{"callback with a slash", "CSR-04", request("POST", "/bff/callback/", alice, "Content-Length: 0"), notFound},
		{"callback and a segment", "CSR-04", request("POST", "/bff/callback/a/b", alice, "Content-Length: 0"), notFound},
		{"back-channel logout with a slash", "CSR-04", request("POST", "/bff/backchannel-logout/", alice, "Content-Length: 0"), notFound},
		{"back-channel logout by GET", "CSR-04", get("/bff/backchannel-logout", alice), "405 method_not_allowed"},
		{"logout with a slash", "CSR-04", request("POST", "/bff/logout/", alice, "Content-Length: 0"), notFound},
		{"session with a slash", "CSR-04", get("/bff/session/", alice), notFound},
		{"session in another case", "CSR-04", get("/bff/Session", alice), notFound},
		{"extend by GET", "CSR-10", get("/bff/session/extend", alice), "405 method_not_allowed"},
		{"refresh by GET", "CSR-10", get("/bff/session/refresh", alice), "405 method_not_allowed"},
		{"logout by PUT", "CSR-10", request("PUT", "/bff/logout", alice, "Content-Length: 0"), "405 method_not_allowed"},
		{"end a session by POST", "CSR-10", request("POST", "/bff/sessions/x", alice, "Content-Length: 0"), "405 method_not_allowed"},
		{"login as JSON", "CSR-06", get("/bff/login", alice, "Accept: application/json"), missing},
		{"login, prefetched", "FLOW-38", get("/bff/login", alice, "Sec-Purpose: prefetch"), "204"},
		{"login from another site", "FLOW-37", get("/bff/login", append(foreign("navigate", "document"), "Accept: text/html")...), "200"},
	})
}

// TestRefusedHasNoEffect is CSR-08 for a session whose access token has run out: no request of the matrix that is refused
// refreshes it or moves the idle deadline. One that is allowed does both, which shows that the test would notice.
func TestRefusedHasNoEffect(t *testing.T) {
	t.Parallel()
	s := newSuite(t, config{faults: []optest.Fault{optest.TokenMember("expires_in", 2)}})
	signedIn := s.session(t)
	s.eventually("activity to count again", func() bool { // it is noted every five seconds at most
		return signedIn.Idle_Expires_In-s.session(t).Idle_Expires_In > 6
	})
	before, refreshes := s.session(t), s.op.CountGrants("refresh_token")
	for _, target := range []string{"/api/x", "/files/x", "/pages/x", "/gated/x"} {
		var text strings.Builder
		for _, c := range claims() {
			rule := claim.sameOrigin
			if target == "/api/x" {
				rule = claim.header
			}
			if rule(c) != "" {
				text.WriteString(c.message(target))
			}
		}
		for _, answer := range s.send(t, s.fill(text.String()+get("/public/end"))) {
			if answer.StatusCode != http.StatusForbidden && answer.describe() != "200 GET /public/end" {
				t.Errorf("%s: %s", target, answer.describe())
			}
		}
	}
	if after := s.session(t); after.Idle_Expires_At != before.Idle_Expires_At {
		t.Errorf("the idle deadline has moved from %s to %s", before.Idle_Expires_At, after.Idle_Expires_At)
	}
	if n := s.op.CountGrants("refresh_token"); n != refreshes {
		t.Errorf("%d refreshes", n-refreshes)
	}
	if got := describe(s.send(t, s.fill(get("/api/x", alice, csrf, same)))); got != "200 GET /api/x" {
		t.Fatal(got)
	}
	if after := s.session(t); !after.Idle_Expires_At.After(before.Idle_Expires_At) || s.op.CountGrants("refresh_token") == refreshes {
		t.Errorf("a request that is allowed: deadline %s, before %s", after.Idle_Expires_At, before.Idle_Expires_At)
	}
}

// sessionState is what GET /bff/session tells, which neither refreshes nor slides.
type sessionState struct {
	Idle_Expires_At time.Time
	Idle_Expires_In int
}

func (s *suite) session(t *testing.T) sessionState {
	t.Helper()
	answers := s.send(t, s.fill(get("/bff/session", alice, csrf, same)))
	var state sessionState
	if len(answers) != 1 || decode(answers[0].body, &state) != nil || state.Idle_Expires_In == 0 {
		t.Fatalf("the session: %s", describe(answers))
	}
	return state
}
