package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

func decode(t testing.TB, body string, value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), value); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}

// contract.md "Errors": what each failure of the session becomes.
func TestProblemsOfSessions(t *testing.T) {
	for err, want := range map[error]string{
		session.ErrNone:               "unauthenticated 401",
		session.ErrIdle:               "session_expired 401",
		session.ErrExpired:            "session_expired 401",
		session.ErrEnded:              "session_ended 401",
		session.ErrReplaced:           "session_ended 401",
		session.ErrStoreUnavailable:   "store_unavailable 503",
		session.ErrRefreshUnavailable: "refresh_unavailable 503",
		errors.New("anything else"):   "internal 500",
	} {
		p := asProblem(errors.Join(errors.New("while working"), err))
		if got := string(p.Code) + " " + http.StatusText(p.Code.Status()); !strings.HasPrefix(got, strings.Fields(want)[0]) ||
			p.Code.Status() != map[string]int{"401": 401, "503": 503, "500": 500}[strings.Fields(want)[1]] {
			t.Errorf("%v: %s", err, got)
		}
		if strings.Contains(p.Detail, "while working") {
			t.Errorf("%v: the detail tells the cause: %s", err, p.Detail)
		}
	}
}

// RFC 9457: the members of a problem document, all of them and no other.
func TestProblemDocument(t *testing.T) {
	g := newReplica(t, nil).ready()
	res := g.client().send("GET", "/api/x", csrf)
	if res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", res.Header)
	}
	var got map[string]any
	decode(t, res.body, &got)
	if got["request_id"] != res.Header.Get("X-Request-Id") || got["request_id"] == "" {
		t.Errorf("request_id %v, X-Request-Id %s", got["request_id"], res.Header.Get("X-Request-Id"))
	}
	delete(got, "request_id")
	want := map[string]any{
		"type": "about:blank", "title": "Nobody is signed in", "status": 401.0, "code": "unauthenticated",
		"detail": "Sign in and repeat the request.", "login_url": "/bff/login",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// PX-29, pains.md 5: a navigation gets a page, everything else a problem document, and nobody a redirect to the OP.
func TestErrorForm(t *testing.T) {
	g := newReplica(t, nil).ready()
	for headers, page := range map[string]bool{
		"Sec-Fetch-Mode: navigate|Accept: application/json": true,
		"Sec-Fetch-Mode: cors|Accept: text/html":            false,
		"Accept: text/html,application/xhtml+xml":           true,
		"Accept: */*":              false,
		"Accept: application/json": false,
	} {
		res := g.client().send("GET", "/api/x?q=1", append(strings.Split(headers, "|"), csrf)...)
		if res.StatusCode != 401 {
			t.Errorf("%s: %s", headers, res.Status)
		}
		if got := strings.HasPrefix(res.Header.Get("Content-Type"), "text/html"); got != page {
			t.Errorf("%s: %s", headers, res.Header.Get("Content-Type"))
		}
		if page && (!strings.Contains(res.body, `name="returnUrl" value="/api/x?q=1"`) || !strings.Contains(res.body, "Sign in")) {
			t.Errorf("%s: the page does not offer to sign in:\n%s", headers, res.body)
		}
	}
}

// A person for whom the OP is down, or refuses a pushed request, reads what to do, and can.
func TestErrorPageOffersAnotherTry(t *testing.T) {
	g := newReplica(t, nil).ready()
	for code, fault := range map[string]optest.Fault{
		"provider_unavailable": optest.Status(optest.PushedEndpoint, 500),
		"login_failed":         optest.Status(optest.PushedEndpoint, 400),
	} {
		g.op.ClearFaults()
		g.op.Fault(fault)
		page := g.client().send("GET", "/bff/login?returnUrl=/deep&prompt=login", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		for _, want := range []string{
			code, "Try again</button>", `action="/bff/login"`, `name="returnUrl" value="/deep"`, `name="prompt" value="login"`,
		} {
			if !strings.Contains(page.body, want) {
				t.Errorf("%s: the page lacks %s\n%s", code, want, page.body)
			}
		}
		if text := strings.Count(page.body, "<p"); text < 2 { // the advice, and the code
			t.Errorf("%s: no advice\n%s", code, page.body)
		}
	}
}

func TestErrorsOfPathsAndMethods(t *testing.T) {
	g := newReplica(t, nil).ready()
	c := g.client()
	for request, want := range map[string]struct {
		status int
		code   string
		allow  string
	}{
		"GET /bff/nothing":         {404, "not_found", ""},
		"GET /bff":                 {404, "not_found", ""},
		"GET /bff/session/":        {404, "not_found", ""},
		"GET /bff/callback/a/b":    {404, "not_found", ""},
		"POST /bff/session":        {405, "method_not_allowed", "GET"},
		"HEAD /bff/login":          {405, "", "GET"},
		"PUT /bff/logout":          {405, "method_not_allowed", "GET, POST"},
		"PUT /bff/callback":        {405, "method_not_allowed", "GET, POST"},
		"DELETE /":                 {405, "method_not_allowed", "GET, HEAD"},
		"GET /assets/missing.js":   {404, "not_found", ""},
		"GET /public/%2e%2e/api/x": {400, "path_refused", ""},
		"GET /public//x":           {400, "path_refused", ""},
		"GET /bff/..%2fapi/x":      {400, "path_refused", ""},
	} {
		method, path, _ := strings.Cut(request, " ")
		res := c.send(method, path)
		if res.StatusCode != want.status || res.code() != want.code || res.Header.Get("Allow") != want.allow {
			t.Errorf("%s: %s %s, Allow %q", request, res.Status, res.body, res.Header.Get("Allow"))
		}
	}
	if g.calls() != 0 {
		t.Errorf("%d requests reached the upstream", g.calls())
	}
}

// SES-15: a panic is a problem like any other, its value and stack are for the log.
func TestPanicIsAnswered(t *testing.T) {
	g := newReplica(t, nil)
	h := g.logged(g.answer(func(http.ResponseWriter, *http.Request) error { panic("secret-value") }, g.refuse))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "secret-value") || !strings.Contains(rec.Body.String(), `"code":"internal"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if !strings.Contains(g.log.String(), "secret-value") || !strings.Contains(g.log.String(), "errors_test.go") {
		t.Errorf("the log lacks the panic:\n%s", g.log)
	}
}

// When the answer has begun, nothing more is written: the client sees that it broke off.
func TestBegunAnswerBreaksOff(t *testing.T) {
	g := newReplica(t, nil)
	for name, end := range map[string]func() error{
		"error": func() error { return errors.New("late") },
		"panic": func() error { panic("late") },
		"abort": func() error { panic(http.ErrAbortHandler) },
	} {
		h := g.logged(g.answer(func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = w.Write([]byte("begun"))
			return end()
		}, g.refuse))
		rec := httptest.NewRecorder()
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("%s: recovered %v", name, v)
				}
			}()
			h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		}()
		if rec.Body.String() != "begun" {
			t.Errorf("%s: %q", name, rec.Body)
		}
	}
	// Also before the first byte an abort is not answered.
	rec := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }()
		g.logged(g.answer(func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, g.refuse)).
			ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	}()
	if rec.Body.Len() != 0 {
		t.Errorf("an abort was answered: %s", rec.Body)
	}
}

// The cause of an error is for the log, never for the client.
func TestCauseStaysInTheLog(t *testing.T) {
	g := newReplica(t, nil)
	h := g.logged(g.answer(func(http.ResponseWriter, *http.Request) error {
		return problem.Wrap(problem.UpstreamUnavailable, errors.New("dial tcp 10.0.0.5:9000"))
	}, g.refuse))
	for _, accept := range []string{"text/html", "application/json"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != 502 || strings.Contains(rec.Body.String(), "10.0.0.5") {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	if !strings.Contains(g.log.String(), "10.0.0.5:9000") {
		t.Errorf("the log lacks the cause:\n%s", g.log)
	}
}
