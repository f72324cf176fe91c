package e2e_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// startNuxt builds the example and starts its server.
func startNuxt(t *testing.T) *example {
	t.Helper()
	e := startExample(t, "nuxt")
	began := time.Now()
	if output, err := e.node("node_modules/.bin/nuxt", "build").CombinedOutput(); err != nil {
		t.Fatalf("nuxt build: %v\n%s", err, output)
	}
	t.Logf("nuxt build: %s", time.Since(began).Round(time.Second))
	e.awaitPort(start(t, e.node(".output/server/index.mjs")), e.frontEnd)
	return e
}

// wantShown checks what a browser without JavaScript shows of a page, and what not.
func (r *answer) wantShown(t *testing.T, shows, hides string) {
	t.Helper()
	r.want(t, http.StatusOK)
	if page := html.UnescapeString(r.body); !strings.Contains(page, shows) || strings.Contains(page, hides) {
		t.Errorf("%s should show %q and not %q:\n%s", r.Request.URL, shows, hides, page)
	}
}

const (
	nuxtSignedIn = "Signed in as " + exampleName
	nuxtSignIn   = `href="/bff/login?returnUrl=`
	nuxtOrders   = `"token": true` // of the API's answer
	nuxtNoOrders = "Sign in</a> to see your orders."
)

// TestExampleNuxt reads the pages that the server renders: who is signed in is in the first answer, and what the server
// has got from the API with the visitor's cookie, but no token (PX-04, PX-08, BFF-03).
func TestExampleNuxt(t *testing.T) {
	t.Parallel()
	e := startNuxt(t)
	t.Run("documents", func(t *testing.T) { e.readDocuments(t) })
	t.Run("browser", func(t *testing.T) { e.browseNuxt(t) })
}

func (e *example) readDocuments(t *testing.T) {
	a := newAgent(e.gateway)
	a.t = t
	asMallory := []option{
		asNavigation("none"), header("X-User-Id", "mallory"), header("x-user-name", "Mallory"), header("X_User_Id", "mallory"),
	}
	a.do("GET", "/", asNavigation("none")).wantShown(t, nuxtNoOrders, "Signed in")
	a.do("GET", "/", asMallory...).wantShown(t, nuxtSignIn, "allory")

	visited := a.navigate("/members") // signs in on the way
	visited[len(visited)-1].wantShown(t, "Only who is signed in sees this page, "+exampleName+".", nuxtSignIn)
	home := a.do("GET", "/", asNavigation("same-origin"))
	home.wantShown(t, nuxtSignedIn, nuxtSignIn)
	home.wantShown(t, nuxtOrders, `"cookie": true`)
	a.do("GET", "/", asMallory...).wantShown(t, nuxtSignedIn, "allory")
	ticket := a.cookie(sessionCookie(a.origin))

	// The page of one user is in no cache, its scripts are.
	if control := home.Header.Get("Cache-Control"); control != "no-store" {
		t.Errorf("the page has Cache-Control: %s", control)
	}
	script := regexp.MustCompile(`<script type="module" src="([^"]+)"`).FindStringSubmatch(home.body)
	if script == nil {
		t.Fatalf("the page has no script: %s", home.body)
	}
	asset := a.do("GET", script[1])
	asset.want(t, http.StatusOK)
	if control := asset.Header.Get("Cache-Control"); !strings.Contains(control, "immutable") {
		t.Errorf("%s has Cache-Control: %s", script[1], control)
	}

	if status, _, stderr := command(t, "sessions", "end", "-admin", e.config.Admin, "-sub", "alice"); status != 0 {
		t.Fatalf("cloakroom sessions end: %s", stderr)
	}
	if a.cookie(sessionCookie(a.origin)) != ticket {
		t.Fatal("the browser has lost its cookie too early")
	}
	a.do("GET", "/", asNavigation("same-origin")).wantShown(t, nuxtNoOrders, "Signed in")

	secrets := e.secrets(ticket)
	if len(secrets) < 4 {
		t.Errorf("only %d secrets to search for", len(secrets))
	}
	for _, one := range a.got.of(a.origin) {
		secrets.search(t, one.from.Path, one.without(a, true))
	}
}

func (e *example) browseNuxt(t *testing.T) {
	b := startBrowser(t)
	b.open(e.config.Origin)
	b.read("#orders")
	b.screenshot("1-anonymous")
	b.click("#sign-in")
	if user := b.read("#user"); user != nuxtSignedIn {
		t.Errorf("the page shows %q", user)
	}
	b.screenshot("2-signed-in")

	// The page has brought the answer along; now the browser asks.
	asked := `performance.getEntriesByType("resource").filter((entry) => entry.name.endsWith("/api/orders"))`
	if n := evaluate[int](b, asked+".length"); n != 0 {
		t.Errorf("the browser has called the API %d times, want the server's answer to be used", n)
	}
	b.click("#refresh")
	b.await(asked + ".some((entry) => entry.responseStatus === 200)")
	if orders := b.read("#orders"); !strings.Contains(orders, nuxtOrders) {
		t.Errorf("the page shows %q", orders)
	}

	var tickets []string
	for _, cookie := range b.cookies() {
		tickets = append(tickets, cookie.Value)
	}
	e.secrets(tickets...).search(t, "what scripts can see", b.visibleToScripts("/", "/bff/session", "/api/orders"))

	b.open(e.config.Origin + "/members")
	b.see("#member")
	b.screenshot("3-members")
	b.click("#sign-out")
	b.see("#sign-in")
	if orders := b.read("#orders"); orders != "Sign in to see your orders." {
		t.Errorf("after signing out the page shows %q", orders)
	}
	b.screenshot("4-signed-out")
}
