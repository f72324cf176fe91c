package bff

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func thirdParty(o *setup) { o.ThirdPartyLogin = true }

// initiate is the path of a third-party-initiated login with these parameters, in pairs.
func initiate(params ...string) string {
	query := url.Values{}
	for i := 0; i < len(params); i += 2 {
		query.Add(params[i], params[i+1])
	}
	return "/bff/login/initiate?" + query.Encode()
}

// TPI-05: it is off unless it is turned on.
func TestInitiateIsOff(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	for _, res := range []answer{
		b.get(initiate("iss", a.op.Issuer())),
		b.post("/bff/login/initiate", url.Values{"iss": {a.op.Issuer()}}),
	} {
		if res.StatusCode != http.StatusNotFound || len(res.Cookies()) != 0 {
			t.Errorf("%s %s", res.Status, res.body)
		}
	}
}

// TPI-03: a login of its own, whatever else the caller adds; and it finishes as any other does.
func TestInitiate(t *testing.T) {
	t.Parallel()
	a := newApp(t, thirdParty)
	b := a.browser()
	res := b.get(initiate("iss", a.op.Issuer(), "login_hint", "alice", "target_link_uri", a.URL+"/orders?a=1#row",
		"prompt", "none", "max_age", "0", "scope", "admin", "state", "fixed", "returnUrl", "/other", "provider", "two"))
	if res.StatusCode != http.StatusFound {
		t.Fatalf("%s %s", res.Status, res.body)
	}
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := to.Query()
	if q.Get("login_hint") != "alice" || q.Has("prompt") || q.Has("max_age") || strings.Contains(q.Get("scope"), "admin") ||
		len(q.Get("state")) < 22 || q.Get("nonce") == "" || q.Get("code_challenge") == "" {
		t.Errorf("at the OP: %v", q)
	}
	b.get(a.op.Visit(to.String()).String())
	if page := b.get("/bff/landing"); !strings.Contains(page.body, `content="0; url=/orders?a=1#row"`) {
		t.Errorf("the login ends at %s", page.body)
	}
}

