package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// audited returns the lines of the audit log since an offset, each without what differs from run to run.
func (g *replica) audited(since int) (lines []map[string]any) {
	g.t.Helper()
	for line := range strings.Lines(g.log.String()[since:]) {
		var entry map[string]any
		decode(g.t, line, &entry)
		if entry["msg"] == "audit" {
			lines = append(lines, entry)
		}
	}
	return lines
}

// backchannel posts a logout token.
func (c *client) backchannel(token string) response {
	c.g.t.Helper()
	form := url.Values{"logout_token": {token}}.Encode()
	req, err := http.NewRequestWithContext(c.g.t.Context(), "POST", c.g.url+"/bff/backchannel-logout", strings.NewReader(form))
	if err != nil {
		c.g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(req)
}

// auditCase is something that happens, and the events that it is to the audit log, without what all lines have.
type auditCase struct {
	fault     optest.Fault
	anonymous bool
	do        func(g *replica, c *client)
	want      map[string]map[string]any // event to its line
}

// ofAlice is a line about a session of alice, with more.
func ofAlice(more ...any) map[string]any {
	line := map[string]any{"provider": "default", "iss": "the OP", "sub": "alice", "session": "a hash"}
	for i := 0; i < len(more); i += 2 {
		line[more[i].(string)] = more[i+1]
	}
	return line
}

func callAPI(_ *replica, c *client) { c.send("GET", "/api/x", csrf) }

// after does something when time has passed.
func after(d time.Duration, do func(*replica, *client)) func(*replica, *client) {
	return func(g *replica, c *client) {
		g.ahead.Add(int64(d))
		do(g, c)
	}
}

var auditCases = map[string]auditCase{
	"login": {
		anonymous: true,
		do:        func(_ *replica, c *client) { c.signIn() },
		want:      map[string]map[string]any{"login": ofAlice()},
	},
	"login failed": {
		anonymous: true,
		fault:     optest.CallbackError("access_denied", "no"),
		do:        func(_ *replica, c *client) { c.deliver(c.send("GET", "/bff/login").Header.Get("Location")) },
		want: map[string]map[string]any{
			"login_failed": {"provider": "default", "code": "login_failed", "err": "a text"},
		},
	},
	"refresh": {
		do:   after(6*time.Minute, callAPI),
		want: map[string]map[string]any{"refreshed": ofAlice()},
	},
	"failed refresh": {
		fault: optest.Status(optest.TokenEndpoint, 503),
		do:    after(6*time.Minute, callAPI),
		want:  map[string]map[string]any{"refresh_failed": ofAlice("err", "a text")},
	},
	"refused refresh": {
		fault: optest.TokenError("invalid_grant", "gone"),
		do:    after(6*time.Minute, callAPI),
		want: map[string]map[string]any{
			"refresh_failed": ofAlice("err", "a text"),
			"ended":          ofAlice("reason", "grant_refused", "revoking", true),
			"revoked":        ofAlice(),
		},
	},
	"extend": {
		do:   func(_ *replica, c *client) { c.send("POST", "/bff/session/extend", csrf) },
		want: map[string]map[string]any{"extended": ofAlice()},
	},
	"logout": {
		do: func(_ *replica, c *client) { c.send("POST", "/bff/logout", csrf) },
		want: map[string]map[string]any{
			"ended":   ofAlice("reason", "logout", "revoking", true),
			"revoked": ofAlice(),
		},
	},
	"logout while the OP is ill": {
		fault: optest.Status(optest.RevocationEndpoint, 500),
		do:    func(_ *replica, c *client) { c.send("POST", "/bff/logout", csrf) },
		want: map[string]map[string]any{
			"ended":         ofAlice("reason", "logout", "revoking", true),
			"revoke_failed": ofAlice("err", "a text"),
		},
	},
	"idle": {
		do: after(31*time.Minute, callAPI),
		want: map[string]map[string]any{
			"ended":   ofAlice("reason", "idle", "revoking", true),
			"revoked": ofAlice(),
		},
	},
	"back-channel logout": {
		do: func(g *replica, c *client) {
			token, err := g.op.LogoutToken("app", "alice", "")
			if err != nil {
				g.t.Fatal(err)
			}
			c.backchannel(token)
		},
		want: map[string]map[string]any{"ended": ofAlice("reason", "backchannel_logout", "revoking", false)},
	},
	"bad logout token": {
		anonymous: true,
		do:        func(_ *replica, c *client) { c.backchannel("a.b.c") },
		want:      map[string]map[string]any{"logout_token_refused": {"err": "a text"}},
	},
	"no header": {
		do: func(_ *replica, c *client) { c.send("POST", "/api/orders?q=private-search") },
		want: map[string]map[string]any{
			"csrf_refused": {"code": "csrf_header_missing", "method": "POST", "path": "/api/orders"},
		},
	},
	"another site": {
		do: func(_ *replica, c *client) { c.send("GET", "/api/orders", csrf, "Sec-Fetch-Site: cross-site") },
		want: map[string]map[string]any{
			"csrf_refused": {"code": "cross_site_request", "method": "GET", "path": "/api/orders"},
		},
	},
	"an operator": {
		do: func(g *replica, c *client) {
			c.send("DELETE", "http://"+g.adminAddress()+"/sessions?sub=alice&provider=default")
		},
		want: map[string]map[string]any{
			"ended":       ofAlice("reason", "ended_by_admin", "revoking", false),
			"admin_ended": {"by": "loopback", "ended": 1.0, "sub": "alice", "provider": "default"},
		},
	},
	"an operator, by sid": {
		anonymous: true,
		do: func(g *replica, c *client) {
			c.send("DELETE", "http://"+g.adminAddress()+"/sessions?sid=secret-sid")
		},
		want: map[string]map[string]any{"admin_ended": {"by": "loopback", "ended": 0.0, "by_sid": true}},
	},
}

// SES-13, issue 5, 7: each event has one line, with who, whence and why, and is counted. A session is in it as a hash.
func TestAuditEvents(t *testing.T) {
	t.Parallel()
	for name, test := range auditCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newReplica(t, func(_ *replica, c *Config) { c.Admin.Listen = "127.0.0.1:0" }).ready()
			c := g.client()
			if !test.anonymous {
				c.signIn()
			}
			since, counted := len(g.log.String()), g.counted(t)
			g.op.Fault(test.fault)
			test.do(g, c)
			if err := g.stop(); err != nil { // which waits for revocations
				t.Error(err)
			}
			got := map[string]map[string]any{}
			for _, line := range g.audited(since) {
				event := line["event"].(string)
				if got[event] != nil {
					t.Errorf("a second line of %s", event)
				}
				g.checkAuditLine(t, line)
				got[event] = line
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			after := g.counted(t)
			for event := range test.want {
				if n := after[event] - counted[event]; n != 1 {
					t.Errorf("%s was counted %d times", event, n)
				}
			}
			for _, private := range []string{"private-search", "secret-sid"} {
				if strings.Contains(g.log.String()[since:], private) {
					t.Errorf("the log has %s:\n%s", private, g.log)
				}
			}
		})
	}
}

