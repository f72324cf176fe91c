package bff

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
)

// BFF-19: the answer holds the allow-listed claims and the deadlines, and nothing else.
func TestSessionOfSomebody(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.wantAnonymous("none")
	b.login()
	res := b.get("/bff/session")
	if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", res.Header)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(res.body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"sub": "alice", "name": "Alice", "email": "alice@example.com", "groups": []any{"a", "b"}}
	if diff := cmp.Diff(want, got["user"]); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	delete(got, "user")
	for _, key := range []string{"idle_expires_at", "expires_at"} {
		if _, err := time.Parse(time.RFC3339, got[key].(string)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		delete(got, key)
	}
	for key, seconds := range map[string]float64{"idle_expires_in": 30 * 60, "expires_in": 12 * 60 * 60} {
		if in := got[key].(float64); in > seconds || in < seconds-30 {
			t.Errorf("%s = %v", key, in)
		}
		delete(got, key)
	}
	if u := got["logout_url"].(string); !strings.HasPrefix(u, "/bff/logout?sid=") {
		t.Errorf("logout_url = %s", u)
	}
	delete(got, "logout_url")
	if diff := cmp.Diff(map[string]any{"authenticated": true, "provider": "one"}, got); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}

// RFR-33, pains.md 17: polls do not keep a session alive, extend does, and neither moves the absolute end.
func TestSessionPollsDoNotSlide(t *testing.T) {
	for name, test := range map[string]struct {
		method, path string
		slides       bool
	}{
		"poll":              {http.MethodGet, "/bff/session", false},
		"user, slide=false": {http.MethodGet, "/bff/user?slide=false", false},
		"user":              {http.MethodGet, "/bff/user", true},
		"extend":            {http.MethodPost, "/bff/session/extend", true},
	} {
		a := newApp(t)
		b := a.browser()
		b.login()
		before := b.session()
		a.advance(20 * time.Minute)
		if res := b.do(test.method, test.path); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", name, res.Status, res.body)
		}
		a.advance(20 * time.Minute)
		after := b.session()
		if after.Authenticated != test.slides {
			t.Errorf("%s: signed in after 40 minutes: %v", name, after.Authenticated)
		}
		if test.slides && !after.ExpiresAt.Equal(*before.ExpiresAt) {
			t.Errorf("%s moved the absolute deadline from %v to %v", name, before.ExpiresAt, after.ExpiresAt)
		}
		if !test.slides && after.Reason != "idle" {
			t.Errorf("%s: reason %q", name, after.Reason)
		}
	}
}

// Somebody who asks for more time gets it at once, also in the seconds in which ordinary activity is not written.
func TestExtendCountsAtOnce(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login()
	a.advance(4 * time.Second)
	b.do(http.MethodPost, "/bff/session/extend")
	if in := *b.session().IdleExpiresIn; in < 30*60-2 {
		t.Errorf("idle_expires_in = %d after extending", in)
	}
}

// SES-01, pains.md 4: the reason is told apart, and the dead cookie goes.
func TestSessionReasons(t *testing.T) {
	for reason, finish := range map[string]func(a *app, b *browser){
		"idle": func(a *app, _ *browser) { a.advance(31 * time.Minute) },
		"expired": func(a *app, b *browser) {
			for range 25 {
				a.advance(29 * time.Minute)
				b.do(http.MethodPost, "/bff/session/extend")
			}
		},
		"ended": func(a *app, b *browser) {
			other := a.browser()
			c := b.cookies(a.cookies.session)[0]
			other.do(http.MethodPost, "/bff/logout", "Cookie: "+c.Name+"="+c.Value)
		},
	} {
		a := newApp(t)
		b := a.browser()
		b.login()
		finish(a, b)
		if reason != "expired" { // the last extend has taken the cookie away
			res := b.get("/bff/session")
			if !strings.Contains(res.body, `"reason":"`+reason+`"`) {
				t.Errorf("%s: %s", reason, res.body)
			}
			if c := res.Header.Get("Set-Cookie"); !strings.Contains(c, a.cookies.session+"=;") || !strings.Contains(c, "Max-Age=0") {
				t.Errorf("%s: Set-Cookie %q", reason, c)
			}
		}
		b.wantAnonymous("none")
	}
}

