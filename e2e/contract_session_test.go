package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSession is contract.md "Endpoints", GET /bff/session and POST /bff/session/extend.
func TestSession(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, nil)
	a := newAgent(g)

	anonymous := map[string]any{"authenticated": false, "login_url": "/bff/login", "reason": "none"}
	if diff := cmp.Diff(anonymous, a.session()); diff != "" {
		t.Errorf("anonymous (-want +got):\n%s", diff)
	}
	extended := a.fetch("POST", "/bff/session/extend")
	extended.want(t, http.StatusOK)
	if diff := cmp.Diff(anonymous, extended.json(t)); diff != "" {
		t.Errorf("anonymous, extended (-want +got):\n%s", diff)
	}

	a.login()
	for method, path := range map[string]string{"GET": "/bff/session", "POST": "/bff/session/extend"} {
		res := a.fetch(method, path)
		res.want(t, http.StatusOK)
		if res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s has the header %v", path, res.Header)
		}
		session := res.json(t)
		// Of all that the OP says, the browser sees the listed claims only (BFF-19).
		user := map[string]any{"sub": "alice", "name": "Alice Anderson", "email": "alice@op.test"}
		if diff := cmp.Diff(user, session["user"]); diff != "" {
			t.Errorf("user (-want +got):\n%s", diff)
		}
		if session["authenticated"] != true || session["provider"] != "default" {
			t.Errorf("%s says %v", path, session)
		}
		wantDeadline(t, session, "idle_expires", 30*time.Minute)
		wantDeadline(t, session, "expires", 12*time.Hour)
		if url, _ := session["logout_url"].(string); !strings.HasPrefix(url, "/bff/logout?sid=") {
			t.Errorf("logout_url is %q", url)
		}
		if len(session) != 8 {
			t.Errorf("want eight members: %v", session)
		}
	}
}

// wantDeadline compares a pair of members, NAME_in in seconds and NAME_at as a time, with the configured duration.
func wantDeadline(t *testing.T, session map[string]any, name string, want time.Duration) {
	t.Helper()
	seconds, _ := session[name+"_in"].(float64)
	text, _ := session[name+"_at"].(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Error(err)
	}
	for _, left := range []time.Duration{time.Duration(seconds) * time.Second, time.Until(at)} {
		if left > want || left < want-time.Minute {
			t.Errorf("%s: in %v s, at %s; want %s from now", name, session[name+"_in"], text, want)
		}
	}
}

// TestReasons: /bff/session and an API call agree on why nobody is signed in, and asking does not keep a session alive
// (RFR-33).
func TestReasons(t *testing.T) {
	t.Parallel()
	for reason, session := range map[string]string{
		"idle":    "idle_timeout: 1s\nlifetime: 1m",
		"expired": "idle_timeout: 1s\nlifetime: 1s",
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			g, _, _ := startApplication(t, func(c *config) { c.Session = session })
			a, b := newAgent(g), newAgent(g)
			b.login()
			a.login() // later, so that b's session is over when a's is
			cookie := header("Cookie", sessionCookie(a.origin)+"="+a.cookie(sessionCookie(a.origin)))
			var got map[string]any
			eventually(t, 10*time.Second, "the end of a session that is only looked at", func() bool {
				if got = a.session(); got["authenticated"] == false {
					return true
				}
				a.stranger().fetch("GET", "/bff/user?slide=false", cookie) // whose jar loses nothing
				return false
			})
			if got["reason"] != reason {
				t.Errorf("the reason is %v, want %s", got["reason"], reason)
			}
			if a.cookie(sessionCookie(a.origin)) != "" {
				t.Error("the session cookie is still there")
			}
			b.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_expired")
			if b.session()["reason"] != "none" {
				t.Errorf("with the cookie gone the session says %v", b.session())
			}
		})
	}
}

// TestActivity: API calls, /bff/user and extend move the idle deadline; polls do not.
func TestActivity(t *testing.T) {
	t.Parallel()
	// Activity is written every 5 seconds at most, so that a timeout of 7 seconds shows both.
	g, _, _ := startApplication(t, func(c *config) { c.Session = "idle_timeout: 7s\nlifetime: 1m" })
	for _, activity := range []string{"GET /api/echo", "GET /bff/user", "POST /bff/session/extend"} {
		t.Run(activity, func(t *testing.T) {
			t.Parallel()
			a := newAgent(g)
			a.login()
			method, path, _ := strings.Cut(activity, " ")
			for began := time.Now(); time.Since(began) < 9*time.Second; <-time.After(200 * time.Millisecond) {
				a.fetch(method, path).want(t, http.StatusOK)
			}
			if session := a.session(); session["authenticated"] != true {
				t.Errorf("after 9 seconds of activity: %v", session)
			}
		})
	}
}

