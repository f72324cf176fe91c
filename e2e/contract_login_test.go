package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// start one application for a contract test, with an OP and sessions in memory.
func startApplication(t *testing.T, change func(*config)) (*gateway, *optest.Server, *upstream) {
	t.Helper()
	api := startAPI(t)
	c := newConfig(t, api)
	if change != nil {
		change(c)
	}
	op := c.startOP(t, optest.Config{})
	return serve(t, c), op, api
}

// setCookies returns the cookies that an answer sets, by name; deletions are left out.
func (r *answer) setCookies() map[string]*http.Cookie {
	cookies := map[string]*http.Cookie{}
	for _, c := range r.Cookies() {
		if c.MaxAge >= 0 {
			cookies[c.Name] = c
		}
	}
	return cookies
}

// flowCookie returns the one login flow that an answer sets, nil if there is none.
func (r *answer) flowCookie() *http.Cookie {
	for name, c := range r.setCookies() {
		if strings.Contains(name, "cloakroom-flow-") {
			return c
		}
	}
	return nil
}

// TestLogin is contract.md "Endpoints", GET /bff/login.
func TestLogin(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, func(c *config) {
		c.Provider = "pushed_authorization_requests: off" // so that the parameters can be seen here
	})

	t.Run("redirect", func(t *testing.T) {
		res := newAgent(g).do("GET", "/bff/login?returnUrl=/a%3Fb%23c", asNavigation("same-origin"))
		res.want(t, http.StatusFound)
		wantAuthorizationURL(t, g.config, op, res.Header.Get("Location"))
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("Cache-Control %q", res.Header.Get("Cache-Control"))
		}
		flow := res.flowCookie()
		if flow == nil || !flow.HttpOnly || flow.SameSite != http.SameSiteLaxMode ||
			flow.Path != "/" || flow.MaxAge != 600 || flow.Domain != "" {
			t.Errorf("the flow cookie is %v", flow)
		}
	})
	t.Run("typed by the user", func(t *testing.T) {
		newAgent(g).do("GET", "/bff/login", asNavigation("none")).want(t, http.StatusFound)
	})
	t.Run("login parameters", func(t *testing.T) {
		res := newAgent(g).do("GET", "/bff/login?login_hint=alice&prompt=login&ui_locales=de&acr_values=mfa&max_age=60"+
			"&scope=admin&client_id=other&redirect_uri=http://evil.test&claims=x", asNavigation("same-origin"))
		query := wantAuthorizationURL(t, g.config, op, res.Header.Get("Location"))
		want := map[string]string{
			"login_hint": "alice", "prompt": "login", "ui_locales": "de", "acr_values": "mfa", "max_age": "60", "claims": "",
		}
		for name, value := range want {
			if query.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, query.Get(name), value)
			}
		}
	})
	t.Run("JSON", func(t *testing.T) {
		res := newAgent(g).fetch("GET", "/bff/login?returnUrl=/orders")
		res.want(t, http.StatusOK)
		object := res.json(t)
		location, _ := object["authorization_url"].(string)
		wantAuthorizationURL(t, g.config, op, location)
		if object["expires_in"] != 600.0 || len(object) != 2 || res.flowCookie() == nil {
			t.Errorf("%v, cookies %v", object, res.Cookies())
		}
	})
	t.Run("JSON without X-CSRF", func(t *testing.T) {
		res := newAgent(g).fetch("GET", "/bff/login", header("X-CSRF", ""))
		res.wantProblem(t, http.StatusForbidden, "csrf_header_missing")
	})
	t.Run("fetch that is not JSON", func(t *testing.T) { // never a redirect to the OP
		res := newAgent(g).fetch("GET", "/bff/login", header("Accept", "*/*"))
		res.wantProblem(t, http.StatusBadRequest, "bad_request")
	})
	t.Run("from another site", func(t *testing.T) { // FLOW-37
		for _, site := range []string{"cross-site", "same-site"} {
			res := newAgent(g).do("GET", "/bff/login?returnUrl=/x", asNavigation(site))
			res.want(t, http.StatusOK)
			if strings.Count(res.body, "<button") != 1 || res.Header.Get("Location") != "" || len(res.Cookies()) != 0 {
				t.Errorf("%s: want a page with one button and no flow: %v %s", site, res.Header, res.body)
			}
		}
	})
	t.Run("bad returnUrl", func(t *testing.T) {
		for _, target := range []string{
			"https://evil.test", "//evil.test", `/\evil.test`, "javascript:alert(1)", "/%2f/evil.test", "/a\nb",
		} {
			address := "/bff/login?returnUrl=" + url.QueryEscape(target)
			res := newAgent(g).fetch("GET", address)
			res.wantProblem(t, http.StatusBadRequest, "bad_return_url")
			page := newAgent(g).do("GET", address, asNavigation("same-origin"))
			page.wantPage(t, http.StatusBadRequest, "bad_return_url")
			if len(page.setCookies()) != 0 {
				t.Errorf("%q: a flow has begun", target)
			}
		}
	})
	t.Run("unknown provider", func(t *testing.T) {
		newAgent(g).fetch("GET", "/bff/login?provider=other").wantProblem(t, http.StatusBadRequest, "bad_request")
	})
	t.Run("prefetch", func(t *testing.T) { // FLOW-38
		res := newAgent(g).do("GET", "/bff/login", asNavigation("same-origin"), header("Sec-Purpose", "prefetch"))
		if res.StatusCode >= 300 && res.StatusCode < 400 || len(res.Cookies()) != 0 {
			t.Errorf("%s with %v", res.Status, res.Cookies())
		}
	})
}

