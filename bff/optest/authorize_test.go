package optest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func TestAuthorizationResponse(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	got := p.callback(p.authorize("ui_locales", "de en", "acr_values", "unknown mfa", "display", "page"))
	if got.Get("state") != "state-1" || got.Get("iss") != p.op.Issuer() || got.Get("code") == "" ||
		got.Get("app") != "1" {
		t.Errorf("callback parameters: %v", got)
	}
}

// Errors about the client or the redirect URI must not redirect (RFC 6749, 4.1.2.1).
func TestAuthorizationErrorPages(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	for name, changes := range map[string][]string{
		"unknown client":          {"client_id", "other"},
		"no redirect URI":         {"redirect_uri", ""},
		"longer redirect URI":     {"redirect_uri", callbackURL + "&b=2"},
		"shorter redirect URI":    {"redirect_uri", strings.TrimSuffix(callbackURL, "?app=1")},
		"another case":            {"redirect_uri", strings.Replace(callbackURL, "callback", "Callback", 1)},
		"script in redirect URI":  {"redirect_uri", "javascript:alert(1)"},
		"client without that URI": {"client_id", "app", "redirect_uri", byeURL},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.authorize(changes...)
			if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" {
				t.Errorf("got %s, Location %q", a.Status, a.Header.Get("Location"))
			}
		})
	}
	t.Run("a parameter twice", func(t *testing.T) {
		v := p.authorizationRequest()
		v.Add("state", "state-2")
		a := p.get(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + v.Encode())
		if a.StatusCode != http.StatusBadRequest {
			t.Errorf("got %s", a.Status)
		}
	})
}

func TestAuthorizationErrorRedirects(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	for name, test := range map[string]struct {
		changes []string
		code    string
	}{
		"response_type token":   {[]string{"response_type", "token"}, "unsupported_response_type"},
		"no response_type":      {[]string{"response_type", ""}, "unsupported_response_type"},
		"response_mode":         {[]string{"response_mode", "fragment"}, "invalid_request"},
		"no PKCE":               {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		"PKCE plain":            {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"short challenge":       {[]string{"code_challenge", "abc"}, "invalid_request"},
		"unknown prompt":        {[]string{"prompt", "ask"}, "invalid_request"},
		"prompt none and login": {[]string{"prompt", "none login"}, "invalid_request"},
		"max_age":               {[]string{"max_age", "-1"}, "invalid_request"},
		"request_uri":           {[]string{"request_uri", "https://a.invalid"}, "request_uri_not_supported"},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.callback(p.authorize(test.changes...))
			if got.Get("error") != test.code || got.Get("state") != "state-1" || got.Get("iss") != p.op.Issuer() ||
				got.Has("code") {
				t.Errorf("callback parameters: %v", got)
			}
		})
	}
}

func TestAuthorizationByPOST(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	a := p.post(p.op.EndpointURL(optest.AuthorizationEndpoint), p.authorizationRequest(), nil)
	if p.callback(a).Get("code") == "" {
		t.Error("no code")
	}
}

func TestSingleSignOn(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	first, _ := p.verified(p.login()["id_token"])
	again, _ := p.verified(p.login()["id_token"])
	if first["sid"] != again["sid"] || first["sid"] == "" || first["auth_time"] != again["auth_time"] {
		t.Errorf("the second login is another session: %v, %v", first, again)
	}
	p.op.SignIn("bob")
	bob, _ := p.verified(p.login()["id_token"])
	if bob["sub"] != "bob" || bob["sid"] == first["sid"] {
		t.Errorf("after SignIn(bob): %v", bob)
	}
	p.op.SignIn("")
	if got := p.callback(p.authorize("prompt", "none")); got.Get("error") != "login_required" {
		t.Errorf("with nobody signed in: %v", got)
	}
}

// The session's age and class are what the request asked for. A minute passes before each request.
func TestReauthentication(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	cfg := config()
	cfg.Now = func() time.Time { return now }
	p := newParty(t, cfg)
	for _, step := range []struct {
		parameter, value string
		authMinute       int64
		acr              string
	}{
		{"state", "1", 1, "pwd"},
		{"max_age", "60", 1, "pwd"},
		{"max_age", "119", 3, "pwd"},
		{"prompt", "login", 4, "pwd"},
		{"max_age", "0", 5, "pwd"},
		{"acr_values", "mfa", 6, "mfa"},
		{"acr_values", "mfa pwd", 6, "mfa"},
	} {
		now = now.Add(time.Minute)
		claims, _ := p.verified(p.login(step.parameter, step.value)["id_token"])
		authMinute := (int64(claims["auth_time"].(float64)) - 1_800_000_000) / 60
		if authMinute != step.authMinute || claims["acr"] != step.acr {
			t.Errorf("%s=%s: signed in at minute %d with acr %v, want %d and %s",
				step.parameter, step.value, authMinute, claims["acr"], step.authMinute, step.acr)
		}
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	a := p.authorize()
	cookies := a.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("cookies: %v", cookies)
	}
}

// A browser that kept the cookie from before a new sign-in is not signed in by it.
func TestSignInReplacesTheSession(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	old := p.authorize().Cookies()[0]
	p.authorize("prompt", "login")
	p.op.SignIn("")
	withOld, err := http.NewRequest(http.MethodGet, p.op.EndpointURL(optest.EndSessionEndpoint), nil)
	if err != nil {
		t.Fatal(err)
	}
	withOld.AddCookie(old)
	p.browser = &http.Client{}
	p.showsPage(p.do(withOld), "Signed out")
}

