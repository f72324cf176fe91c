package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestErrors has the rows of contract.md "Errors" that no other test has. Each is asked for by a script, which gets
// problem details, and by a navigation, which gets a page.
func TestErrors(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, func(c *config) {
		c.Routes = fmt.Sprintf(`
- {path: /api/small/, upstream: %[1]s, token: none, csrf: none, max_body: 10}
- {path: /api/read/, upstream: %[1]s, token: none, csrf: none, methods: [GET, HEAD]}
- {path: /api/wait, upstream: %[1]s, token: none, csrf: none, timeout: 200ms}
- {path: /gone/, upstream: "http://127.0.0.1:%[2]d", token: none, csrf: none}
- {path: /members/, upstream: %[1]s, token: user, csrf: navigation}
`, quote(c.API), freePort(t))
	})
	for _, tt := range []struct {
		code    string
		status  int
		method  string
		path    string
		options []option
	}{
		{"bad_request", 400, "GET", "/bff/login?returnUrl=/a&returnUrl=/b", nil},
		{"path_refused", 400, "GET", "/api/%2e%2e/admin", nil},
		{"path_refused", 400, "GET", "/api/a%2fb", nil},
		{"path_refused", 400, "GET", "/api//echo", nil},
		{"unauthenticated", 401, "GET", "/members/", nil},
		{"unauthenticated", 401, "GET", "/bff/user", []option{header("X-CSRF", "1")}},
		{"not_found", 404, "GET", "/bff/nothing", nil},
		{"not_found", 404, "GET", "/bff/", nil},
		{"method_not_allowed", 405, "DELETE", "/bff/session", nil},
		{"method_not_allowed", 405, "POST", "/bff/login", nil},
		{"method_not_allowed", 405, "PUT", "/api/read/x", nil},
		{"too_large", 413, "POST", "/api/small/x", []option{body("more than ten bytes")}},
		{"misdirected", 421, "GET", "/bff/session", []option{host("evil.test")}},
		{"upstream_unavailable", 502, "GET", "/gone/x", nil},
		{"upstream_timeout", 504, "GET", "/api/wait?for=5s", nil},
	} {
		t.Run(tt.code+" "+tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			a := newAgent(g)
			res := a.do(tt.method, tt.path, append([]option{asFetch}, tt.options...)...)
			problem := res.wantProblem(t, tt.status, tt.code)
			for _, inside := range []string{g.config.API, "127.0.0.1", "goroutine", "dial tcp"} {
				if strings.Contains(res.body, inside) {
					t.Errorf("the answer tells of %q: %s", inside, res.body)
				}
			}
			if allow := res.Header.Get("Allow"); (allow != "") != (tt.status == http.StatusMethodNotAllowed) {
				t.Errorf("Allow %q with %v", allow, problem)
			}
			page := a.do(tt.method, tt.path, append([]option{asNavigation("same-origin")}, tt.options...)...)
			page.wantPage(t, tt.status, tt.code)
			if offered := strings.Contains(page.body, "/bff/login"); offered != (tt.status == http.StatusUnauthorized) {
				t.Errorf("the page offers to sign in: %t; %s", offered, page.body)
			}
			// Without Fetch Metadata, Accept decides.
			old := a.do(tt.method, tt.path, append([]option{header("Accept", "text/html")}, tt.options...)...)
			old.wantPage(t, tt.status, tt.code)
		})
	}
}

// host changes the Host header.
func host(name string) option { return func(r *http.Request) { r.Host = name } }

// TestStatic: an unknown path is the application's page for a navigation, and an error for a script.
func TestStatic(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, nil)
	a := newAgent(g)
	page := a.do("GET", "/orders/17", asNavigation("none"))
	page.want(t, http.StatusOK)
	if !strings.Contains(page.body, "<title>The application</title>") {
		t.Errorf("the page is %s", page.body)
	}
	a.fetch("GET", "/missing.js").wantProblem(t, http.StatusNotFound, "not_found")
}

// TestHeaders: the upstream gets the token and nothing of the browser's own that it must not get; what it says about
// cookies of ours and about other origins does not reach the browser (PX-02 to PX-09, PX-23).
func TestHeaders(t *testing.T) {
	t.Parallel()
	g, _, api := startApplication(t, func(c *config) {
		c.Routes = fmt.Sprintf(`
- {path: /api/echo, upstream: %s, token: user, identity: {X-User-Id: sub}, headers: {X-Tenant: blue}}
`, quote(c.API))
	})
	a := newAgent(g)
	a.login()
	a.client.Jar.SetCookies(mustParse(t, a.origin), []*http.Cookie{{Name: "theme", Value: "dark"}})
	a.fetch("GET", "/api/echo", header("Authorization", "Bearer of-the-browser"), header("X-User-Id", "mallory"),
		header("X-Forwarded-For", "203.0.113.9"), header("X-Original-Url", "/admin"),
		header("Forwarded", "for=203.0.113.9")).want(t, http.StatusOK)
	requests := api.received()
	got := requests[len(requests)-1].Header
	if token := got.Get("Authorization"); !strings.HasPrefix(token, "Bearer eyJ") {
		t.Errorf("Authorization %q", token)
	}
	for name, want := range map[string]string{
		"X-User-Id": "alice", "X-Tenant": "blue", "Cookie": "theme=dark", "X-Original-Url": "", "X-Csrf": "",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
		"X-Forwarded-Host": strings.TrimPrefix(g.config.Origin, "http://"),
	} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
	if len(got.Values("X-User-Id")) != 1 || strings.Contains(got.Get("Forwarded"), "203.0.113.9") {
		t.Errorf("the API got %v", got)
	}
}

// TestDrain: after SIGTERM a request in flight is answered, a new one is not taken, and the exit code is 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	g, _, api := startApplication(t, nil)
	a := newAgent(g)
	a.login()
	result := make(chan string)
	go func() {
		res, err := a.try(t.Context(), "GET", "/api/wait?for=2s", asFetch)
		if err != nil {
			result <- err.Error()
			return
		}
		result <- res.Status + " " + res.body
	}()
	eventually(t, 10*time.Second, "the request at the API", func() bool { return len(api.received()) == 1 })
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the listener to close", func() bool {
		_, err := newAgent(g).try(t.Context(), "GET", "/bff/session", asFetch)
		return err != nil
	})
	if got := <-result; got != "200 OK waited" {
		t.Errorf("the request in flight was answered with %s", got)
	}
	<-g.exited
	if g.err != nil {
		t.Error(g.err)
	}
}