// wantAuthorizationURL checks an authorization request (OpenID Connect Core §3.1.2.1) and returns its parameters.
func wantAuthorizationURL(t *testing.T, c *config, op *optest.Server, address string) url.Values {
	t.Helper()
	endpoint, rawQuery, _ := strings.Cut(address, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil || endpoint != op.EndpointURL(optest.AuthorizationEndpoint) {
		t.Fatalf("authorization URL %q: %v", address, err)
	}
	for name, want := range map[string]string{
		"response_type": "code", "client_id": c.ClientID, "redirect_uri": c.Origin + "/bff/callback",
		"scope": "openid profile email offline_access", "code_challenge_method": "S256",
	} {
		if query.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, query.Get(name), want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(query.Get(name)) < 22 {
			t.Errorf("%s is %q", name, query.Get(name))
		}
	}
	return query
}

// wantPage checks a refusal of a navigation: a page for a person, with the code and a way on.
func (r *answer) wantPage(t *testing.T, status int, code string) {
	t.Helper()
	r.want(t, status)
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") || !strings.Contains(r.body, code) {
		t.Errorf("%s: want a page that names %s, got %s: %s", r.Request.URL, code, r.Header.Get("Content-Type"), r.body)
	}
	policy := r.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("%s: Content-Security-Policy %q", r.Request.URL, policy)
	}
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q", r.Request.URL, r.Header.Get("Cache-Control"))
	}
}

// toCallback starts a login and stops before the callback, whose address it returns.
func toCallback(a *agent, login string) string {
	a.t.Helper()
	_, authorize, site := a.step(login, "same-origin")
	_, callback, _ := a.step(authorize.String(), site)
	return callback.String()
}