// checkAuditLine checks what every line has, and takes it and what differs from run to run away.
func (g *replica) checkAuditLine(t *testing.T, line map[string]any) {
	t.Helper()
	if _, err := time.Parse(time.RFC3339Nano, line["time"].(string)); err != nil {
		t.Error(err)
	}
	if id, _ := line["request_id"].(string); len(id) < 20 || line["client"] != "127.0.0.1" {
		t.Errorf("client %v, request %v", line["client"], line["request_id"])
	}
	for _, known := range []string{"time", "level", "msg", "event", "client", "request_id"} {
		delete(line, known)
	}
	if id, ok := line["session"].(string); ok && len(id) == 43 {
		line["session"] = "a hash"
	}
	if line["iss"] == g.op.Issuer() {
		line["iss"] = "the OP"
	}
	if text, ok := line["err"].(string); ok && text != "" {
		line["err"] = "a text"
	}
}

// The table of events for operators is complete, and so are the cases above.
func TestAuditEventsAreDocumented(t *testing.T) {
	provoked := map[string]bool{}
	for _, test := range auditCases {
		for event := range test.want {
			provoked[event] = true
		}
	}
	if diff := cmp.Diff(provoked, documentedEvents(t)); diff != "" {
		t.Errorf("deploy/README.md (-provoked +documented):\n%s", diff)
	}
}

