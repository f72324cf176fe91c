package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// listed is one of GET /bff/sessions.
type listed struct {
	ID         string
	Provider   string
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	UserAgent  string    `json:"user_agent"`
	Current    bool
}

func (a *agent) sessions() []listed {
	a.t.Helper()
	res := a.fetch("GET", "/bff/sessions")
	res.want(a.t, http.StatusOK)
	var answer struct{ Sessions []listed }
	if err := json.Unmarshal([]byte(res.body), &answer); err != nil {
		a.t.Fatal(err)
	}
	return answer.Sessions
}

// from is an agent that says what kind of browser it is.
func (a *agent) from(userAgent string) *agent {
	next := a.client.Transport.(recorder)
	a.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", userAgent)
		return next.RoundTrip(r)
	})
	return a
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSessions is contract.md "Endpoints", GET /bff/sessions and DELETE /bff/sessions/{id}: people see and end their own
// sessions, and nobody else's (SES-07, RPL-13).
func TestSessions(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, nil)
	phone, laptop, tablet := newAgent(g).from("Phone/1"), newAgent(g).from("Laptop/2"), newAgent(g).from("Tablet/3")
	for _, a := range []*agent{phone, laptop, tablet} {
		a.login()
	}
	op.SignIn("bob")
	bob := newAgent(g)
	bob.login()
	op.SignIn("alice")

	newAgent(g).fetch("GET", "/bff/sessions").wantProblem(t, http.StatusUnauthorized, "unauthenticated")
	laptop.do("GET", "/bff/sessions").want(t, http.StatusForbidden)
	laptop.do("DELETE", "/bff/sessions/x").want(t, http.StatusForbidden)
	ids := map[string]string{}
	for _, one := range laptop.sessions() {
		ids[one.UserAgent] = one.ID
		if one.Current != (one.UserAgent == "Laptop/2") || one.Provider != "default" || one.ID == "" ||
			time.Since(one.CreatedAt) > time.Minute || time.Since(one.LastSeenAt) > time.Minute ||
			time.Until(one.ExpiresAt) < 11*time.Hour {
			t.Errorf("a session is listed as %+v", one)
		}
	}
	if len(ids) != 3 || ids["Phone/1"] == "" || ids["Tablet/3"] == "" {
		t.Errorf("alice's sessions are %v", ids)
	}

	bob.fetch("DELETE", "/bff/sessions/"+ids["Phone/1"]).wantProblem(t, http.StatusNotFound, "not_found")
	laptop.fetch("DELETE", "/bff/sessions/"+bob.sessions()[0].ID).wantProblem(t, http.StatusNotFound, "not_found")
	laptop.fetch("DELETE", "/bff/sessions/unknown").wantProblem(t, http.StatusNotFound, "not_found")
	for _, a := range []*agent{phone, bob} {
		a.fetch("GET", "/api/echo").want(t, http.StatusOK)
	}

	laptop.fetch("DELETE", "/bff/sessions/"+ids["Phone/1"]).want(t, http.StatusNoContent)
	phone.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
	if left := laptop.sessions(); len(left) != 2 {
		t.Errorf("%d sessions are left, want 2", len(left))
	}
	laptop.fetch("DELETE", "/bff/sessions/"+ids["Phone/1"]).wantProblem(t, http.StatusNotFound, "not_found")

	phone.login()
	res := laptop.fetch("DELETE", "/bff/sessions?others=true")
	res.want(t, http.StatusOK)
	if res.json(t)["ended"] != float64(2) {
		t.Errorf("%s have ended, want the phone's and the tablet's", res.body)
	}
	phone.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
	tablet.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
	laptop.fetch("GET", "/api/echo").want(t, http.StatusOK)

	phone.login()
	laptop.fetch("DELETE", "/bff/sessions").want(t, http.StatusOK) // everywhere, here too
	if laptop.cookie(sessionCookie(laptop.origin)) != "" || laptop.session()["authenticated"] != false {
		t.Error("who has signed out everywhere is still signed in")
	}
	phone.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
	bob.fetch("GET", "/api/echo").want(t, http.StatusOK)
	if ended := strings.Count(g.stderr.String(), `"reason":"ended_by_user"`); ended != 5 {
		t.Errorf("the audit log has %d ends by the user, want 5", ended)
	}
}

// TestSessionRefresh is contract.md "Endpoints", POST /bff/session/refresh: claims and tokens now, and not again at once.
// It is no activity (RFR-33, pain 14).
func TestSessionRefresh(t *testing.T) {
	t.Parallel()
	g, op, api := startApplication(t, nil)
	a := newAgent(g)
	res := a.fetch("POST", "/bff/session/refresh")
	res.want(t, http.StatusOK)
	if session := res.json(t); session["authenticated"] != false || session["reason"] != "none" {
		t.Errorf("anonymous: %v", session)
	}
	a.login()
	a.do("POST", "/bff/session/refresh").want(t, http.StatusForbidden)
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)
	before := a.session()
	op.Fault(optest.UserInfoClaim("name", "Alice Archer"))
	if user, _ := a.session()["user"].(map[string]any); user["name"] != "Alice Anderson" {
		t.Errorf("before the refresh the user is %v", user)
	}
	awaitNextSecond() // deadlines are told in seconds

	res = a.fetch("POST", "/bff/session/refresh")
	res.want(t, http.StatusOK)
	after := res.json(t)
	if user, _ := after["user"].(map[string]any); user["name"] != "Alice Archer" {
		t.Errorf("after the refresh the user is %v", user)
	}
	if after["idle_expires_at"] != before["idle_expires_at"] || after["expires_at"] != before["expires_at"] {
		t.Errorf("the refresh has moved a deadline: %v, before %v", after, before)
	}
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)
	if tokens := api.tokens(); len(tokens) != 2 {
		t.Errorf("the API has seen %d access tokens, want the old and the new one", len(tokens))
	}
	if n := countRefreshes(op); n != 1 {
		t.Errorf("%d refreshes at the OP, want 1", n)
	}

	soon := a.fetch("POST", "/bff/session/refresh")
	soon.want(t, http.StatusTooManyRequests)
	if code := soon.json(t)["code"]; code != "too_many_requests" || soon.Header.Get("Retry-After") == "" {
		t.Errorf("once more, too soon: %s, Retry-After %q", soon.body, soon.Header.Get("Retry-After"))
	}
	if n := countRefreshes(op); n != 1 {
		t.Errorf("%d refreshes at the OP, want 1", n)
	}
	events := []string{`"event":"login"`, `"event":"refreshed"`}
	if log := g.stderr.String(); slices.ContainsFunc(events, func(e string) bool { return !strings.Contains(log, e) }) {
		t.Errorf("the audit log lacks one of %v", events)
	}
}
