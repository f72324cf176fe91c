package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// startFrontchannel starts an application whose OP signs it out in a frame.
func startFrontchannel(t *testing.T) (*gateway, *optest.Server) {
	t.Helper()
	g, op, _ := startApplication(t, func(c *config) { c.Logout = "frontchannel: true" })
	client := g.config.client()
	client.FrontchannelLogoutURI = g.config.Origin + "/bff/frontchannel-logout"
	if err := op.AddClient(client); err != nil {
		t.Fatal(err)
	}
	return g, op
}

// TestFrontchannelInBrowsers: the OP's signed-out page, on another site, has the gateway in a frame. No cookie of ours
// gets there, and the session ends (FCL-01, FCL-03, FCL-04).
func TestFrontchannelInBrowsers(t *testing.T) {
	t.Parallel()
	for name, browser := range map[string]func(*testing.T) page{
		"Chromium": func(t *testing.T) page { return startBrowser(t) },
		"Firefox":  func(t *testing.T) page { return startFirefox(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, op := startFrontchannel(t)
			origin := g.config.Origin
			p := browser(t)
			session := func() string {
				return p.run(`return fetch("/bff/session", {headers: {"X-CSRF": "1"}}).then(r => r.text())`)
			}
			at := func(what, condition string) {
				t.Helper()
				eventually(t, pageTime, what, func() bool { return p.run("return "+condition) == "true" })
			}
			p.visit(origin + "/bff/login?returnUrl=/%23signed-in")
			at("the application", `location.href === `+quote(origin+"/#signed-in")+` && document.readyState === "complete"`)
			if got := session(); !strings.Contains(got, `"authenticated":true`) {
				t.Fatalf("after the login the session says %s", got)
			}
			p.visit(op.EndpointURL(optest.EndSessionEndpoint))
			at("the OP's question", `document.querySelector("button[value=sign-out]") !== null`)
			p.run(`document.querySelector("button[value=sign-out]").click()`)
			at("the OP's signed-out page", `document.querySelector("iframe") !== null && document.readyState === "complete"`)

			p.visit(origin)
			if got := session(); !strings.Contains(got, `"reason":"ended"`) {
				t.Errorf("after the logout at the OP the session says %s", got)
			}
			if !strings.Contains(g.stderr.String(), `"reason":"frontchannel_logout"`) {
				t.Error("the audit log has no end by front-channel logout")
			}
		})
	}
}

// TestFrontchannel is contract.md "Endpoints", GET /bff/frontchannel-logout.
func TestFrontchannel(t *testing.T) {
	t.Parallel()
	g, op := startFrontchannel(t)
	a := newAgent(g)
	a.login()
	sid := ""
	op.Fault(optest.EditIDToken("noted", func(token *optest.JWT) { sid, _ = token.Claims["sid"].(string) }))
	a.login()
	frame := func(query url.Values) *answer {
		return newAgent(g).do("GET", "/bff/frontchannel-logout?"+query.Encode(), asNavigation("cross-site"),
			header("Sec-Fetch-Dest", "iframe"))
	}
	issuer := op.Issuer()
	for name, query := range map[string]url.Values{
		"nothing": {}, "no sid": {"iss": {issuer}}, "no iss": {"sid": {sid}},
		"another iss": {"iss": {"https://op.invalid"}, "sid": {sid}},
	} {
		if res := frame(query); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, want 400: it must not look like a logout", name, res.Status) // FCL-01, FCL-04
		}
	}
	unknown := frame(url.Values{"iss": {issuer}, "sid": {"unknown"}})
	if a.session()["authenticated"] != true {
		t.Fatal("the session has ended")
	}
	known := frame(url.Values{"iss": {issuer}, "sid": {sid}})
	known.want(t, http.StatusOK)
	if known.body != unknown.body || known.StatusCode != unknown.StatusCode || len(known.Header) != len(unknown.Header) {
		t.Errorf("a known sid is answered with %v %q, an unknown one with %v %q", // FCL-05
			known.Header, known.body, unknown.Header, unknown.body)
	}
	origin, _, _ := strings.Cut(strings.TrimPrefix(issuer, "http://"), "/")
	if policy := known.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors http://"+origin) ||
		known.Header.Get("X-Frame-Options") != "" || known.Header.Get("Cache-Control") != "no-store" { // FCL-03
		t.Errorf("the page in the frame has the header %v", known.Header)
	}
	a.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")

	off, op, _ := startApplication(t, nil) // FCL-06
	res := newAgent(off).do("GET", "/bff/frontchannel-logout?"+url.Values{"iss": {op.Issuer()}, "sid": {"x"}}.Encode())
	res.want(t, http.StatusNotFound)
}
