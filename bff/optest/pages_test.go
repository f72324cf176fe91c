package optest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func withPages() optest.Config {
	cfg := config()
	cfg.Pages = optest.PlainPages{}
	return cfg
}

func (p *party) showsPage(a answer, title string) {
	p.Helper()
	if !strings.Contains(a.body, "<title>"+title+"</title>") {
		p.Fatalf("want the page %q, got %s %s %s", title, a.Status, a.Header.Get("Location"), a.body)
	}
	if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") ||
		!strings.Contains(csp, "frame-ancestors 'none'") {
		p.Errorf("Content-Security-Policy: %s", csp)
	}
	if strings.Contains(a.body, secret) {
		p.Error("the page shows the client's secret")
	}
}

func TestSignInAndConsent(t *testing.T) {
	t.Parallel()
	p := newParty(t, withPages())
	signIn := p.authorize()
	p.showsPage(signIn, "Sign in")
	consent := p.press(signIn, "Sign in as Alice")
	p.showsPage(consent, "Allow access")
	csp := consent.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "form-action 'self' http://localhost:7777") {
		t.Errorf("a browser would not follow the redirect after the form: %s", csp)
	}
	code := p.callback(p.press(consent, "Allow")).Get("code")
	claims, _ := p.verified(p.ok(p.tokenRequest(codeForm(code)))["id_token"])
	if claims["sub"] != "alice" {
		t.Errorf("signed in as %v", claims["sub"])
	}
	if p.callback(p.authorize()).Get("code") == "" {
		t.Error("the second login asks again")
	}
	p.showsPage(p.authorize("prompt", "consent"), "Allow access")
	p.showsPage(p.authorize("prompt", "login"), "Sign in")
	p.showsPage(p.authorize("max_age", "0"), "Sign in")
	p.showsPage(p.authorize("acr_values", "mfa"), "Sign in")
	p.showsPage(p.authorize("scope", "openid phone"), "Allow access")
	p.showsPage(p.authorize("client_id", "post"), "Allow access")
}

func TestDeny(t *testing.T) {
	t.Parallel()
	p := newParty(t, withPages())
	got := p.callback(p.press(p.press(p.authorize(), "Sign in as Alice"), "Deny"))
	if got.Get("error") != "access_denied" || got.Get("state") != "state-1" || got.Get("iss") != p.op.Issuer() {
		t.Errorf("callback parameters: %v", got)
	}
}

func TestPromptNone(t *testing.T) {
	t.Parallel()
	p := newParty(t, withPages())
	wants := func(code string, changes ...string) {
		t.Helper()
		if got := p.callback(p.authorize(append(changes, "prompt", "none")...)); got.Get("error") != code {
			t.Errorf("got %v, want the error %q", got, code)
		}
	}
	wants("login_required")
	consent := p.press(p.authorize(), "Sign in as Alice")
	wants("consent_required")
	p.press(consent, "Allow")
	wants("")
	wants("", "acr_values", "mfa")
	wants("login_required", "max_age", "0")
	p.op.EndSessions("bob")
	wants("")
	p.op.EndSessions("alice")
	wants("login_required")
}

func TestSelectAccount(t *testing.T) {
	t.Parallel()
	cfg := withPages()
	cfg.Clients[0].SkipConsent = true
	p := newParty(t, cfg)
	// Nobody is signed in: choosing is signing in.
	p.callback(p.press(p.authorize("prompt", "select_account"), "Sign in as Alice"))

	choose := p.authorize("prompt", "select_account")
	p.showsPage(choose, "Choose an account")
	code := p.callback(p.press(choose, "Go on as Alice")).Get("code")
	alice, _ := p.verified(p.ok(p.tokenRequest(codeForm(code)))["id_token"])

	signIn := p.press(p.authorize("prompt", "select_account"), "Use another account")
	p.showsPage(signIn, "Sign in")
	code = p.callback(p.press(signIn, "Sign in as bob")).Get("code")
	bob, _ := p.verified(p.ok(p.tokenRequest(codeForm(code)))["id_token"])
	if alice["sub"] != "alice" || bob["sub"] != "bob" || alice["sid"] == bob["sid"] {
		t.Errorf("alice: %v, bob: %v", alice, bob)
	}
}