// counted are the events that the metric has counted.
func (g *replica) counted(t *testing.T) map[string]int {
	t.Helper()
	_, text := g.admin(t, "/metrics")
	sums := map[string]int{}
	for _, m := range regexp.MustCompile(`cloakroom_events_total\{event="(\w+)".*\} (\d+)`).FindAllStringSubmatch(text, -1) {
		var n int
		_, _ = fmt.Sscan(m[2], &n)
		sums[m[1]] += n
	}
	return sums
}

// documentedEvents are the events in the table of the README for operators.
func documentedEvents(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| event |")
	table, _, _ = strings.Cut(table, "\n\n")
	events := map[string]bool{}
	for line := range strings.Lines(table) {
		if m := regexp.MustCompile("^\\| `(\\w+)`").FindStringSubmatch(line); m != nil {
			events[m[1]] = true
		}
	}
	return events
}

// SES-14: whatever an OP, a browser or an operator sends is a value in a line of the log, and does nothing to a terminal.
func TestAuditLinesCannotBeForged(t *testing.T) {
	t.Parallel()
	const evil = "x\r\n{\"msg\":\"audit\",\"event\":\"login\"}\x1b[2J\u009b\u202e\x7f"
	g := newReplica(t, func(g *replica, c *Config) {
		c.Admin.Listen = "127.0.0.1:0"
		if err := g.op.AddUser(optest.User{Subject: evil}); err != nil {
			t.Fatal(err)
		}
	}).ready()
	address := "http://" + g.adminAddress()
	since := len(g.log.String())
	c := g.client()

	g.op.Fault(optest.CallbackError("access_denied", evil))
	c.deliver(c.send("GET", "/bff/login").Header.Get("Location"))
	g.op.ClearFaults()
	c.send("POST", "/api/x", "User-Agent: x\u009b")
	c.send("POST", "/api/"+url.PathEscape("\x1b\u009b"))
	c.send("GET", "/bff/login?"+url.Values{"returnUrl": {evil}, "prompt": {evil}}.Encode())
	c.send("GET", "/bff/callback?"+url.Values{"state": {evil}, "error": {evil}, "error_description": {evil}}.Encode())
	c.backchannel(evil)
	c.send("DELETE", address+"/sessions?sub="+url.QueryEscape(evil))
	c.send("DELETE", address+"/sessions/"+url.PathEscape(evil))
	g.op.Fault(optest.TokenError(evil, evil))
	start := c.send("GET", "/bff/login")
	c.deliver(start.Header.Get("Location"))

	if err := g.stop(); err != nil {
		t.Error(err)
	}
	text := strings.TrimSuffix(g.log.String()[since:], "\n")
	for line := range strings.SplitSeq(text, "\n") {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || entry["time"] == nil {
			t.Errorf("not a line of ours: %q", line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("a line with control characters: %q", line)
		}
		if entry["event"] == "login" {
			t.Errorf("a forged line: %s", line)
		}
	}
	for _, event := range []string{"login_failed", "csrf_refused", "logout_token_refused", "admin_ended"} {
		if !strings.Contains(text, fmt.Sprintf(`"event":%q`, event)) {
			t.Errorf("there was no %s", event)
		}
	}
}
