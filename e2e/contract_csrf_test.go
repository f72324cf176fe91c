package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// routeFamilies adds a route of each CSRF family to the application.
func routeFamilies(c *config) {
	c.Routes = fmt.Sprintf(`
- {path: /api/files/, upstream: %[1]s, token: user, csrf: origin}
- {path: /api/pages/, upstream: %[1]s, token: user_or_none, csrf: navigation}
- {path: /api/members/, upstream: %[1]s, token: user, csrf: navigation, login: redirect}
- {path: /api/public/, upstream: %[1]s, token: none, csrf: none}
`, quote(c.API))
}

// TestCSRF is the table of contract.md "CSRF": what a request may show of where it comes from, by route family. What is
// refused reaches no upstream and slides nothing (CSR-08).
func TestCSRF(t *testing.T) {
	t.Parallel()
	g, _, api := startApplication(t, routeFamilies)
	a := newAgent(g)
	a.login()
	origin := g.config.Origin

	requests := map[string][]option{
		"nothing":                  nil,
		"X-CSRF":                   {header("X-CSRF", "1")},
		"X-CSRF 0":                 {header("X-CSRF", "0")},
		"X-CSRF, same-origin":      {header("X-CSRF", "1"), header("Sec-Fetch-Site", "same-origin")},
		"X-CSRF, same-site":        {header("X-CSRF", "1"), header("Sec-Fetch-Site", "same-site")},
		"X-CSRF, cross-site":       {header("X-CSRF", "1"), header("Sec-Fetch-Site", "cross-site")},
		"X-CSRF, none":             {header("X-CSRF", "1"), header("Sec-Fetch-Site", "none")},
		"X-CSRF, our Origin":       {header("X-CSRF", "1"), header("Origin", origin)},
		"X-CSRF, other Origin":     {header("X-CSRF", "1"), header("Origin", "http://localhost:1")},
		"X-CSRF, Origin null":      {header("X-CSRF", "1"), header("Origin", "null")},
		"cross-site, our Origin":   {header("X-CSRF", "1"), header("Sec-Fetch-Site", "cross-site"), header("Origin", origin)},
		"same-origin":              {header("Sec-Fetch-Site", "same-origin")},
		"our Origin":               {header("Origin", origin)},
		"other Origin":             {header("Origin", "http://127.0.0.1")},
		"cross-site":               {header("Sec-Fetch-Site", "cross-site")},
		"navigation, same-origin":  {asNavigation("same-origin")},
		"navigation, cross-site":   {asNavigation("cross-site")},
		"navigation, typed":        {asNavigation("none")},
		"frame, cross-site":        {asNavigation("cross-site"), header("Sec-Fetch-Dest", "iframe")},
		"form POST, cross-site":    {asNavigation("cross-site"), method(http.MethodPost)},
		"form POST, same-origin":   {asNavigation("same-origin"), method(http.MethodPost)},
		"old browser's navigation": {header("Accept", "text/html")},
	}
	const ok, missing, crossSite = "", "csrf_header_missing", "cross_site_request"
	withHeader := map[string]string{ // what is not listed is csrf_header_missing
		"X-CSRF": ok, "X-CSRF, same-origin": ok, "X-CSRF, our Origin": ok,
		"X-CSRF, same-site": crossSite, "X-CSRF, cross-site": crossSite, "X-CSRF, none": crossSite,
		"X-CSRF, other Origin": crossSite, "X-CSRF, Origin null": crossSite, "cross-site, our Origin": crossSite,
	}
	withOrigin := map[string]string{ // what is not listed is cross_site_request
		"X-CSRF, same-origin": ok, "X-CSRF, our Origin": ok, "same-origin": ok, "our Origin": ok,
		"navigation, same-origin": ok, "form POST, same-origin": ok,
	}
	withNavigation := map[string]string{
		"navigation, cross-site": ok, "navigation, typed": ok, "old browser's navigation": ok,
	}
	for name, code := range withOrigin {
		withNavigation[name] = code
	}
	families := []struct {
		method, path string
		want         map[string]string
		otherwise    string
	}{
		{"GET", "/api/echo", withHeader, missing},
		{"GET", "/bff/session", withHeader, missing},
		{"POST", "/bff/session/extend", withHeader, missing},
		{"POST", "/bff/session/refresh", withHeader, missing},
		{"GET", "/bff/sessions", withHeader, missing},
		{"DELETE", "/bff/sessions/unknown", withHeader, missing},
		{"GET", "/bff/user", withHeader, missing},
		{"GET", "/api/files/x", withOrigin, crossSite},
		{"GET", "/api/pages/x", withNavigation, crossSite},
		{"GET", "/api/members/x", withNavigation, crossSite},
		{"GET", "/api/public/x", nil, ok},
		{"GET", "/bff/jwks.json", nil, ok},
	}
	for _, family := range families {
		t.Run(family.method+family.path, func(t *testing.T) {
			for name, options := range requests {
				if strings.Contains(name, "POST") && strings.HasPrefix(family.path, "/bff/") {
					continue // another endpoint, or none
				}
				want, listed := family.want[name]
				if !listed {
					want = family.otherwise
				}
				before := len(api.received())
				res := a.do(family.method, family.path, options...)
				after := len(api.received())
				switch {
				case want == ok && res.StatusCode == http.StatusForbidden:
					t.Errorf("%s: refused: %s", name, res.body)
				case want == ok && strings.HasPrefix(family.path, "/api/") && after != before+1:
					t.Errorf("%s: %s, and the API got %d requests", name, res.Status, after-before)
				case want == ok:
				case res.StatusCode != http.StatusForbidden || !strings.Contains(res.body, want):
					t.Errorf("%s: %s, want 403 %s; %s", name, res.Status, want, res.body)
				case after != before:
					t.Errorf("%s: the refused request has reached the API", name)
				}
			}
		})
	}
	// POST /bff/logout comes last: what is not refused ends the session.
	t.Run("POST /bff/logout", func(t *testing.T) {
		for name, options := range requests {
			want, listed := withHeader[name]
			if !listed {
				want = missing
			}
			if want == ok {
				continue
			}
			res := a.do("POST", "/bff/logout", options...)
			if res.StatusCode != http.StatusForbidden || !strings.Contains(res.body, want) {
				t.Errorf("%s: %s, want 403 %s", name, res.Status, want)
			}
		}
		if a.session()["authenticated"] != true {
			t.Error("a refused logout has ended the session")
		}
	})
	if refused := strings.Count(g.stderr.String(), `"event":"csrf_refused"`); refused == 0 {
		t.Error("the audit log has no csrf_refused")
	}
}

