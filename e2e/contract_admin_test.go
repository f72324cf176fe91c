package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// administered is one of the sessions of the admin listener.
type administered struct {
	ID, Provider, Iss, Sub, SID string
	CreatedAt                   time.Time `json:"created_at"`
	LastSeenAt                  time.Time `json:"last_seen_at"`
	ExpiresAt                   time.Time `json:"expires_at"`
	UserAgent                   string    `json:"user_agent"`
}

// operator is somebody who asks the admin listener of a gateway.
type operator struct {
	t      *testing.T
	client *http.Client
	url    string
	token  string // of admin.token_file, or ""
}

func newOperator(t *testing.T, g *gateway) *operator {
	client, url := g.config.admin()
	return &operator{t: t, client: client, url: url}
}

func (o *operator) do(method, path string, options ...option) *answer {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	if o.token != "" {
		r.Header.Set("Authorization", "Bearer "+o.token)
	}
	for _, change := range options {
		change(r)
	}
	res, err := o.client.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	return &answer{res, readAll(o.t, res)}
}

// list reads all pages of a list, with so many sessions a page.
func (o *operator) list(query string, limit int) []administered {
	o.t.Helper()
	var all []administered
	for cursor := ""; ; {
		res := o.do("GET", fmt.Sprintf("/sessions?%s&limit=%d&cursor=%s", query, limit, cursor))
		res.want(o.t, http.StatusOK)
		var page struct {
			Sessions []administered
			Next     string
		}
		if err := json.Unmarshal([]byte(res.body), &page); err != nil {
			o.t.Fatal(err)
		}
		all = append(all, page.Sessions...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// TestAdminSessions is contract.md "Admin listener", /sessions: what operators see and end, on another replica too
// (SES-07, RPL-13).
func TestAdminSessions(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	guests := []*guest{
		h.admit("alice", h.replicas[0]), h.admit("alice", h.replicas[1]), h.admit("alice", h.replicas[2]),
		h.admit("bob", h.replicas[0]), h.admit("bob", h.replicas[1]),
	}
	o := newOperator(t, h.replicas[2])
	for query, want := range map[string]int{
		"": 5, "sub=alice": 3, "sub=bob": 2, "sub=nobody": 0, "sid=" + guests[0].sid: 1, "sid=unknown": 0,
		"sub=alice&sid=" + guests[0].sid: 1, "sub=bob&sid=" + guests[0].sid: 0,
		"provider=default": 5, "provider=default&sub=bob": 2,
	} {
		got := o.list(query, 2)
		if len(got) != want {
			t.Errorf("%q lists %d sessions, want %d", query, len(got), want)
		}
		for _, s := range got {
			if s.ID == "" || s.Provider != "default" || s.Iss != h.op.Issuer() || s.Sub == "" || s.SID == "" ||
				time.Since(s.CreatedAt) > time.Minute || time.Until(s.ExpiresAt) < 11*time.Hour {
				t.Errorf("%q lists %+v", query, s)
			}
		}
	}
	for _, query := range []string{"subject=alice", "sub=alice&sub=bob", "provider=other", "limit=0", "cursor=x", "%zz"} {
		o.do("GET", "/sessions?"+query).want(t, http.StatusBadRequest)
	}
	for _, path := range []string{"/sessions", "/sessions?provider=default", "/sessions?id=" + guests[0].sid} {
		o.do("DELETE", path).want(t, http.StatusBadRequest) // that would be everybody
	}
	o.do("POST", "/sessions").want(t, http.StatusMethodNotAllowed)
	o.do("DELETE", "/sessions/unknown").want(t, http.StatusNotFound)
	o.do("GET", "/sessions", header("Sec-Fetch-Site", "none")).want(t, http.StatusForbidden) // a browser
	o.do("GET", "/sessions", header("Origin", "http://evil.test")).want(t, http.StatusForbidden)
	rebound := func(r *http.Request) { r.Host = "evil.test:9090" }
	o.do("GET", "/sessions", rebound).want(t, http.StatusMisdirectedRequest) // the page thinks that we are its own host
	nobody := func(*guest) bool { return false }
	h.wantOut(t, guests, nobody)

	id := o.list("sid="+guests[0].sid, 10)[0].ID
	o.do("DELETE", "/sessions/"+id).want(t, http.StatusNoContent)
	h.wantOut(t, guests, func(g *guest) bool { return g == guests[0] })
	ended := o.do("DELETE", "/sessions?sub=alice")
	ended.want(t, http.StatusOK)
	if ended.json(t)["ended"] != float64(2) {
		t.Errorf("the end of alice's sessions says %s", ended.body)
	}
	h.wantOut(t, guests, func(g *guest) bool { return g.user == "alice" })
	if left := o.list("", 100); len(left) != 2 {
		t.Errorf("%d sessions are left, want 2", len(left))
	}

	if res := newAgent(h.replicas[0]).fetch("GET", "/sessions"); strings.Contains(res.body, h.op.Issuer()) {
		t.Error("browsers can list sessions")
	}
	log := h.replicas[2].stderr.String()
	for event, want := range map[string]int{`"event":"admin_ended"`: 2, `"reason":"ended_by_admin"`: 3} {
		if n := strings.Count(log, event); n != want {
			t.Errorf("the audit log has %d times %s, want %d", n, event, want)
		}
	}
}

// TestAdminSessionsElsewhere: off loopback there is no /sessions without a token; with one, or on a unix socket, there
// is.
func TestAdminSessionsElsewhere(t *testing.T) {
	t.Parallel()
	tokenFile := filepath.Join(t.TempDir(), "token")
	writeFile(t, tokenFile, "operators-only\n")
	for _, test := range []struct {
		name   string
		admin  func(c *config)
		status int
		token  string
	}{
		{"every interface", func(c *config) { c.Admin = "0.0.0.0:" + c.adminPort() }, http.StatusNotFound, ""},
		{"with a token", func(c *config) {
			c.Admin = "0.0.0.0:" + c.adminPort()
			c.AdminToken = tokenFile
		}, http.StatusUnauthorized, "operators-only"},
		{
			"loopback with a token", func(c *config) { c.AdminToken = tokenFile },
			http.StatusUnauthorized, "operators-only",
		},
		{"unix socket", useSocket(t), http.StatusOK, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g, _, _ := startApplication(t, test.admin)
			a := newAgent(g)
			a.login()
			o := newOperator(t, g)
			o.do("GET", "/sessions").want(t, test.status)
			o.do("DELETE", "/sessions?sub=nobody").want(t, test.status)
			o.token = "wrong"
			o.do("GET", "/sessions").want(t, test.status)
			o.do("GET", "/healthz").want(t, http.StatusOK)
			if o.token = test.token; o.token != "" || test.status == http.StatusOK {
				if got := o.list("", 10); len(got) != 1 || got[0].Sub != "alice" {
					t.Errorf("the sessions are %+v", got)
				}
			}
		})
	}
}

// useSocket puts the admin listener on a unix socket, whose path must not be long.
func useSocket(t *testing.T) func(*config) {
	t.Helper()
	dir, err := os.MkdirTemp("", "cloakroom")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return func(c *config) { c.Admin = "unix:" + filepath.Join(dir, "admin.sock") }
}

func (c *config) adminPort() string {
	_, port, _ := net.SplitHostPort(c.Admin) // which newConfig has made
	return port
}

// command runs the program and returns what it says.
func command(t *testing.T, arguments ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errors strings.Builder
	cmd := exec.CommandContext(t.Context(), binary, arguments...)
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errors.String()
}

// TestSessionsCommand is contract.md "Command line", cloakroom sessions, against a running gateway.
func TestSessionsCommand(t *testing.T) {
	t.Parallel()
	tokenFile := filepath.Join(t.TempDir(), "token")
	writeFile(t, tokenFile, "operators-only\n")
	for name, admin := range map[string]func(*config){
		"loopback":    nil,
		"token":       func(c *config) { c.AdminToken = tokenFile },
		"unix socket": useSocket(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, op, _ := startApplication(t, admin)
			var alices []*agent
			for range 3 {
				a := newAgent(g)
				a.login()
				alices = append(alices, a)
			}
			op.SignIn("bob")
			bob := newAgent(g)
			bob.login()
			sessions := func(status int, arguments ...string) string {
				t.Helper()
				arguments = append([]string{"sessions", arguments[0], "-admin", g.config.Admin}, arguments[1:]...)
				if g.config.AdminToken != "" {
					arguments = append(arguments, "-token-file", g.config.AdminToken)
				}
				got, stdout, stderr := command(t, arguments...)
				if got != status || (stderr == "") != (status == 0) {
					t.Fatalf("%v: exit code %d, want %d; %s%s", arguments, got, status, stdout, stderr)
				}
				return stdout + stderr
			}
			if out := sessions(0, "list"); strings.Count(out, "alice") != 3 || strings.Count(out, "bob") != 1 {
				t.Errorf("all sessions: %s", out)
			}
			out := sessions(0, "list", "-sub", "alice")
			if strings.Count(out, "alice") != 3 || strings.Contains(out, "bob") {
				t.Errorf("alice's sessions: %s", out)
			}
			sessions(2, "end") // whose?
			if bob.session()["authenticated"] != true {
				t.Error("a command without a selection has ended a session")
			}
			ids := newOperator(t, g)
			ids.token = "operators-only"
			id := slices.MinFunc(ids.list("sub=alice", 100), func(a, b administered) int {
				return a.CreatedAt.Compare(b.CreatedAt)
			}).ID
			if !strings.Contains(out, id) {
				t.Errorf("alice's sessions lack the id %s: %s", id, out)
			}
			sessions(0, "end", "-id", id)
			alices[0].fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
			alices[1].fetch("GET", "/api/echo").want(t, http.StatusOK)
			sessions(1, "end", "-id", id) // there is no such session
			sessions(0, "end", "-sub", "alice")
			for _, a := range alices[1:] {
				a.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
			}
			bob.fetch("GET", "/api/echo").want(t, http.StatusOK)
			if out := sessions(0, "list", "-sub", "alice"); strings.Contains(out, "alice") {
				t.Errorf("in the end alice has: %s", out)
			}
		})
	}
	if status, _, stderr := command(t, "sessions", "list", "-admin", loopback(freePort(t))); status != 1 ||
		strings.Count(stderr, "\n") != 1 {
		t.Errorf("without a gateway: exit code %d, %q", status, stderr)
	}
}
