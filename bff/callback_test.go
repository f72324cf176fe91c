package bff

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
)

// edit changes the query of a callback URL.
func edit(change func(q url.Values)) func(string) string {
	return func(callback string) string {
		u, _ := url.Parse(callback)
		q := u.Query()
		change(q)
		u.RawQuery = q.Encode()
		return u.String()
	}
}

// Every response that does not answer the flow ends on the error page, with no session and nothing sent to the token
// endpoint.
func TestCallbackRefusesBeforeTheTokenRequest(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"FLOW-05 no state":            edit(func(q url.Values) { q.Del("state") }),
		"FLOW-05 empty state":         edit(func(q url.Values) { q.Set("state", "") }),
		"FLOW-05 other state":         edit(func(q url.Values) { q.Set("state", "a"+q.Get("state")[1:]) }),
		"FLOW-26 two states":          edit(func(q url.Values) { q.Add("state", q.Get("state")) }),
		"FLOW-26 two codes":           edit(func(q url.Values) { q.Add("code", "x") }),
		"FLOW-10 other iss":           edit(func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }),
		"FLOW-11 no iss":              edit(func(q url.Values) { q.Del("iss") }),
		"FLOW-13 error, other iss":    edit(func(q url.Values) { q.Del("code"); q.Set("error", "access_denied"); q.Set("iss", "https://evil") }),
		"FLOW-20 a token":             edit(func(q url.Values) { q.Set("id_token", "x") }),
		"no code":                     edit(func(q url.Values) { q.Del("code") }),
		"FLOW-36 another provider":    func(u string) string { return strings.Replace(u, "/callback?", "/callback/two?", 1) },
		"FLOW-36 by its own name":     func(u string) string { return strings.Replace(u, "/callback?", "/callback/one?", 1) },
		"FLOW-36 an unknown one":      func(u string) string { return strings.Replace(u, "/callback?", "/callback/three?", 1) },
		"a query that cannot be read": func(u string) string { return u + "&%zz" },
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, twoProviders)
			b := a.browser()
			res := b.get(change(b.startLogin("?provider=one")))
			if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/bff/error" {
				t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
			}
			if n := a.op.Count(optest.TokenEndpoint); n != 0 {
				t.Errorf("%d token requests", n)
			}
			b.wantAnonymous("none")
			page := b.get("/bff/error")
			if page.StatusCode != http.StatusBadRequest || !strings.Contains(page.body, "login_failed") || !strings.Contains(page.body, "Try again") {
				t.Errorf("%s\n%s", page.Status, page.body)
			}
			if len(a.fails) != 1 {
				t.Errorf("the audit log heard %v", a.fails)
			}
		})
	}
}

