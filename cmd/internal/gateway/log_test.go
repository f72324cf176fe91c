package gateway

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// BFF-27, SES-13: the access log has a line for each request, with the path and never the query.
func TestAccessLog(t *testing.T) {
	g := newReplica(t, nil).ready()
	c := g.client().signIn()
	c.send("GET", "/api/orders?q=private-search", csrf, "X-Request-Id: forged")
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	var lines []map[string]any
	for line := range strings.Lines(g.log.String()) {
		var entry map[string]any
		decode(t, line, &entry)
		if entry["msg"] == "request" {
			lines = append(lines, entry)
		}
	}
	if len(lines) != 3 { // login, callback, the call
		t.Fatalf("%d lines, want 3:\n%s", len(lines), g.log)
	}
	last := lines[2]
	for key, want := range map[string]any{
		"method": "GET", "path": "/api/orders", "route": "/api/", "status": 200.0, "client": "127.0.0.1", "bytes": 15.0,
	} {
		if last[key] != want {
			t.Errorf("%s = %v, want %v", key, last[key], want)
		}
	}
	if id := last["request_id"]; id == "forged" || id == "" || g.received[0].Header.Get("X-Request-Id") != id {
		t.Errorf("request_id %v; the upstream got %s", id, g.received[0].Header.Get("X-Request-Id"))
	}
	for _, private := range []string{"private-search", "code=", "state="} {
		if strings.Contains(g.log.String(), private) {
			t.Errorf("the log holds %q", private)
		}
	}
}

// SES-14: what a client sends is one value in one line, whatever it contains.
func TestLogLinesCannotBeForged(t *testing.T) {
	g := newReplica(t, nil).ready()
	g.client().send("GET", "/%0A%7B%22msg%22:%22audit%22%7D", "User-Agent: x")
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(g.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a JSON line: %q", line)
		}
		if strings.HasPrefix(line, `{"msg":"audit"}`) {
			t.Errorf("a forged line: %s", line)
		}
	}
}

func TestLoggerForm(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out).Info("m", "k", "v")
	if !json.Valid(out.Bytes()) {
		t.Errorf("a buffer got %s", out.String())
	}
	file, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	NewLogger(file).Info("m", "k", "v")
	if text, _ := os.ReadFile(file.Name()); !json.Valid(text) {
		t.Errorf("a file got %s", text)
	}
}

// PX-31, PX-32: what every response carries, whoever made it.
func TestCommonHeaders(t *testing.T) {
	g := newReplica(t, func(_ *replica, c *Config) { c.PublicURL.Scheme = "https"; c.Session.AllowMemory = true })
	for _, path := range []string{"/", "/public/x", "/bff/session", "/bff/nothing", "/api/x", "/a//b"} {
		res := g.client().send("GET", path, "Host: "+g.config.PublicURL.Host)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
			"Strict-Transport-Security": "max-age=31536000",
		} {
			if got := res.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s %q", path, name, got)
			}
		}
		if res.Header.Get("Referrer-Policy") == "" || res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
}
