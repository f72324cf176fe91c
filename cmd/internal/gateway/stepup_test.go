package gateway

import (
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session/secret"
)

// fussy is an upstream that wants a better token than the first one it sees, or than any.
type fussy struct {
	*httptest.Server
	never bool // satisfied

	mu    sync.Mutex
	first string
	calls int
}

func newFussy(t *testing.T, challenge string) *fussy {
	t.Helper()
	f := &fussy{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls++
		token := r.Header.Get("Authorization")
		if f.first == "" {
			f.first = token
		}
		if token == f.first || f.never {
			w.Header().Set("WWW-Authenticate", challenge)
			w.Header().Set("X-Internal", "of-the-upstream")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("of-the-upstream"))
			return
		}
		_, _ = w.Write([]byte("done"))
	}))
	t.Cleanup(f.Close)
	return f
}

const wantsMFA = `Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="300"`

// withFussy puts the upstream behind /api/ and /ssr/, with a provider that can be asked for more.
func withFussy(t *testing.T, up *fussy) func(*replica, *Config) {
	return func(_ *replica, c *Config) {
		c.Providers[0].LoginParams = append(c.Providers[0].LoginParams, "acr_values", "max_age")
		for i := range c.Routes {
			if c.Routes[i].Upstream != nil {
				c.Routes[i].Upstream = parseURL(t, up.URL)
			}
		}
	}
}

// EXT-06: an API call gets a 401 that names the login; nothing of the upstream's answer, and no redirect.
func TestStepUpOfAnAPICall(t *testing.T) {
	up := newFussy(t, wantsMFA)
	g := newReplica(t, withFussy(t, up)).ready()
	c := g.client().signIn()
	res := c.send("POST", "/api/transfer", csrf)
	if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Content-Type") != "application/problem+json" ||
		res.Header.Get("Set-Cookie") != "" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	if strings.Contains(res.body, "of-the-upstream") || res.Header.Get("X-Internal")+res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("the upstream's answer went out: %v %s", res.Header, res.body)
	}
	var got map[string]any
	decode(t, res.body, &got)
	delete(got, "request_id")
	want := map[string]any{
		"type": "about:blank", "title": "This needs a stronger or a more recent sign-in", "status": 401.0, "code": "step_up_required",
		"detail":    "The service wants a stronger or a more recent sign-in. Sign in again and repeat the request.",
		"login_url": "/bff/login?acr_values=mfa&max_age=300",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// The application navigates there, and repeats its call (EXT-08: not we).
	old := c.send("GET", "/bff/session", csrf).body
	c.signInAt(got["login_url"].(string))
	if up.calls != 1 {
		t.Errorf("%d upstream calls before the application repeats its own", up.calls)
	}
	if res := c.send("POST", "/api/transfer", csrf); res.StatusCode != http.StatusOK || res.body != "done" {
		t.Errorf("after the step-up: %s %s", res.Status, res.body)
	}
	if now := c.send("GET", "/bff/session", csrf).body; now == old {
		t.Errorf("the session is the old one: %s", now)
	}
}

// EXT-06, EXT-08: a navigation gets a page with a button that leads through the login and back.
func TestStepUpOfANavigation(t *testing.T) {
	up := newFussy(t, wantsMFA)
	g := newReplica(t, withFussy(t, up)).ready()
	c := g.client().signIn()
	document := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin"}
	res := c.send("GET", "/ssr/page?a=1", document...)
	for _, want := range []string{
		"step_up_required", `<form action="/bff/login">`, `name="acr_values" value="mfa"`, `name="max_age" value="300"`,
		`name="returnUrl" value="/ssr/page?a=1"`, "<button>Sign in</button>",
	} {
		if !strings.Contains(html.UnescapeString(res.body), want) {
			t.Errorf("%s, the page lacks %s:\n%s", res.Status, want, res.body)
		}
	}
	c.signInAt("/bff/login?acr_values=mfa&max_age=300&returnUrl=/ssr/page?a=1")
	if res := c.send("GET", "/ssr/page?a=1", document...); res.StatusCode != http.StatusOK || res.body != "done" {
		t.Errorf("after the step-up: %s %s", res.Status, res.body)
	}
}