// FLOW-09: a flow that was begun with another issuer, before the configuration of its provider changed, is over.
func TestCallbackOfAnotherIssuer(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.startLogin("")
	cookie := b.cookies(a.cookies.flow)[0]
	var f flow
	if err := a.sealer.open(cookie.Name, cookie.Value, &f, a.now()); err != nil {
		t.Fatal(err)
	}
	f.Issuer = "https://former.example"
	sealed, err := a.sealer.seal(cookie.Name, f, a.now().Add(flowLife))
	if err != nil {
		t.Fatal(err)
	}
	if res := a.browser().get(callback, "Cookie: "+cookie.Name+"="+sealed); res.Header.Get("Location") != "/bff/error" {
		t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
	if n := a.op.Count(optest.TokenEndpoint); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

// What is wrong with the token response is wrong with the login (FLOW-08): one token request, and no session.
func TestCallbackRefusesTheGrant(t *testing.T) {
	for name, test := range map[string]struct {
		fault  optest.Fault
		status int
		code   string
	}{
		"IDT-06": {optest.WrongIssuer, 400, "login_failed"},
		"IDT-14": {optest.NoNonce, 400, "login_failed"},
		"OP 500": {optest.Status(optest.TokenEndpoint, 500), 503, "provider_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			b := a.browser()
			callback := b.startLogin("?returnUrl=/deep%3Fa=1")
			a.op.Fault(test.fault)
			if res := b.get(callback); res.Header.Get("Location") != "/bff/error" {
				t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
			}
			if n := a.op.Count(optest.TokenEndpoint); n != 1 {
				t.Errorf("%d token requests", n)
			}
			b.wantAnonymous("none")
			page := b.get("/bff/error")
			if page.StatusCode != test.status || !strings.Contains(page.body, test.code) {
				t.Errorf("%s\n%s", page.Status, page.body)
			}
			if !strings.Contains(page.body, `name="returnUrl" value="/deep?a=1"`) || !strings.Contains(page.body, `name="provider" value="one"`) {
				t.Errorf("trying again does not lead back to the page:\n%s", page.body)
			}
		})
	}
}

// FLOW-40: what an OP, or somebody in its place, writes into a response is shown to nobody.
func TestCallbackShowsNoForeignText(t *testing.T) {
	for _, hostile := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "visit https://evil.example", "a\r\nSet-Cookie: x=y"} {
		a := newApp(t)
		b := a.browser()
		b.get(edit(func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", hostile)
			q.Set("error_uri", "https://evil.example")
		})(b.startLogin("")))
		page := b.get("/bff/error")
		if strings.Contains(page.body, "alert") || strings.Contains(page.body, "evil") || page.Header.Get("Set-Cookie") == "x=y" {
			t.Errorf("%q is shown:\n%s", hostile, page.body)
		}
		if !strings.Contains(page.body, "Access was denied") || page.StatusCode != http.StatusBadRequest {
			t.Errorf("%s\n%s", page.Status, page.body)
		}
	}
}

// FLOW-39: prompt=none that finds nobody goes back to the page, signed out, and does not start again.
func TestCallbackOfPromptNone(t *testing.T) {
	for _, code := range []string{"login_required", "interaction_required", "consent_required", "account_selection_required"} {
		a := newApp(t)
		b := a.browser()
		callback := edit(func(q url.Values) { q.Del("code"); q.Set("error", code) })(b.startLogin("?prompt=none&returnUrl=/quiet"))
		if res := b.get(callback); res.Header.Get("Location") != "/bff/landing" {
			t.Errorf("%s: %s %s", code, res.Status, res.Header.Get("Location"))
		}
		if page := b.get("/bff/landing"); !strings.Contains(page.body, `url=/quiet"`) {
			t.Errorf("%s: %s", code, page.body)
		}
		b.wantAnonymous("none")
	}
}

// FLOW-39: an OP that will not ask the user, though it may, leads to the error page. A way back to a page that needs a
// login would begin the next one, and so on without end.
func TestCallbackOfPromptNoneNotAskedFor(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := edit(func(q url.Values) { q.Del("code"); q.Set("error", "login_required") })(b.startLogin("?returnUrl=/gated"))
	if res := b.get(callback); res.Header.Get("Location") != "/bff/error" {
		t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
}

// FLOW-34, SES-05: a login gives a ticket that nobody has seen, and the session before it is over.
func TestCallbackReplacesTheSession(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login()
	first := b.cookies(a.cookies.session)[0]
	b.login()
	second := b.cookies(a.cookies.session)[0]
	if first.Value == second.Value {
		t.Error("the ticket is the same")
	}
	res := a.browser().get("/bff/session", "Cookie: "+first.Name+"="+first.Value)
	if !strings.Contains(res.body, `"reason":"ended"`) {
		t.Errorf("the first session: %s", res.body)
	}
	if res.Header.Get("Set-Cookie") != "" {
		t.Error("an answer to a late request with the old ticket takes away the cookie, which is the new one's by now")
	}
}

// FLOW-23, FLOW-24, FLOW-43, CK-09: headers of the way from the OP to the page.
func TestCallbackAndLandingHeaders(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	res := b.get(b.startLogin("?returnUrl=/orders%3Fa=1%23row"))
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("callback: %s %v", res.Status, res.Header)
	}
	page := b.get(res.Header.Get("Location"))
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, `content="0; url=/orders?a=1#row"`) {
		t.Errorf("landing: %s\n%s", page.Status, page.body)
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("landing: Content-Security-Policy %q", csp)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := page.Header.Get(name); got != want {
			t.Errorf("landing: %s %q, want %q", name, got, want)
		}
	}
	if again := b.get("/bff/landing"); !strings.Contains(again.body, `content="0; url=/"`) {
		t.Errorf("a second look at the landing page: %s", again.body)
	}
	if empty := b.get("/bff/error"); empty.StatusCode != http.StatusOK || !strings.Contains(empty.body, "Nothing to report") {
		t.Errorf("an error page without an error: %s\n%s", empty.Status, empty.body)
	}
}