// pains.md 14: the page gets new tokens and claims when it asks for them, which is no activity (RFR-33).
func TestRefreshSession(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	before := b.session()
	a.op.Fault(optest.UserInfoClaim("name", "Alicia"))
	a.advance(20 * time.Second)
	tokens := a.op.Count(optest.TokenEndpoint)
	if res := b.do(http.MethodPost, "/bff/session/refresh"); res.StatusCode != http.StatusOK || !strings.Contains(res.body, `"authenticated":true`) {
		t.Fatalf("%s %s", res.Status, res.body)
	}
	after := b.session()
	if string(after.User["name"]) != `"Alicia"` || string(after.User["email"]) != string(before.User["email"]) {
		t.Errorf("claims: %s", after.User)
	}
	if n := a.op.Count(optest.TokenEndpoint) - tokens; n != 1 {
		t.Errorf("%d token requests", n)
	}
	if !after.IdleExpiresAt.Equal(*before.IdleExpiresAt) {
		t.Errorf("the idle deadline has moved from %v to %v", before.IdleExpiresAt, after.IdleExpiresAt)
	}
	if res := b.do(http.MethodPost, "/bff/session/refresh"); strings.TrimSpace(res.body) != "too_many_requests" {
		t.Errorf("at once again: %s %s", res.Status, res.body)
	}
	if n := a.op.Count(optest.TokenEndpoint) - tokens; n != 1 {
		t.Errorf("%d token requests", n)
	}
}

// A refresh that cannot be had is told apart: nobody signed in, nothing to refresh with, no OP at the moment, and a grant
// that has been taken back.
func TestRefreshSessionFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault  optest.Fault // before the login
		before func(a *app, b *browser)
		status int
		body   string
	}{
		"no refresh token": {optest.NoRefreshToken, nil, http.StatusBadRequest, "bad_request"},
		"OP down": {optest.Fault{}, func(a *app, _ *browser) {
			a.op.Fault(optest.Status(optest.TokenEndpoint, http.StatusServiceUnavailable))
		}, http.StatusTeapot, session.ErrRefreshUnavailable.Error()}, // the gateway makes it a 503
		"grant refused": {optest.Fault{}, func(a *app, _ *browser) {
			a.op.Fault(optest.TokenError("invalid_grant", ""))
		}, http.StatusOK, `"reason":"ended"`},
		"nobody": {optest.Fault{}, func(_ *app, b *browser) { b.postLogout("") }, http.StatusOK, `"reason":"none"`},
	} {
		a := newApp(t)
		a.op.Fault(tt.fault)
		b := a.browser()
		b.login()
		if tt.before != nil {
			tt.before(a, b)
		}
		res := b.do(http.MethodPost, "/bff/session/refresh")
		if res.StatusCode != tt.status || !strings.Contains(res.body, tt.body) {
			t.Errorf("%s: %s %s", name, res.Status, res.body)
		}
	}
}

func TestUserAsDuendeWritesIt(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	if res := b.get("/bff/user"); res.StatusCode != http.StatusTeapot { // session.ErrNone; the gateway makes it a 401
		t.Errorf("anonymous: %s %s", res.Status, res.body)
	}
	b.login()
	var claims []struct {
		Type  string
		Value any
	}
	res := b.get("/bff/user")
	if err := json.Unmarshal([]byte(res.body), &claims); err != nil {
		t.Fatalf("%s: %v", res.body, err)
	}
	got := map[string][]any{}
	for _, c := range claims {
		got[c.Type] = append(got[c.Type], c.Value)
	}
	if u, _ := got["bff:logout_url"][0].(string); !strings.HasPrefix(u, "/bff/logout?sid=") {
		t.Errorf("bff:logout_url = %v", got["bff:logout_url"])
	}
	if in, _ := got["bff:session_expires_in"][0].(float64); in < 12*60*60-30 {
		t.Errorf("bff:session_expires_in = %v", got["bff:session_expires_in"])
	}
	if s, _ := got["bff:session_state"][0].(string); s == "" {
		t.Error("bff:session_state is empty")
	}
	for _, name := range []string{"bff:logout_url", "bff:session_expires_in", "bff:session_state"} {
		delete(got, name)
	}
	want := map[string][]any{"sub": {"alice"}, "name": {"Alice"}, "email": {"alice@example.com"}, "groups": {"a", "b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}