// method changes the method of a request.
func method(name string) option { return func(r *http.Request) { r.Method = name } }

// TestLoginRedirect: on a route with login: redirect a navigation without a session starts a login, and nothing else is
// ever answered with a redirect (pain 5); one from another site gets a page of ours first (CK-10).
func TestLoginRedirect(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, routeFamilies)
	a := newAgent(g)
	start := a.do("GET", "/api/members/list?page=2", asNavigation("same-origin"))
	start.want(t, http.StatusSeeOther)
	if location := start.Header.Get("Location"); location != "/bff/login?returnUrl=%2Fapi%2Fmembers%2Flist%3Fpage%3D2" {
		t.Errorf("it goes to %s", location)
	}
	bounce := a.do("GET", "/api/members/list", asNavigation("cross-site"))
	bounce.want(t, http.StatusOK)
	match := metaRefresh.FindStringSubmatch(bounce.body)
	if match == nil || match[1] != "/api/members/list" || bounce.Header.Get("Location") != "" {
		t.Errorf("a navigation from another site gets %v %s", bounce.Header, bounce.body)
	}
	a.fetch("GET", "/api/members/list").wantProblem(t, http.StatusUnauthorized, "unauthenticated")
	a.fetch("POST", "/api/members/list").wantProblem(t, http.StatusUnauthorized, "unauthenticated")
	if op.Count("/authorize") != 0 {
		t.Error("somebody was sent to the OP")
	}
	answers := a.navigate("/api/members/list?page=2")
	page := answers[len(answers)-1]
	page.want(t, http.StatusOK)
	if page.Request.URL.RequestURI() != "/api/members/list?page=2" || op.Count("/authorize") != 1 {
		t.Errorf("the login ended at %s after %d visits to the OP", page.Request.URL, op.Count("/authorize"))
	}
}
