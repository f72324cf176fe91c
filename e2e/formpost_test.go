package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// page is a tab of any browser.
type page interface {
	visit(address string)
	run(body string) string // of a function, in the page; "" between two documents
}

func (b *tab) visit(address string) {
	b.t.Helper()
	b.open(address)
}

func (b *tab) run(body string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTime)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[any]("(async () => {"+body+"})()", chromedp.EvalAwaitPromise))
	if err != nil {
		return ""
	}
	return fmt.Sprint(value)
}

// appHost is the application's where the OP has to be another site: the OP's is 127.0.0.1.
const appHost = "app.example"

// useTLSBeside puts the application on an https origin that a browser can open, and returns the CA.
func (c *config) useTLSBeside(t *testing.T) *authority {
	t.Helper()
	ca := newAuthority(t)
	certFile, keyFile := ca.issue("the application", appHost)
	c.roots = ca.pool()
	c.Origin = strings.Replace(c.Origin, "http://localhost", "https://"+appHost, 1)
	c.Top = fmt.Sprintf("tls: {cert_file: %q, key_file: %q}", certFile, keyFile)
	c.Session = "allow_memory: true"
	return ca
}

// TestFormPostCrossSite: the OP, on another site, makes the browser post its answer to the gateway. That works because
// the flow cookie is SameSite=None, while the session cookie stays Strict (FPM-02), in every browser that is here.
func TestFormPostCrossSite(t *testing.T) {
	t.Parallel()
	chromium := func(t *testing.T) page {
		return startBrowser(t,
			chromedp.Flag("host-resolver-rules", "MAP "+appHost+" 127.0.0.1"),
			chromedp.Flag("ignore-certificate-errors", true)) // the CA is the test's own
	}
	firefox := func(t *testing.T) page { return startFirefox(t, appHost) }
	for _, test := range []struct {
		name, mode string
		row        string
		browser    func(*testing.T) page
	}{
		{"Chromium, form_post", "form_post", formPost, chromium},
		{"Chromium, form_post.jwt", "form_post.jwt", formPostJWT, chromium},
		{"Firefox, form_post", "form_post", formPost, firefox},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			proves(t, panva, test.row)
			c := newConfig(t, startAPI(t))
			ca := c.useTLSBeside(t)
			certFile, keyFile := ca.issue("the OP", "127.0.0.1")
			tls, err := json.Marshal(map[string]string{"cert": certFile, "key": keyFile})
			if err != nil {
				t.Fatal(err)
			}
			op := startPanva(t, c, nil, panvaFeatures, "TLS="+string(tls))
			c.Provider = panvaProvider + "response_mode: " + test.mode + "\nca_file: " + ca.File
			serve(t, c)
			signInByFormPost(t, test.browser(t), c)
			op.want("authorized mode=" + test.mode)
		})
	}
}

// TestFormPostOnLoopback: for a developer without TLS the flow cookie is Lax, which is enough where the OP has the same
// host (contract.md "Cookies").
func TestFormPostOnLoopback(t *testing.T) {
	t.Parallel()
	proves(t, panva, formPost)
	c := newConfig(t, startAPI(t))
	op := startPanva(t, c, nil, panvaFeatures, "HOST=localhost")
	c.Provider = panvaProvider + "response_mode: form_post"
	serve(t, c)
	signInByFormPost(t, startBrowser(t), c)
	op.want("authorized mode=form_post")
}

// signInByFormPost signs alice in at oidc-provider and calls the API.
func signInByFormPost(t *testing.T, p page, c *config) {
	t.Helper()
	p.visit(c.Origin + "/bff/login?returnUrl=/%23signed-in")
	wait := func(what, condition string) {
		t.Helper()
		eventually(t, pageTime, fmt.Sprintf("%s; the browser is at %s", what, p.run("return location.href")),
			func() bool { return p.run("return "+condition) == "true" })
	}
	wait("the sign-in page", `document.querySelector("input[name=login]") !== null`)
	p.run(`document.querySelector("input[name=login]").value = "alice"; document.querySelector("button").click()`)
	wait("the consent page", `document.title === "Allow access?"`)
	p.run(`document.querySelector("button").click()`)
	wait("the application", `location.href === `+quote(c.Origin+"/#signed-in")+` && document.readyState === "complete"`)

	const call = `return fetch("/api/echo", {headers: {"X-CSRF": "1"}}).then(r => r.json()).then(b => b.has_token)`
	if got := p.run(call); got != "true" {
		t.Errorf("the API call ended with %q", got)
	}
	if b, ok := p.(*tab); ok {
		for _, cookie := range b.cookies() {
			if isOwnCookie(cookie) && cookie.SameSite != network.CookieSameSiteStrict {
				t.Errorf("the cookie %s is SameSite=%s after the login", cookie.Name, cookie.SameSite)
			}
		}
	}
}
