package bff

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func postToProvider(o *setup) { o.PostToProvider = true }

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	formField  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// form reads the page that posts itself.
func (res answer) form() (action string, fields url.Values) {
	if found := formAction.FindStringSubmatch(res.body); found != nil {
		action = html.UnescapeString(found[1])
	}
	fields = url.Values{}
	for _, field := range formField.FindAllStringSubmatch(res.body, -1) {
		fields.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return action, fields
}

// asPage are the headers with which a browser navigates a tab.
var asPage = []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// RPL-07: the ID token goes to the OP in a form; no address and no header has it. The rest is as with a redirect.
func TestLogoutByPost(t *testing.T) {
	t.Parallel()
	a := newApp(t, postToProvider)
	for _, byNavigation := range []bool{false, true} {
		b := a.browser()
		b.login()
		to := b.session().LogoutURL + "&returnUrl=/bye"
		if !byNavigation {
			to = b.postLogout("?returnUrl=/bye")
		}
		res := b.get(to, asPage...)
		action, fields := res.form()
		if res.StatusCode != http.StatusOK || action != a.op.EndpointURL(optest.EndSessionEndpoint) {
			t.Fatalf("%s, form to %q: %s", res.Status, action, res.body)
		}
		hint := fields.Get("id_token_hint")
		if strings.Count(hint, ".") != 2 || fields.Get("client_id") != "client-one" || len(fields.Get("state")) < 22 ||
			fields.Get("post_logout_redirect_uri") != a.URL+"/bff/logout/callback" || len(fields) != 4 {
			t.Errorf("fields %v", fields)
		}
		for name, values := range res.Header {
			if text := strings.Join(values, " "); strings.Contains(text, hint) || strings.Contains(text, "eyJ") {
				t.Errorf("%s has the ID token", name)
			}
		}
		if strings.Contains(to, "eyJ") {
			t.Error("the address has the ID token")
		}
		b.wantAnonymous("none")

		atOP, err := b.http.PostForm(action, fields)
		if err != nil {
			t.Fatal(err)
		}
		atOP.Body.Close()
		back := b.get(atOP.Header.Get("Location"))
		if back.StatusCode != http.StatusSeeOther || back.Header.Get("Location") != "/bye" {
			t.Errorf("back from the OP at %s: %s %s", atOP.Header.Get("Location"), back.Status, back.Header.Get("Location"))
		}
	}
}

// The page runs its own script and no other, and has a button for browsers that run none. Nobody may frame it.
func TestLogoutPagePolicy(t *testing.T) {
	t.Parallel()
	b := newApp(t, postToProvider).browser()
	b.login()
	res := b.get(b.session().LogoutURL, asPage...)
	script := between(res.body, "<script>", "</script>")
	policy := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'", "script-src " + hashSource(script), "base-uri 'none'", "frame-ancestors 'none'",
		"sandbox allow-forms allow-scripts", // BFF-03: not in our origin
	} {
		if !slices.Contains(strings.Split(policy, "; "), want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if opener := res.Header.Get("Cross-Origin-Opener-Policy"); opener != "" {
		t.Errorf("with a sandbox and the opener policy %s Chromium shows no page", opener)
	}
	if strings.Count(res.body, "<script") != 1 || script == "" || strings.Contains(policy, "unsafe") {
		t.Errorf("%s: %s", policy, res.body)
	}
	if !strings.Contains(res.body, "<noscript><button>") {
		t.Errorf("no button: %s", res.body)
	}
	if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers: %v", res.Header)
	}
	for _, path := range []string{"/bff/landing", "/bff/error"} {
		if policy := b.get(path).Header.Get("Content-Security-Policy"); strings.Contains(policy, "script-src") {
			t.Errorf("%s may run scripts: %s", path, policy)
		}
	}
}

// BFF-03: the form has no ID token where a script may read it. The logout goes on without.
func TestLogoutFormForScripts(t *testing.T) {
	t.Parallel()
	a := newApp(t, postToProvider)
	for name, headers := range map[string][]string{
		"service worker":          {"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: empty"},
		"navigation preload":      append(slices.Clone(asPage), "Service-Worker-Navigation-Preload: true"),
		"preload, another value":  append(slices.Clone(asPage), "Service-Worker-Navigation-Preload: "),
		"frame":                   {"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"},
		"no Fetch Metadata":       nil,
		"Fetch Metadata, in part": {"Sec-Fetch-Mode: navigate"},
	} {
		for _, byNavigation := range []bool{false, true} {
			b := a.browser()
			b.login()
			to := b.session().LogoutURL
			if !byNavigation {
				to = b.postLogout("")
			}
			res := b.get(to, headers...)
			action, fields := res.form()
			if res.StatusCode != http.StatusOK || action != a.op.EndpointURL(optest.EndSessionEndpoint) ||
				fields.Get("client_id") != "client-one" || fields.Get("state") == "" {
				t.Errorf("%s: %s, form to %q with %v", name, res.Status, action, fields)
			}
			if fields.Has("id_token_hint") || strings.Contains(res.body, "eyJ") {
				t.Errorf("%s: the form has the ID token", name)
			}
			b.wantAnonymous("none")
		}
	}
}

// What the OP's endpoint and the fields have to say cannot break out of the page.
func TestLogoutPageEscapes(t *testing.T) {
	t.Parallel()
	a := newApp(t, postToProvider)
	endpoint := a.op.EndpointURL(optest.EndSessionEndpoint) + `?a="><script>alert(1)</script>&b=1`
	a.op.Fault(optest.Metadata("end_session_endpoint", endpoint))
	if err := a.Providers[0].Client.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := a.browser()
	b.login()
	res := b.get(b.session().LogoutURL)
	if strings.Count(res.body, "<script") != 1 {
		t.Error(res.body)
	}
	if action, _ := res.form(); !strings.HasPrefix(action, a.op.URL) || !strings.HasSuffix(action, "&b=1") {
		t.Errorf("the form goes to %s", action)
	}
}
