package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/network"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestStrictCookie is the SameSite=Strict cookie in a real browser, with an OP on another site that shows a page of its
// own: the navigation after the login is signed in, without loops, and so is a later one that comes from another site
// (CK-09, CK-10, pain 15).
func TestStrictCookie(t *testing.T) {
	t.Parallel()
	api := startAPI(t)
	c := newConfig(t, api)
	c.Routes = fmt.Sprintf(`
- {path: /api/members/, upstream: %[1]s, token: user, csrf: navigation, login: redirect}
- {path: /api/home/, upstream: %[1]s, token: user_or_none, csrf: navigation}
`, quote(c.API))
	op := c.startOP(t, optest.Config{Pages: optest.PlainPages{}})
	serve(t, c)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // 127.0.0.1: another site
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>Elsewhere</title><a id="members" href="%[1]s/api/members/list">members</a>
			<a id="login" href="%[1]s/bff/login">sign in</a>`, c.Origin)
	}))
	t.Cleanup(other.Close)
	b := startBrowser(t)

	b.open(c.Origin + "/bff/login?returnUrl=/api/home/")
	b.click(alice)
	b.click(allow)
	b.await(`document.title.startsWith("Welcome")`)
	if title := evaluate[string](b, "document.title"); title != "Welcome back" {
		t.Errorf("the page after the login says %q: it did not get the strict cookie", title)
	}

	logout := fetchIn(b, "GET", "/bff/session").Body["logout_url"]
	evaluate[any](b, "void setTimeout(() => location.assign("+quote(logout)+"))")
	b.await(`document.title === "The application"`)
	b.open(c.Origin + "/api/members/list?page=2")
	b.click(alice)
	b.await(`document.title === "Members only"`)
	if at := b.location(); at != c.Origin+"/api/members/list?page=2" {
		t.Errorf("the login ended at %s", at)
	}
	if n := op.Count(optest.AuthorizationEndpoint); n != 2 {
		t.Errorf("the two logins have sent the browser to the OP %d times", n)
	}
	strict := func(cookie *network.Cookie) bool {
		return cookie.Name == sessionCookie(c.Origin) && cookie.SameSite == "Strict"
	}
	if !slices.ContainsFunc(b.cookies(), strict) {
		t.Error("there is no strict session cookie")
	}

	b.open(other.URL)
	b.click("#members")
	b.await(`document.title === "Members only"`)
	if n := op.Count(optest.AuthorizationEndpoint); n != 2 {
		t.Errorf("a link from another site has started a login: %d visits to the OP", n)
	}
	if n := len(api.received()); n != 3 {
		t.Errorf("the API was asked %d times, want once for each page", n)
	}

	// Another site cannot start a login; the user can, with the button that it leads to (FLOW-37).
	b.open(other.URL)
	b.click("#login")
	b.awaitPage(c.Origin + "/bff/login")
	if n := op.Count(optest.AuthorizationEndpoint); n != 2 {
		t.Errorf("a link from another site has started a login: %d visits to the OP", n)
	}
	b.screenshot("sign-in-from-another-site")
	b.click("main button, main a")
	b.await(`document.title === "The application"`) // alice is signed in at the OP and has consented
	if n := op.Count(optest.AuthorizationEndpoint); n != 3 {
		t.Errorf("%d visits to the OP, want 3", n)
	}
}
