package bff

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/problem"
)

// FLOW-01, 05, 16, 44: what the OP is asked for, whatever the browser adds.
func TestLoginRedirects(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	res := b.get("/bff/login?returnUrl=/orders&login_hint=alice&scope=admin&redirect_uri=https://evil.example&client_id=x" +
		"&state=fixed&nonce=fixed&response_mode=fragment&resource=x")
	if res.StatusCode != http.StatusFound || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("%s, Referrer-Policy %q", res.Status, res.Header.Get("Referrer-Policy"))
	}
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.Scheme+"://"+to.Host != a.op.URL {
		t.Fatalf("Location %s, %v", to, err)
	}
	q := to.Query()
	for name, want := range map[string]string{
		"client_id": "client-one", "redirect_uri": a.URL + "/bff/callback", "scope": "openid profile email offline_access",
		"response_type": "code", "code_challenge_method": "S256", "login_hint": "alice", "resource": "", "response_mode": "",
	} {
		if got := q.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if len(q.Get("state")) < 22 || len(q.Get("nonce")) < 22 || len(q.Get("code_challenge")) != 43 || q.Get("state") == "fixed" {
		t.Errorf("state %q, nonce %q, code_challenge %q", q.Get("state"), q.Get("nonce"), q.Get("code_challenge"))
	}
}

func TestLoginAsJSON(t *testing.T) {
	b := newApp(t).browser()
	res := b.get("/bff/login?returnUrl=/orders", "Accept: application/json", "X-CSRF: 1", "Sec-Fetch-Mode: cors")
	var got struct {
		AuthorizationURL string `json:"authorization_url"`
		ExpiresIn        int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(res.body), &got); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", res.Status, res.body)
	}
	if got.ExpiresIn != 600 {
		t.Errorf("expires_in = %d", got.ExpiresIn)
	}
	callback := b.app.op.Visit(got.AuthorizationURL)
	if res := b.get(callback.String()); res.Header.Get("Location") != "/bff/landing" {
		t.Errorf("the login does not finish: %s %s", res.Status, res.Header.Get("Location"))
	}
}

func pushed(o *setup) {
	for i := range o.RP {
		o.RP[i].PushedRequests = rp.PushedRequired
	}
}

// PAR-04, PAR-05: a page may navigate for as long as both the OP's request_uri and our flow live, in seconds; and each
// login has a request_uri of its own.
func TestLoginAsJSONWithPushedRequest(t *testing.T) {
	t.Parallel()
	for life, want := range map[int]string{90: `"expires_in":90}`, 600: `"expires_in":600}`, 3600: `"expires_in":600}`} {
		a := newApp(t, pushed)
		a.op.Fault(optest.EditPushedResponse("life", func(response map[string]any) { response["expires_in"] = life }))
		seen := map[string]bool{}
		for range 2 {
			res := a.browser().get("/bff/login", "Accept: application/json", "X-CSRF: 1")
			if !strings.Contains(res.body, want) || !strings.Contains(res.body, "request_uri=") {
				t.Errorf("%s, want %s", res.body, want)
			}
			seen[res.body] = true
		}
		if n := a.op.Count(optest.PushedEndpoint); n != 2 || len(seen) != 2 {
			t.Errorf("%d pushed requests, %d addresses", n, len(seen))
		}
	}
}

// PAR-03: an OP that does not take the request ends the login here, on our page, and with no flow begun.
func TestLoginThatCannotBePushed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault  optest.Fault
		status int
		code   string
	}{
		{optest.Status(optest.PushedEndpoint, 500), 503, "provider_unavailable"},
		{optest.Status(optest.PushedEndpoint, 429), 503, "provider_unavailable"},
		{optest.Status(optest.PushedEndpoint, 400), 400, "login_failed"},
	} {
		a := newApp(t, pushed)
		a.op.Fault(test.fault)
		res := a.browser().get("/bff/login")
		if res.StatusCode != test.status || strings.TrimSpace(res.body) != test.code || len(res.Cookies()) != 0 {
			t.Errorf("%s: %s %s", test.fault, res.Status, res.body)
		}
	}
}