// TestCallback is contract.md "Endpoints", GET /bff/callback, with the landing page and the error page behind it.
func TestCallback(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, nil)

	t.Run("a new session", func(t *testing.T) {
		a := newAgent(g)
		res := a.do("GET", toCallback(a, "/bff/login?returnUrl=/a%3Fb%3D1%23c"), asNavigation("cross-site"))
		res.want(t, http.StatusSeeOther)
		if location := res.Header.Get("Location"); location != "/bff/landing" {
			t.Errorf("it goes to %s", location)
		}
		ticket := res.setCookies()[sessionCookie(a.origin)]
		if ticket == nil || !ticket.HttpOnly || ticket.SameSite != http.SameSiteStrictMode ||
			ticket.Path != "/" || ticket.Domain != "" {
			t.Fatalf("the session cookie is %v", ticket)
		}
		if strings.Contains(res.body, "code") {
			t.Errorf("the body is %q", res.body)
		}
		landing := a.do("GET", "/bff/landing", asNavigation("cross-site"))
		landing.want(t, http.StatusOK)
		if match := metaRefresh.FindStringSubmatch(landing.body); match == nil || match[1] != "/a?b=1#c" {
			t.Errorf("the landing page leads to %q", match)
		}
		if landing.Header.Get("Referrer-Policy") != "no-referrer" || landing.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("the landing page has the header %v", landing.Header)
		}
		if a.session()["authenticated"] != true {
			t.Error("nobody is signed in")
		}
		again := a.do("GET", "/bff/landing", asNavigation("same-origin")) // a reload leads to the application, not nowhere
		if match := metaRefresh.FindStringSubmatch(again.body); match == nil || match[1] != "/" {
			t.Errorf("the landing page, reloaded, leads to %q", match)
		}
	})
	t.Run("a new ticket at every login", func(t *testing.T) {
		a := newAgent(g)
		a.login()
		first := a.cookie(sessionCookie(a.origin))
		a.login()
		if second := a.cookie(sessionCookie(a.origin)); second == first || second == "" {
			t.Errorf("the ticket is %q after %q", second, first)
		}
		old := newAgent(g).fetch("GET", "/api/echo", header("Cookie", sessionCookie(a.origin)+"="+first))
		old.wantProblem(t, http.StatusUnauthorized, "session_ended")
	})
	t.Run("once", func(t *testing.T) { // FLOW-06
		a := newAgent(g)
		callback := toCallback(a, "/bff/login")
		flow := a.client.Jar.Cookies(mustParse(t, a.origin))
		a.do("GET", callback, asNavigation("cross-site")).want(t, http.StatusSeeOther)
		exchanges := op.CountGrants("authorization_code")
		thief := newAgent(g)
		thief.client.Jar.SetCookies(mustParse(t, a.origin), flow)
		thief.wantLoginFailed(t, callback)
		if op.CountGrants("authorization_code") != exchanges {
			t.Error("the code was sent to the OP a second time")
		}
		if a.session()["authenticated"] != true {
			t.Error("the first session is gone")
		}
	})
	t.Run("another browser", func(t *testing.T) { // FLOW-05
		callback := toCallback(newAgent(g), "/bff/login")
		newAgent(g).wantLoginFailed(t, callback)
	})
	t.Run("what the OP sends is wrong", func(t *testing.T) {
		for _, fault := range []optest.Fault{
			optest.CallbackWrongIssuer, optest.CallbackNoIssuer, optest.CallbackOtherState, optest.CallbackNoCode,
			optest.CallbackTwice("code"), optest.CallbackError("server_error", optest.HostileText),
			optest.BadSignature, optest.AlgNone, optest.NoNonce, optest.OtherAudience, optest.Expired,
		} {
			op.Fault(fault)
			a := newAgent(g)
			callback := toCallback(a, "/bff/login")
			page := a.wantLoginFailed(t, callback)
			op.ClearFaults()
			if strings.Contains(page, "evil.invalid") || a.session()["authenticated"] != false {
				t.Errorf("%s: %s", fault, page)
			}
		}
	})
	t.Run("the error page after a reload", func(t *testing.T) {
		res := newAgent(g).do("GET", "/bff/error", asNavigation("same-origin"))
		res.want(t, http.StatusOK)
	})
}

// wantLoginFailed follows a callback to the error page, and returns the page.
func (a *agent) wantLoginFailed(t *testing.T, callback string) string {
	t.Helper()
	res := a.do("GET", callback, asNavigation("cross-site"))
	res.want(t, http.StatusSeeOther)
	if location := res.Header.Get("Location"); location != "/bff/error" {
		t.Errorf("it goes to %s", location)
	}
	if _, ok := res.setCookies()[sessionCookie(a.origin)]; ok {
		t.Error("a session has begun")
	}
	page := a.do("GET", "/bff/error", asNavigation("cross-site"))
	page.wantPage(t, http.StatusBadRequest, "login_failed")
	if !strings.Contains(page.body, "Try again") || !strings.Contains(page.body, `"/bff/login`) {
		t.Errorf("the page offers no other try: %s", page.body)
	}
	return page.body
}