// A flash that somebody else wrote is no flash: neither page can be made to say or do something.
func TestLandingIgnoresForeignCookies(t *testing.T) {
	a := newApp(t)
	for _, page := range []string{"/bff/landing", "/bff/error"} {
		res := a.browser().get(page, "Cookie: "+a.flashName("")+`={"n":"//evil.example","d":"pay here","c":"login_failed"}`)
		if strings.Contains(res.body, "evil") || strings.Contains(res.body, "pay here") {
			t.Errorf("%s: %s", page, res.body)
		}
	}
}

// FLOW-34: with a strict cookie the callback does not see the old session; the flow knows it.
func TestCallbackReplacesTheSessionOfTheFlow(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login()
	old := b.cookies(a.cookies.session)[0]
	callback := b.startLogin("")
	flow := b.cookies(a.cookies.flow)[0]
	if res := a.browser().get(callback, "Cookie: "+flow.Name+"="+flow.Value); res.Header.Get("Location") != "/bff/landing" {
		t.Fatalf("%s %s", res.Status, res.Header.Get("Location"))
	}
	res := a.browser().get("/bff/session", "Cookie: "+old.Name+"="+old.Value)
	if !strings.Contains(res.body, `"reason":"ended"`) {
		t.Errorf("the old session: %s", res.body)
	}
}

// FLOW-34: another tab was faster. The flow does not know its session; a Lax cookie tells of it.
func TestCallbackReplacesTheSessionOfAnotherTab(t *testing.T) {
	a := newApp(t, func(o *setup) { o.SameSite = http.SameSiteLaxMode })
	b := a.browser()
	callback := b.startLogin("")
	b.get(b.startLogin(""))
	faster := b.cookies(a.cookies.session)[0]
	b.get(callback)
	res := a.browser().get("/bff/session", "Cookie: "+faster.Name+"="+faster.Value)
	if !strings.Contains(res.body, `"reason":"ended"`) {
		t.Errorf("the other tab's session: %s", res.body)
	}
}

// A browser that goes away while the code is redeemed does not undo the login: the code is spent by then.
func TestCallbackSurvivesItsBrowser(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.startLogin("")
	release := make(chan struct{})
	a.op.Fault(optest.Hold(optest.TokenEndpoint, release))
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		res, err := b.http.Do(req)
		if err == nil {
			res.Body.Close()
		}
		gone <- err
	}()
	poll(t, "the token request", func() bool { return a.op.Count(optest.TokenEndpoint) == 1 })
	leave()
	if err := <-gone; err == nil {
		t.Fatal("the callback answered before the OP did")
	}
	close(release)
	poll(t, "the session to be stored", func() bool {
		ids, err := a.store.Find(t.Context(), session.SubjectIndex(a.op.Issuer(), "alice"))
		return err == nil && len(ids) == 1
	})
}

// What no session will use is given back to the OP.
func TestCallbackRevokesWhatCannotBeStored(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.startLogin("")
	a.store.broken.Store(true)
	if res := b.get(callback); res.Header.Get("Location") != "/bff/error" {
		t.Fatalf("%s %s", res.Status, res.Header.Get("Location"))
	}
	if page := b.get("/bff/error"); page.StatusCode != http.StatusServiceUnavailable || page.Header.Get("Retry-After") == "" ||
		!strings.Contains(page.body, "store_unavailable") {
		t.Errorf("%s %v\n%s", page.Status, page.Header, page.body)
	}
	if revoked := a.op.Requests(optest.RevocationEndpoint); len(revoked) != 1 || revoked[0].Form.Get("token_type_hint") != "refresh_token" {
		t.Errorf("revocation requests: %+v", revoked)
	}
}

func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond) // polling, with the deadline above
	}
}