// A login_hint goes on only where login_params has it.
func TestInitiateWithoutLoginHint(t *testing.T) {
	t.Parallel()
	a := newApp(t, thirdParty, loginParams("prompt"))
	res := a.browser().get(initiate("iss", a.op.Issuer(), "login_hint", "alice"))
	if res.StatusCode != http.StatusFound || strings.Contains(res.Header.Get("Location"), "alice") {
		t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
}

// TPI-01: of several providers iss names one; of those with the same issuer it is the first.
func TestInitiateChoosesProvider(t *testing.T) {
	t.Parallel()
	other, second := twoOPs(t)
	a := newApp(t, thirdParty, second)
	for issuer, want := range map[string]string{a.op.Issuer(): "client-one", other().Issuer(): "client-two"} {
		to, err := url.Parse(a.browser().get(initiate("iss", issuer)).Header.Get("Location"))
		if err != nil || to.Query().Get("client_id") != want {
			t.Errorf("%s: %s %v", issuer, to, err)
		}
	}
	a = newApp(t, thirdParty, twoProviders)
	if to := a.browser().get(initiate("iss", a.op.Issuer())).Header.Get("Location"); !strings.Contains(to, "client_id=client-one") {
		t.Errorf("one issuer: %s", to)
	}
}

// TPI-01, TPI-02, FLOW-18: what is refused begins nothing.
func TestInitiateRefuses(t *testing.T) {
	t.Parallel()
	a := newApp(t, thirdParty)
	iss := a.op.Issuer()
	cases := map[string]string{
		initiate():                               "bad_request",
		initiate("iss", ""):                      "bad_request",
		initiate("iss", iss+"/"):                 "bad_request",
		initiate("iss", strings.ToUpper(iss)):    "bad_request",
		initiate("iss", "https://evil.example"):  "bad_request",
		initiate("iss", iss, "iss", iss):         "bad_request",
		initiate("iss", iss, "x", "1", "x", "1"): "bad_request",
		initiate("iss", iss, "target_link_uri", "/a", "target_link_uri", "/b"): "bad_request",
		initiate("iss", iss) + "&%zz":                                          "bad_request",
	}
	for _, target := range []string{
		"https://evil.example/", "//evil.example", "/\\evil.example", "/%5cevil.example", "javascript:alert(1)", "orders", "/..//evil.example",
		a.URL + ".evil.example/", a.URL + "@evil.example/", a.URL + "//evil.example", a.URL + "/\\evil.example", a.URL + "0/",
		a.URL + "?x", strings.Replace(a.URL, "http:", "https:", 1) + "/", strings.ToUpper(a.URL) + "/", a.URL + a.URL, "/a b", "/a\r\nb",
		"/bff/login?prompt=login&login_hint=mallory", "/bff/", a.URL + "/bff/login/initiate?iss=" + url.QueryEscape(iss),
	} {
		cases[initiate("iss", iss, "target_link_uri", target)] = "bad_return_url"
	}
	for path, want := range cases {
		_, query, _ := strings.Cut(path, "?")
		form, _ := url.ParseQuery(query)
		for method, res := range map[string]answer{
			"GET":           a.browser().get(path),
			"POST":          a.browser().post("/bff/login/initiate", form),
			"GET from afar": a.browser().get(path, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
		} {
			if strings.Contains(path, "%zz") && method == "POST" {
				continue
			}
			if res.StatusCode != http.StatusBadRequest || strings.TrimSpace(res.body) != want || len(res.Cookies()) != 0 {
				t.Errorf("%s %s: %s %s, want %s", method, path, res.Status, res.body, want)
			}
		}
	}
	if res := a.browser().get(initiate("iss", iss), "Sec-Fetch-Mode: no-cors"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("an image: %s", res.Status)
	}
	if res := a.browser().post("/bff/login/initiate", url.Values{"iss": {iss}, "x": {strings.Repeat("x", 10_000)}}); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a large form: %s", res.Status)
	}
	if n := a.op.Count(optest.AuthorizationEndpoint); n != 0 {
		t.Errorf("%d authorization requests", n)
	}
}

// FLOW-25: a POST goes on as a GET, without what nobody reads, and reads its body only.
func TestInitiateByPost(t *testing.T) {
	t.Parallel()
	a := newApp(t, thirdParty)
	b := a.browser()
	res := b.post("/bff/login/initiate?iss=ignored&x=1", url.Values{
		"iss": {a.op.Issuer()}, "target_link_uri": {"/orders?a=1&b=2"}, "login_hint": {"alice"}, "prompt": {"none"},
	})
	want := initiate("iss", a.op.Issuer(), "target_link_uri", "/orders?a=1&b=2", "login_hint", "alice")
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != want || len(res.Cookies()) != 0 {
		t.Errorf("%s %s, want %s", res.Status, res.Header.Get("Location"), want)
	}
	if res := b.get(want); res.StatusCode != http.StatusFound {
		t.Errorf("the GET: %s", res.Status)
	}
}

// TPI-04: nobody's session is replaced without a step that can be seen. Another site's navigation carries no strict
// cookie, so it is repeated from a page of ours before anything is decided.
func TestInitiateWithASession(t *testing.T) {
	t.Parallel()
	a := newApp(t, thirdParty)
	b := a.browser()
	b.login()
	path := initiate("iss", a.op.Issuer(), "target_link_uri", "/orders", "login_hint", "bob", "evil", "1")
	for _, site := range []string{"cross-site", "same-site"} {
		for _, signedIn := range []*browser{b, a.browser()} {
			res := signedIn.get(path, "Sec-Fetch-Site: "+site, "Sec-Fetch-Mode: navigate")
			if res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 || strings.Contains(res.body, "evil") ||
				!strings.Contains(res.body, `content="0; url=/bff/login/initiate?iss=`) {
				t.Errorf("%s: %s\n%s", site, res.Status, res.body)
			}
			if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
				t.Errorf("%s: the page can be framed: %q", site, csp)
			}
		}
	}
	for _, site := range []string{"same-origin", "none"} {
		res := b.get(path, "Sec-Fetch-Site: "+site, "Sec-Fetch-Mode: navigate")
		if res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 || !strings.Contains(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Fatalf("%s: %s, cookies %v", site, res.Status, res.Cookies())
		}
		for _, want := range []string{
			`<form action="/bff/login">`, `name="returnUrl" value="/orders"`, `name="provider" value="one"`,
			`name="login_hint" value="bob"`, "<button>Sign in again</button>",
		} {
			if !strings.Contains(res.body, want) {
				t.Errorf("%s: the page lacks %s:\n%s", site, want, res.body)
			}
		}
	}
	if !b.session().Authenticated || a.op.Count(optest.AuthorizationEndpoint) != 1 {
		t.Error("something happened without the button")
	}
}

// Whether somebody is signed in has to be known.
func TestInitiateWithoutStore(t *testing.T) {
	t.Parallel()
	a := newApp(t, thirdParty)
	b := a.browser()
	b.login()
	a.store.blind.Store(true)
	if res := b.get(initiate("iss", a.op.Issuer())); res.StatusCode != http.StatusTeapot || len(res.Cookies()) != 0 {
		t.Errorf("%s %s", res.Status, res.body)
	}
}