// Tabs that come at the same moment, none with a cookie yet, can all be answered.
func TestFormsOfTwoTabs(t *testing.T) {
	t.Parallel()
	p := newParty(t, withPages())
	jar := p.browser.Jar
	var pages []answer
	for range 2 {
		p.browser.Jar = nil
		page := p.authorize()
		jar.SetCookies(page.Request.URL, page.Cookies())
		pages = append(pages, page)
	}
	p.browser.Jar = jar
	for _, page := range pages {
		p.showsPage(p.press(page, "Sign in as Alice"), "Allow access")
	}
}

// A form works once, in the browser that it was shown to, for ten minutes.
func TestForms(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	cfg := withPages()
	cfg.Now = func() time.Time { return now }
	p := newParty(t, cfg)
	invalid := func(name string, a answer) {
		t.Helper()
		if a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, a.Status)
		}
		p.showsPage(a, "Error")
	}
	action := func(a answer) string {
		return regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(a.body)[1]
	}
	page := p.authorize()
	p.press(page, "Sign in as Alice")
	invalid("twice", p.press(page, "Sign in as Alice"))

	page = p.authorize("prompt", "login")
	browser := p.browser
	p.browser = &http.Client{}
	invalid("another browser", p.press(page, "Sign in as Alice"))
	p.browser = browser

	now = now.Add(11 * time.Minute)
	invalid("expired", p.press(page, "Sign in as Alice"))

	for field, shown := range map[string]answer{
		"subject":  p.authorize("prompt", "login"),
		"account":  p.authorize("prompt", "select_account"),
		"decision": p.authorize("prompt", "consent"),
	} {
		invalid("unknown "+field, p.post(action(shown), url.Values{field: {"unknown"}}, nil))
	}
}

// secretPages checks what pages are told.
type secretPages struct {
	optest.PlainPages
	t *testing.T
}

func (p secretPages) SignIn(w http.ResponseWriter, r *http.Request, i optest.Interaction) {
	if i.Client.ID != "app" || i.Client.Secret != "" || len(i.Users) != 2 || i.LoginHint != "bob" ||
		i.ReturnOrigin != "http://localhost:7777" || len(i.Scopes) != len(everything) {
		p.t.Errorf("interaction: %+v", i)
	}
	p.PlainPages.SignIn(w, r, i)
}

func (p secretPages) ConfirmLogout(w http.ResponseWriter, r *http.Request, i optest.Interaction) {
	if i.Client.ID != "app" || i.Client.Secret != "" || i.Account.Subject != "alice" {
		p.t.Errorf("interaction: %+v", i)
	}
	p.PlainPages.ConfirmLogout(w, r, i)
}

func (p secretPages) SignedOut(w http.ResponseWriter, r *http.Request, i optest.Interaction) {
	if i.Client.ID != "app" || i.Client.Secret != "" {
		p.t.Errorf("interaction: %+v", i)
	}
	p.PlainPages.SignedOut(w, r, i)
}

func TestInteraction(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Pages = secretPages{t: t}
	p := newParty(t, cfg)
	p.press(p.authorize("login_hint", "bob"), "Sign in as Alice")
	ask := p.logout("client_id", "app")
	p.showsPage(ask, "Sign out")
	p.showsPage(p.press(ask, "Sign out"), "Signed out")
}

// Hostile names and hints stay text.
func TestPagesEscape(t *testing.T) {
	t.Parallel()
	cfg := withPages()
	cfg.Clients[0].Name = "<script>app</script>"
	cfg.Users[0].Claims["name"] = "<script>alice</script>"
	p := newParty(t, cfg)
	if page := p.authorize("login_hint", "<script>hint</script>"); strings.Contains(page.body, "<script>") {
		t.Error(page.body)
	}
}