// A said is a TB that keeps what it fails with.
type said struct {
	*testing.T
	text string
}

func (s *said) Fatalf(format string, arguments ...any) {
	s.text = fmt.Sprintf(format, arguments...)
	runtime.Goexit()
}

// Who has made a mistake in a request reads what is wrong, not only that there was no answer.
func TestVisitFails(t *testing.T) {
	t.Parallel()
	said := &said{T: t}
	op := optest.Start(said, config())
	address := op.EndpointURL(optest.AuthorizationEndpoint) + "?client_id=app&redirect_uri=https://other.invalid"
	for name, open := range map[string]func(){
		"Visit":     func() { op.Visit(address) },
		"Authorize": func() { op.Authorize(address) },
	} {
		said.text = ""
		var wg sync.WaitGroup
		wg.Go(open)
		wg.Wait()
		if !strings.Contains(said.text, "400 Bad Request") || !strings.Contains(said.text, "redirect_uri is not registered") {
			t.Errorf("%s fails with %q", name, said.text)
		}
	}
}

func TestVisit(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	request := p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + p.authorizationRequest().Encode()
	code := p.op.Visit(request).Query().Get("code")
	first, _ := p.verified(p.ok(p.tokenRequest(codeForm(code)))["id_token"])
	code = p.op.Visit(request).Query().Get("code")
	again, _ := p.verified(p.ok(p.tokenRequest(codeForm(code)))["id_token"])
	if first["sid"] != again["sid"] {
		t.Error("Visit does not keep its cookies")
	}
}

func TestScopesOfClient(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Clients[0].Scopes = []string{"openid", "offline_access"}
	p := newParty(t, cfg)
	if got := p.login("scope", "openid admin email")["scope"]; got != "openid" {
		t.Errorf("granted %q", got)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*optest.Config){
		"no issuer":             func(c *optest.Config) { c.Issuer = "" },
		"issuer with query":     func(c *optest.Config) { c.Issuer = "https://op.example/?a=b" },
		"client without secret": func(c *optest.Config) { c.Clients[0].Secret = "" },
		"unknown method":        func(c *optest.Config) { c.Clients[0].AuthMethod = "tls_client_auth" },
		"relative redirect URI": func(c *optest.Config) { c.Clients[0].RedirectURIs = []string{"/callback"} },
		"user without subject":  func(c *optest.Config) { c.Users[0].Subject = "" },
		"unknown AutoUser":      func(c *optest.Config) { c.AutoUser = "carol" },
		"unknown algorithm":     func(c *optest.Config) { c.SigningAlg = "HS256" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Issuer = "https://op.example"
			edit(&cfg)
			if _, err := optest.New(cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestIssuerWithPath(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Issuer = "/tenant"
	p := newParty(t, cfg)
	want := p.op.URL + "/tenant"
	for _, address := range []string{
		want + "/.well-known/openid-configuration",
		p.op.URL + "/.well-known/oauth-authorization-server/tenant",
	} {
		if m := p.ok(p.get(address)); m["issuer"] != want || m["token_endpoint"] != want+"/token" {
			t.Errorf("%s: issuer %v, token_endpoint %v", address, m["issuer"], m["token_endpoint"])
		}
	}
	p.ok(p.userInfo(p.login()["access_token"]))
	if n := p.op.Count(optest.MetadataEndpoint); n != 2 {
		t.Errorf("%d metadata requests recorded, want 2", n)
	}
}

// The metadata promise what the other tests see kept.
func TestMetadata(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	m := p.ok(p.get(p.op.EndpointURL(optest.MetadataEndpoint)))
	for _, member := range []string{
		"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "revocation_endpoint",
		"end_session_endpoint",
	} {
		u, err := url.Parse(m[member].(string))
		if err != nil || !strings.HasPrefix(u.String(), p.op.URL) {
			t.Errorf("%s is %v", member, m[member])
		}
	}
	if m["authorization_response_iss_parameter_supported"] != true {
		t.Error("RFC 9207 is not announced")
	}
}

// Whatever is asked, a browser is sent to the registered URI or nowhere.
func FuzzAuthorize(f *testing.F) {
	cfg := config()
	cfg.Issuer = "https://op.example"
	op, err := optest.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("client_id=app&redirect_uri=https://evil.invalid&response_type=code")
	f.Add("client_id=app&redirect_uri=" + url.QueryEscape(callbackURL) + "&response_type=code&prompt=none&max_age=9")
	f.Add("client_id=app&redirect_uri=" + url.QueryEscape(callbackURL) + "&response_mode=form_post.jwt")
	f.Add("client_id=app&client_id=app;a=b&%zz")
	f.Fuzz(func(t *testing.T, query string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/authorize", nil)
		r.URL.RawQuery = query
		op.ServeHTTP(w, r)
		location := w.Header().Get("Location")
		form := strings.Contains(w.Body.String(), `action="`+callbackURL+`"`) // of response_mode=form_post
		if w.Code >= 500 || (w.Code < 400) != (form || strings.HasPrefix(location, callbackURL)) {
			t.Errorf("%d, Location %q", w.Code, location)
		}
	})
}