// TestTwoProviders: each has its own callback, and a response that comes to the other's is refused (FLOW-36).
func TestTwoProviders(t *testing.T) {
	t.Parallel()
	c := newConfig(t, startAPI(t))
	client := c.client()
	client.RedirectURIs = []string{c.Origin + "/bff/callback/second"}
	second := optest.Start(t, optest.Config{Clients: []optest.Client{client}, Users: []optest.User{{Subject: "carol"}}})
	c.Providers = fmt.Sprintf("- {name: second, issuer: %s, client_id: app, client_secret: %s}",
		quote(second.Issuer()), quote(c.Secret))
	c.startOP(t, optest.Config{})
	g := serve(t, c)

	choice := newAgent(g).do("GET", "/bff/login", asNavigation("same-origin"))
	choice.want(t, http.StatusOK)
	if strings.Count(choice.body, "<button") != 2 {
		t.Errorf("want a choice of two: %s", choice.body)
	}
	a := newAgent(g)
	a.navigate("/bff/login?provider=second")
	session := a.session()
	if user, _ := session["user"].(map[string]any); session["provider"] != "second" || user["sub"] != "carol" {
		t.Errorf("the session says %v", session)
	}
	a.navigate("/bff/login?provider=default")
	if user, _ := a.session()["user"].(map[string]any); user["sub"] != "alice" {
		t.Errorf("the session says %v", a.session())
	}
	mixed := newAgent(g)
	callback := toCallback(mixed, "/bff/login?provider=second")
	mixed.wantLoginFailed(t, strings.Replace(callback, "/callback/second", "/callback", 1))
}

// TestSeveralTabs: flows are bounded, the oldest goes (FLOW-41, FLOW-42, CK-05).
func TestSeveralTabs(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, nil)
	a := newAgent(g)
	var callbacks []string
	for range 12 {
		callbacks = append(callbacks, toCallback(a, "/bff/login"))
	}
	cookies := a.client.Jar.Cookies(mustParse(t, a.origin))
	size := 0
	for _, c := range cookies {
		size += len(c.Name) + len(c.Value) + 3
	}
	if size > 8<<10 || len(cookies) > 8 {
		t.Errorf("%d cookies of %d bytes after 12 logins in flight", len(cookies), size)
	}
	slices.Reverse(callbacks)
	for _, callback := range callbacks[:4] {
		res := a.do("GET", callback, asNavigation("cross-site"))
		if !strings.HasPrefix(res.Header.Get("Location"), "/bff/landing") {
			t.Errorf("one of the newest flows goes to %s", res.Header.Get("Location"))
		}
	}
	res := a.do("GET", callbacks[len(callbacks)-1], asNavigation("cross-site"))
	if !strings.HasPrefix(res.Header.Get("Location"), "/bff/error") {
		t.Errorf("the oldest flow goes to %s", res.Header.Get("Location"))
	}
}

// TestSecureCookies: on an https origin the names have their prefix and the cookies are Secure (contract.md "Cookies").
func TestSecureCookies(t *testing.T) {
	t.Parallel()
	c := newConfig(t, startAPI(t))
	c.useTLS(t)
	c.startOP(t, optest.Config{})
	g := serve(t, c)
	a := newAgent(g)
	set := map[string]*http.Cookie{}
	for _, res := range a.login() {
		maps.Copy(set, res.setCookies())
		if strings.HasPrefix(res.Request.URL.String(), c.Origin) && res.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s has no Strict-Transport-Security", res.Request.URL)
		}
	}
	session := a.session()
	maps.Copy(set, a.fetch("POST", "/bff/logout").setCookies())
	if session["authenticated"] != true {
		t.Errorf("the session says %v", session)
	}
	for name, sameSite := range map[string]http.SameSite{
		"__Host-Http-cloakroom": http.SameSiteStrictMode, "__Host-Http-cloakroom-flow-": http.SameSiteLaxMode,
		"__Host-Http-cloakroom-logout": http.SameSiteLaxMode,
	} {
		found := false
		for full, cookie := range set {
			if full != name && (!strings.HasSuffix(name, "-") || !strings.HasPrefix(full, name)) {
				continue
			}
			found = true
			if !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" || cookie.SameSite != sameSite {
				t.Errorf("the cookie is %v", cookie)
			}
		}
		if !found {
			t.Errorf("no cookie %s was set, but %v", name, slices.Sorted(maps.Keys(set)))
		}
	}
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
