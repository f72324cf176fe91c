package e2e_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startDemo starts `cloakroom demo` on a free port and returns it with the URL of its first application.
func startDemo(t *testing.T) (*process, string) {
	t.Helper()
	port := freePort(t)
	p := start(t, exec.Command(binary, "demo", "-listen", loopback(port)))
	eventually(t, startTime, "the demo's three lines", func() bool {
		return !p.running() || strings.Count(p.stdout.String(), "\n") == 3
	})
	return p, fmt.Sprintf("http://localhost:%d", port)
}

// What the OP's pages ask.
const (
	alice    = `button[name=subject][value=alice]`
	bob      = `button[name=subject][value=bob]`
	allow    = `button[name=decision][value=allow]`
	deny     = `button[name=decision][value=deny]`
	goOn     = `button[name=account][value=continue]`
	signedIn = "#signed-in:not([hidden]) #user-name"
)

// TestDemo is a visit to the demo by a person who reads everything, with a screenshot of each step.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo, app := startDemo(t)
	want := "open " + app + "\nsign in as alice or bob, there is no password\nstop with Ctrl-C\n"
	if demo.stdout.String() != want {
		t.Errorf("the demo says %q, want %q", demo.stdout, want)
	}
	b := startBrowser(t)

	b.open(app)
	b.see("#sign-in")
	b.screenshot("1-signed-out")

	b.click("#sign-in")
	b.see(alice)
	if op := b.location(); !strings.HasPrefix(op, "http://127.0.0.1:") {
		t.Errorf("the sign-in page is at %s; on another site than the application it shows how strict cookies work", op)
	}
	b.screenshot("2-sign-in-at-the-op")
	b.click(alice)
	b.see(allow)
	b.screenshot("3-consent")
	b.click(allow)

	if name := b.read(signedIn); name != "Alice Anderson" {
		t.Errorf("signed in as %q", name)
	}
	if at := b.location(); at != app+"/" {
		t.Errorf("the login ended at %s", at)
	}
	b.screenshot("4-signed-in")

	b.click("#call-api")
	b.see("#api-result .chip.good")
	if result := b.read("#api-result"); !strings.Contains(result, "200") ||
		!strings.Contains(result, "An access token for alice") || !strings.Contains(result, "Cookies: none") {
		t.Errorf("the API call shows %q", result)
	}
	b.click("#order")
	b.await(`document.querySelector("#api-result").innerText.includes("201")`)
	b.screenshot("5-api-call")
	wantNoSecrets(t, b)

	b.await(`document.querySelector("#idle-left").innerText < "4:54"`) // activity is written every 5 seconds
	b.click("#extend")
	b.await(`document.querySelector("#idle-left").innerText >= "4:58"`)
	b.screenshot("6-extended")

	second := b.newTab()
	second.open(evaluate[string](b, `document.querySelector("#other-app").href`))
	second.see("#sign-in")
	second.screenshot("7-second-application")
	second.click("#sign-in")
	second.see(goOn)
	if page := second.read("main"); !strings.Contains(page, "Go on as Alice Anderson") {
		t.Errorf("single sign-on asks: %q", page)
	}
	second.screenshot("8-account-selection")
	second.click(goOn)
	if name := second.read(signedIn); name != "Alice Anderson" {
		t.Errorf("the second application shows %q", name)
	}
	second.screenshot("9-single-sign-on")

	b.click("#sign-out")
	b.await("document.body.innerText.includes('You are signed out.')") // what the page says that it comes back to
	b.see("#sign-in")
	if at := b.location(); at != app+"/" {
		t.Errorf("the logout ended at %s", at)
	}
	b.screenshot("10-signed-out")
	b.click("#sign-in")
	b.see(alice) // the session at the OP has ended too

	began := time.Now()
	demo.stop(syscall.SIGINT)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the demo took %s to stop", took)
	}
}

var (
	jwt          = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.`)
	refreshToken = regexp.MustCompile(`\b[A-Z2-7]{26}\b`) // of the demo's OP: rand.Text
)

// wantNoSecrets looks at all that JavaScript can see in the signed-in tab (BFF-03).
func wantNoSecrets(t *testing.T, b *tab) {
	t.Helper()
	seen := b.visibleToScripts("/bff/session", "/bff/user", "/bff/jwks.json", "/api/orders")
	for _, want := range []string{`"authenticated":true`, "bff:session_state", "token_expires_in"} {
		if !strings.Contains(seen, want) {
			t.Errorf("the search has not seen %s", want)
		}
	}
	requestIDs := regexp.MustCompile(`\["x-request-id","[A-Z2-7]{26}"\]`)
	seen = requestIDs.ReplaceAllString(seen, "")
	for name, pattern := range map[string]*regexp.Regexp{"a JWT": jwt, "a refresh token": refreshToken} {
		if found := pattern.FindString(seen); found != "" {
			t.Errorf("JavaScript can see %s: %s", name, found)
		}
	}
	for _, cookie := range b.cookies() {
		if strings.Contains(seen, cookie.Value) {
			t.Errorf("JavaScript can see the value of the cookie %s", cookie.Name)
		}
		if !cookie.HTTPOnly {
			t.Errorf("the cookie %s is not HttpOnly", cookie.Name)
		}
	}
}

// TestDemoConsentDenied: a person who says no sees a page that says what happened and how to try again.
func TestDemoConsentDenied(t *testing.T) {
	t.Parallel()
	_, app := startDemo(t)
	b := startBrowser(t)
	b.open(app + "/bff/login?returnUrl=/somewhere")
	b.click(alice)
	b.click(deny)
	b.awaitPage(app + "/bff/error")
	page := b.read("main")
	for _, want := range []string{"Signing in did not work", "Access was denied", "login_failed", "Try again"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q: %s", want, page)
		}
	}
	b.screenshot("error")
	b.click("main button") // Try again
	b.click(allow)         // alice is still signed in at the OP
	b.awaitPage(app + "/somewhere")
}

// TestDemoFiveTabs starts a sign-in in five tabs at once and finishes them in reverse order: each ends where it began
// (FLOW-41).
func TestDemoFiveTabs(t *testing.T) {
	t.Parallel()
	_, app := startDemo(t)
	first := startBrowser(t)
	tabs := []*tab{first, first.newTab(), first.newTab(), first.newTab(), first.newTab()}
	for i, b := range tabs {
		b.open(fmt.Sprintf("%s/?tab=%d", app, i))
		b.see("#sign-in")
	}
	for _, b := range tabs { // a click that nobody waits for, so that all are under way at the same time
		evaluate[any](b, `void setTimeout(() => document.querySelector("#sign-in").click())`)
	}
	for _, b := range tabs {
		b.see(alice)
	}
	for i := len(tabs) - 1; i >= 0; i-- {
		b := tabs[i]
		b.click(alice)
		if i == len(tabs)-1 {
			b.click(allow)
		}
		if name := b.read(signedIn); name != "Alice Anderson" {
			t.Errorf("tab %d shows %q", i, name)
		}
		if at, want := b.location(), fmt.Sprintf("%s/?tab=%d", app, i); at != want {
			t.Errorf("tab %d is at %s, want %s", i, at, want)
		}
	}
	for _, cookie := range first.cookies() {
		if strings.Contains(cookie.Name, "-flow-") {
			t.Errorf("the flow cookie %s is left", cookie.Name)
		}
	}
	first.screenshot("first-tab")
}