// EXT-07: an upstream that is never satisfied costs one login. An application that obeys every step_up_required at once is
// told that it is over, whatever the upstream names.
func TestStepUpEndsAfterOneRound(t *testing.T) {
	for challenge, rounds := range map[string]int{
		wantsMFA: 1,
		`Bearer error="insufficient_user_authentication", acr_values="mfa"`:            1,
		`Bearer error="insufficient_user_authentication", acr_values="mfa", max_age=0`: 1,
		`DPoP error=insufficient_user_authentication, max_age=0`:                       0, // just signed in
		`Bearer error="insufficient_user_authentication"`:                              0,
	} {
		up := newFussy(t, challenge)
		up.never = true
		g := newReplica(t, withFussy(t, up)).ready()
		c := g.client().signIn()
		made := 0
		var res response
		for {
			res = c.send("GET", "/api/x", csrf)
			if res.StatusCode != http.StatusUnauthorized || made == 5 {
				break
			}
			var p struct {
				LoginURL string `json:"login_url"`
			}
			decode(t, res.body, &p)
			c.signInAt(p.LoginURL)
			made++
		}
		if made != rounds || res.StatusCode != http.StatusForbidden || res.code() != "forbidden" || strings.Contains(res.body, "login_url") {
			t.Errorf("%s: %d logins, want %d, then %s %s", challenge, made, rounds, res.Status, res.body)
		}
		if !strings.Contains(g.log.String(), "step-up that is not possible") {
			t.Errorf("%s: the log does not tell the operator", challenge)
		}
	}
}

// EXT-07, IDT-16: an OP that gives less than asked for ends the round on the error page.
func TestStepUpThatTheProviderDoesNotDeliver(t *testing.T) {
	up := newFussy(t, wantsMFA)
	g := newReplica(t, withFussy(t, up)).ready()
	c := g.client().signIn()
	g.op.Fault(optest.IDTokenClaim("acr", "pwd"))
	callback := g.op.Visit(c.send("GET", "/bff/login?acr_values=mfa").Header.Get("Location"))
	if res := c.send("GET", callback.String()); res.Header.Get("Location") != "/bff/error" {
		t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
}

// A browser cannot be sent for what the configuration does not let a browser ask.
func TestStepUpThatCannotBeAskedFor(t *testing.T) {
	for name, change := range map[string]func(*Provider){
		"not in login_params":           func(p *Provider) { p.LoginParams = []string{"prompt", "max_age"} },
		"fixed in authorization_params": func(p *Provider) { p.AuthorizationParams = map[string]string{"acr_values": "pwd"} },
	} {
		up := newFussy(t, wantsMFA)
		g := newReplica(t, func(g *replica, c *Config) {
			withFussy(t, up)(g, c)
			change(&c.Providers[0])
		}).ready()
		res := g.client().signIn().send("GET", "/api/x", csrf)
		if res.StatusCode != http.StatusForbidden || res.code() != "forbidden" || !strings.Contains(res.body, "would not give it that") {
			t.Errorf("%s: %s %s", name, res.Status, res.body)
		}
	}
}

// With several providers the login goes to the session's own.
func TestStepUpWithSeveralProviders(t *testing.T) {
	up := newFussy(t, wantsMFA)
	g := newReplica(t, func(g *replica, c *Config) {
		withFussy(t, up)(g, c)
		second := c.Providers[0]
		second.Name, second.ClientID, second.ClientSecret = "second", "second", secret.New("the-client-secret-of-another")
		c.Providers = append(c.Providers, second)
		if err := g.op.AddClient(optest.Client{
			ID: "second", Secret: "the-client-secret-of-another", RedirectURIs: []string{g.url + "/bff/callback/second"},
		}); err != nil {
			t.Fatal(err)
		}
	}).allReady()
	c := g.client()
	c.signInAt("/bff/login?provider=second")
	res := c.send("GET", "/api/x", csrf)
	var p struct {
		LoginURL string `json:"login_url"`
	}
	if decode(t, res.body, &p); p.LoginURL != "/bff/login?acr_values=mfa&max_age=300&provider=second" {
		t.Errorf("%s %s", res.Status, res.body)
	}
}

// A session that grows old is asked again.
func TestStepUpOfAnOldSession(t *testing.T) {
	up := newFussy(t, `Bearer error="insufficient_user_authentication", max_age=300`)
	g := newReplica(t, func(g *replica, c *Config) {
		withFussy(t, up)(g, c)
		g.op.Fault(optest.TokenMember("expires_in", 24*60*60))
	}).ready()
	c := g.client().signIn()
	if res := c.send("GET", "/api/x", csrf); res.code() != "forbidden" {
		t.Errorf("at once: %s %s", res.Status, res.body)
	}
	g.ahead.Add(int64(301 * time.Second))
	if res := c.send("GET", "/api/x", csrf); res.code() != "step_up_required" {
		t.Errorf("after 301 s: %s %s", res.Status, res.body)
	}
}
