package optest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// respond asks for an authorization response and returns it with the parameters inside its JWT, if there is one.
func (p *party) respond(changes ...string) (optest.Answer, url.Values) {
	p.Helper()
	request := p.authorizationRequest(changes...)
	answer := p.op.Authorize(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + request.Encode())
	parameters := answer.Parameters()
	if !parameters.Has("response") {
		return answer, parameters
	}
	claims, _ := p.verified(parameters.Get("response"))
	if claims["aud"] != "app" || fromNow(claims["exp"]) > time.Minute {
		p.Errorf("JARM response: %v", claims)
	}
	inside := url.Values{}
	for name, value := range claims {
		if text, ok := value.(string); ok && name != "aud" {
			inside.Set(name, text)
		}
	}
	return answer, inside
}

// Codes and errors come by the way that was asked for (FPM-04, JRM-01, JRM-03).
func TestResponseModes(t *testing.T) {
	t.Parallel()
	for mode, is := range map[string]struct{ form, jwt bool }{
		"query": {}, "jwt": {jwt: true}, "query.jwt": {jwt: true},
		"form_post": {form: true}, "form_post.jwt": {form: true, jwt: true},
	} {
		t.Run(mode, func(t *testing.T) {
			p := newParty(t, config())
			for _, outcome := range []string{"code", "error"} {
				scope := "openid"
				if outcome == "error" {
					p.op.SignIn("")
				}
				answer, got := p.respond("response_mode", mode, "scope", scope)
				if !strings.HasPrefix(answer.URL.String(), callbackURL) || (answer.Form != nil) != is.form {
					t.Errorf("sent to %s with the form %v", answer.URL, answer.Form)
				}
				outside := answer.Parameters()
				outside.Del("app") // of the redirect URI
				if is.jwt && (len(outside) != 1 || !outside.Has("response")) {
					t.Errorf("outside: %v", outside)
				}
				if got.Get("state") != "state-1" || got.Get("iss") != p.op.Issuer() || !got.Has(outcome) {
					t.Errorf("response: %v", got)
				}
				if outcome == "code" {
					p.ok(p.tokenRequest(codeForm(got.Get("code"))))
				}
			}
		})
	}
}

// The page posts by itself, loads nothing, and sends its form to the client and nowhere else.
func TestFormPostPage(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	a := p.authorize("response_mode", "form_post", "state", `"><script>`)
	csp := a.Header.Get("Content-Security-Policy")
	for _, part := range []string{
		"default-src 'none'", "form-action http://localhost:7777", "script-src 'sha256-", "frame-ancestors 'none'",
	} {
		if !strings.Contains(csp, part) {
			t.Errorf("Content-Security-Policy %q has not %q", csp, part)
		}
	}
	if a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(a.body, "<noscript><button>") || strings.Count(a.body, "<script>") != 1 {
		t.Errorf("%s %v %s", a.Status, a.Header, a.body)
	}
	answer, got := p.respond("response_mode", "form_post", "state", `"><script>`)
	if got.Get("state") != `"><script>` {
		t.Errorf("state: %q", got.Get("state"))
	}
	req, err := answer.NewRequest()
	if err != nil {
		t.Fatal(err)
	}
	if err := req.ParseForm(); err != nil || req.Method != http.MethodPost || !req.PostForm.Has("code") ||
		req.URL.String() != callbackURL || req.Header.Get("Sec-Fetch-Site") != "cross-site" {
		t.Errorf("request: %v %v", req, err)
	}
	answer, _ = p.respond()
	if req, err := answer.NewRequest(); err != nil || req.Method != http.MethodGet || !req.URL.Query().Has("code") {
		t.Errorf("request: %v %v", req, err)
	}
}

// After a page the response comes by the way that was asked for, too.
func TestFormPostAfterPages(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Pages = optest.PlainPages{}
	p := newParty(t, cfg)
	consent := p.press(p.authorize("response_mode", "form_post"), "Sign in as Alice")
	if a := p.press(consent, "Deny"); !strings.Contains(a.body, `name="error" value="access_denied"`) {
		t.Errorf("%s %s", a.Status, a.body)
	}
}

// JARM responses are signed as registered (JRM-02).
func TestResponseAlg(t *testing.T) {
	t.Parallel()
	p := newParty(t, registered(func(c *optest.Client) { c.ResponseAlg = "ES256" }))
	answer, _ := p.respond("response_mode", "jwt")
	if header, _ := decode(answer.Parameters().Get("response")); header["alg"] != "ES256" {
		t.Errorf("header %v", header)
	}
	if _, header := p.verified(p.login()["id_token"]); header["alg"] != "RS256" {
		t.Errorf("ID token: header %v", header)
	}
}