// PAR-06: who limits logins is asked before the provider is, about those that cost it a request and no others.
func TestAdmitPush(t *testing.T) {
	t.Parallel()
	refuse := func(o *setup) {
		o.AdmitPush = func(*http.Request) error { return problem.New(problem.TooManyRequests, "") }
	}
	a := newApp(t, pushed, refuse)
	res := a.browser().get("/bff/login")
	if res.StatusCode != http.StatusTooManyRequests || len(res.Cookies()) != 0 || a.op.Count(optest.PushedEndpoint) != 0 {
		t.Errorf("%s, %d pushed requests", res.Status, a.op.Count(optest.PushedEndpoint))
	}
	if res := newApp(t, refuse).browser().get("/bff/login"); res.StatusCode != http.StatusFound {
		t.Errorf("a login that is not pushed: %s", res.Status)
	}
}

func TestLoginRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		query   string
		headers []string
		want    string
	}{
		"a bad return URL":           {query: "?returnUrl=//evil.example", want: "bad_return_url"},
		"two return URLs":            {query: "?returnUrl=/a&returnUrl=/b", want: "bad_request"}, // FLOW-26
		"a provider nobody knows":    {query: "?provider=other", want: "bad_request"},
		"a fetch":                    {headers: []string{"Sec-Fetch-Mode: cors"}, want: "bad_request"},    // BFF-20
		"an image":                   {headers: []string{"Sec-Fetch-Mode: no-cors"}, want: "bad_request"}, // BFF-20
		"a max_age that is none":     {query: "?max_age=soon", want: "bad_request"},
		"parameters past any cookie": {query: "?login_hint=" + strings.Repeat("x", 4000), want: "bad_request"},
		"a query that is none":       {query: "?returnUrl=%zz", want: "bad_request"},
	} {
		b := newApp(t).browser()
		res := b.get("/bff/login"+test.query, test.headers...)
		if strings.TrimSpace(res.body) != test.want || res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", name, res.Status, res.body)
		}
		if len(res.Cookies()) != 0 {
			t.Errorf("%s: a flow was begun", name)
		}
	}
}

// FLOW-37: another site's link shows a button; the button's own navigation begins the login.
func TestLoginFromAnotherSiteAsks(t *testing.T) {
	for _, site := range []string{"cross-site", "same-site"} {
		b := newApp(t).browser()
		res := b.get("/bff/login?returnUrl=/orders%3Fa=1&prompt=login&evil=1", "Sec-Fetch-Site: "+site, "Sec-Fetch-Mode: navigate")
		if res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 {
			t.Fatalf("%s: %s, cookies %v", site, res.Status, res.Cookies())
		}
		for _, want := range []string{
			`<form action="/bff/login">`, `name="returnUrl" value="/orders?a=1"`, `name="prompt" value="login"`, "<button>Sign in</button>",
		} {
			if !strings.Contains(res.body, want) {
				t.Errorf("%s: the page lacks %s:\n%s", site, want, res.body)
			}
		}
		if strings.Contains(res.body, "evil") {
			t.Errorf("%s: the page passes on a parameter that nobody reads", site)
		}
	}
	for _, site := range []string{"same-origin", "none"} {
		if res := newApp(t).browser().get("/bff/login", "Sec-Fetch-Site: "+site, "Sec-Fetch-Mode: navigate"); res.StatusCode != http.StatusFound {
			t.Errorf("%s: %s", site, res.Status)
		}
	}
}

func TestLoginChoosesProvider(t *testing.T) {
	a := newApp(t, twoProviders)
	res := a.browser().get("/bff/login?returnUrl=/orders")
	if res.StatusCode != http.StatusOK || !strings.Contains(res.body, `value="one"`) || !strings.Contains(res.body, `value="two"`) ||
		!strings.Contains(res.body, `name="returnUrl" value="/orders"`) {
		t.Errorf("%s\n%s", res.Status, res.body)
	}
	b := a.browser()
	if res := b.get(b.startLogin("?provider=two")); res.Header.Get("Location") != "/bff/landing" {
		t.Errorf("login with the second provider: %s %s", res.Status, res.Header.Get("Location"))
	}
	if s := b.session(); s.Provider != "two" {
		t.Errorf("provider = %q", s.Provider)
	}
	if n := a.op.Requests(optest.TokenEndpoint); len(n) != 1 || n[0].Form.Get("redirect_uri") != a.URL+"/bff/callback/two" {
		t.Errorf("redirect_uri at the token endpoint: %v", n)
	}
}