// TestUser is contract.md "Endpoints", GET /bff/user.
func TestUser(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, nil)
	a := newAgent(g)
	a.fetch("GET", "/bff/user").wantProblem(t, http.StatusUnauthorized, "unauthenticated")
	a.login()
	res := a.fetch("GET", "/bff/user")
	res.want(t, http.StatusOK)
	var claims []struct {
		Type  string
		Value any
	}
	if err := json.Unmarshal([]byte(res.body), &claims); err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	for _, claim := range claims {
		values[claim.Type] = claim.Value
	}
	if values["sub"] != "alice" || values["name"] != "Alice Anderson" ||
		values["bff:logout_url"] != a.session()["logout_url"] {
		t.Errorf("/bff/user says %v", values)
	}
	if left, _ := values["bff:session_expires_in"].(float64); left < 12*3600-60 || left > 12*3600 {
		t.Errorf("bff:session_expires_in is %v", values["bff:session_expires_in"])
	}
	if state, _ := values["bff:session_state"].(string); state == "" || len(claims) != 6 {
		t.Errorf("/bff/user says %v", values)
	}
}

// TestAdmin is contract.md "Admin listener".
func TestAdmin(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, nil)
	a := newAgent(g)
	a.login()
	if body := g.await("/healthz", http.StatusOK); !strings.Contains(body, `"ok"`) {
		t.Errorf("/healthz says %s", body)
	}
	var ready struct {
		Status, Store string
		Providers     map[string]string
	}
	if err := json.Unmarshal([]byte(g.await("/readyz", http.StatusOK)), &ready); err != nil {
		t.Fatal(err)
	}
	if ready.Status != "ok" || ready.Store != "ok" || ready.Providers["default"] != "ok" {
		t.Errorf("/readyz says %+v", ready)
	}
	metrics := g.await("/metrics", http.StatusOK)
	for _, want := range []string{
		"cloakroom_request_seconds_bucket", `cloakroom_events_total{event="login"`, "cloakroom_provider_seconds",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not have %s", want)
		}
	}
	if strings.Contains(metrics, "alice") {
		t.Error("/metrics names a user")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if res := a.do("GET", path); strings.Contains(res.body, "cloakroom_") || strings.Contains(res.body, `"ok"`) {
			t.Errorf("browsers can see %s", path)
		}
	}
	res, err := http.Get("http://" + g.config.Admin + "/bff/session")
	if err != nil {
		t.Fatal(err)
	}
	if readAll(t, res); res.StatusCode != http.StatusNotFound {
		t.Errorf("the admin listener answers /bff/session with %s", res.Status)
	}
}

// TestJWKS is contract.md "Endpoints", GET /bff/jwks.json.
func TestJWKS(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, nil)
	res := newAgent(g).do("GET", "/bff/jwks.json") // the OP fetches it: no header, no cookie
	res.want(t, http.StatusOK)
	if keys, ok := res.json(t)["keys"].([]any); !ok || len(keys) != 0 {
		t.Errorf("a client with a secret has the keys %s", res.body)
	}
}

// TestNoStore: everything under /bff and every authenticated API answer says no-store, every answer nosniff.
func TestNoStore(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, nil)
	a := newAgent(g)
	a.login()
	for _, path := range []string{
		"/bff/session", "/bff/user", "/bff/jwks.json", "/bff/nothing", "/bff/error", "/bff/landing", "/api/echo", "/api/rude",
	} {
		res := a.fetch("GET", path)
		if control := res.Header.Get("Cache-Control"); !slices.Contains(strings.Split(control, ", "), "no-store") {
			t.Errorf("%s: Cache-Control %q", path, control)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options is missing", path)
		}
	}
	rude := a.fetch("GET", "/api/rude")
	for _, name := range []string{"Access-Control-Allow-Origin", "Clear-Site-Data"} {
		if rude.Header.Get(name) != "" {
			t.Errorf("the API can set %s", name)
		}
	}
}
