package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func (g *replica) admin(t *testing.T, path string) (int, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	g.adminHandler().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Code, string(body)
}

// contract.md "Admin listener": ready means that people can sign in and be let in.
func TestReadiness(t *testing.T) {
	g := newReplica(t, func(g *replica, c *Config) {
		second := c.Providers[0]
		second.Name, second.Issuer = "second", g.op.Issuer()+"/nowhere"
		c.Providers = append(c.Providers, second)
		g.op.Fault(optest.Status(optest.MetadataEndpoint, 503))
	})
	want := func(status int, body readiness) {
		t.Helper()
		var got readiness
		code, text := g.admin(t, "/readyz")
		decode(t, text, &got)
		if diff := cmp.Diff(body, got); diff != "" || code != status {
			t.Errorf("%d (-want +got):\n%s", code, diff)
		}
	}
	want(503, readiness{"unavailable", "ok", map[string]string{"default": "unavailable", "second": "unavailable"}})
	g.op.ClearFaults()
	g.ready()
	want(200, readiness{"degraded", "ok", map[string]string{"default": "ok", "second": "unavailable"}})
	if code, body := g.admin(t, "/healthz"); code != 200 || strings.TrimSpace(body) != `{"status":"ok"}` {
		t.Errorf("healthz: %d %s", code, body)
	}
	if res := g.client().send("GET", "/readyz"); res.Header.Get("Content-Type") == "application/json" {
		t.Error("the public listener serves /readyz")
	}
}

// PX-35: metrics count what happens, and no label comes from a request.
func TestMetrics(t *testing.T) {
	g := newReplica(t, nil).ready()
	c := g.client().signIn()
	c.send("GET", "/api/private-path?q=private-search", csrf)
	c.send("BREW", "/api/x", csrf)
	c.send("GET", "/api/x")
	c.send("POST", "/bff/logout", csrf)
	g.metrics.request("GET", "/api/", 799, 0) // a hostile upstream
	_, text := g.admin(t, "/metrics")
	for _, want := range []string{
		`cloakroom_request_seconds_count{method="GET",route="/api/",status="200"} 1`,
		`cloakroom_request_seconds_count{method="other",route="/api/",status="405"} 1`,
		`cloakroom_request_seconds_count{method="GET",route="/api/",status="other"} 1`,
		`cloakroom_events_total{event="login",reason=""} 1`,
		`cloakroom_events_total{event="ended",reason="logout"} 1`,
		`cloakroom_events_total{event="csrf_refused",reason="csrf_header_missing"} 1`,
		`cloakroom_store_seconds_count{call="load",result="ok"}`,
		`cloakroom_provider_seconds_count{provider="default",status="200"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, private := range []string{"private", "alice", "BREW"} {
		if strings.Contains(text, private) {
			t.Errorf("the metrics hold %q", private)
		}
	}
}

// TestStreamMetrics: how long an event stream lasts says nothing about how fast the gateway is.
func TestStreamMetrics(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	g := newReplica(t, func(g *replica, c *Config) {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-done
		}))
		t.Cleanup(up.Close)
		c.Routes[3].Upstream = parseURL(t, up.URL)
	}).ready()
	res, err := http.Get(g.url + "/public/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	g.ahead.Add(int64(time.Hour))
	close(done)
	_, _ = io.Copy(io.Discard, res.Body)
	const sum = `cloakroom_request_seconds_sum{method="GET",route="/public/",status="200"} `
	poll(t, "the stream to be counted", func() bool {
		_, text := g.admin(t, "/metrics")
		_, rest, found := strings.Cut(text, sum)
		value, _, _ := strings.Cut(rest, "\n")
		seconds, err := strconv.ParseFloat(value, 64)
		if found && (err != nil || seconds > 60) {
			t.Fatalf("%q seconds", value)
		}
		return found
	})
}
