package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/secret"
)

// replica is a gateway that serves on a loopback port, with an OP and an upstream that answers with what it received.
type replica struct {
	*Gateway
	t        testing.TB
	url      string
	op       *optest.Server
	upstream *httptest.Server
	log      *lockedBuffer
	options  Options
	ahead    atomic.Int64 // nanoseconds by which the clock of the gateway and the OP has been moved

	mu       sync.Mutex
	received []*http.Request // by the upstream

	stop func() error // ends Run and returns what it returned
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (g *replica) now() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) }

func (g *replica) calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.received)
}

// newReplica starts a gateway with a route of every kind. change may edit its configuration first.
func newReplica(t testing.TB, change func(g *replica, c *Config)) *replica {
	t.Helper()
	g := &replica{t: t, log: &lockedBuffer{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.url = "http://" + listener.Addr().String()
	public := parseURL(t, g.url)
	g.op = optest.Start(t, optest.Config{
		Clients: []optest.Client{{
			ID: "app", Secret: "the-client-secret-of-the-app", AuthMethod: "client_secret_basic",
			RedirectURIs: []string{g.url + "/bff/callback"}, PostLogoutRedirectURIs: []string{g.url + "/bff/logout/callback"},
		}},
		Users: []optest.User{{Subject: "alice", Claims: map[string]any{"name": "Alice"}}},
		Now:   g.now,
	})
	g.options.Now = g.now
	g.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.received = append(g.received, r)
		g.mu.Unlock()
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	}))
	t.Cleanup(g.upstream.Close)

	up := parseURL(t, g.upstream.URL)
	route := func(path string, token proxy.TokenPolicy, csrf string) Route {
		return Route{Route: proxy.Route{Path: path, Upstream: up, Token: token, Timeout: 10 * time.Second}, CSRF: csrf, Login: "none"}
	}
	cfg := &Config{
		BasePath: "/bff", PublicURL: public, Listen: "127.0.0.1:0",
		Providers: []Provider{{
			Name: "default", Issuer: g.op.Issuer(), ClientID: "app", ClientAuth: "client_secret_basic",
			ClientSecret: secret.New("the-client-secret-of-the-app"), Scopes: []string{"openid", "profile", "offline_access"},
			IDTokenSigningAlg: "RS256", Userinfo: "auto", LoginParams: []string{"prompt", "login_hint"},
		}},
		Session: Session{
			Store: "memory:", IdleTimeout: 30 * time.Minute, Lifetime: 12 * time.Hour, RefreshBefore: time.Minute,
			SameSite: "strict", Claims: []string{"sub", "name"}, Cache: true,
		},
		Logout: Logout{RevokeTokens: true, IDTokenHint: true, PostLogoutReturnURL: "/", ClearSiteData: []string{"storage"}},
		Routes: []Route{
			route("/api/", proxy.TokenUser, "header"),
			route("/files/", proxy.TokenUser, "origin"),
			route("/ssr/", proxy.TokenUserOrNone, "navigation"),
			route("/public/", proxy.TokenNone, "none"),
			{Route: proxy.Route{Path: "/", Token: proxy.TokenNone, Static: fstest.MapFS{
				"index.html": {Data: []byte("<!doctype html><title>app</title>")},
			}}, CSRF: "none", Login: "none"},
		},
	}
	if change != nil {
		change(g, cfg)
	}
	g.options.Logger, g.options.Listener = NewLogger(g.log), listener
	if g.Gateway, err = New(cfg, g.options); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	g.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return g
}

// ready waits until the provider has been loaded.
func (g *replica) ready() *replica {
	g.t.Helper()
	poll(g.t, "the gateway to be ready", func() bool {
		_, ready := g.health.check(g.t.Context())
		return ready
	})
	return g
}

func poll(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond) // polling, with the deadline above
	}
}

func parseURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

type client struct {
	g    *replica
	http *http.Client
}

func (g *replica) client() *client {
	jar, _ := cookiejar.New(nil)
	return &client{g, &http.Client{
		Jar: jar, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type response struct {
	*http.Response
	body string
}

func (r response) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(r.body), &p)
	return p.Code
}

// send sends a request; headers are "Name: value". One called Host sets the host.
func (c *client) send(method, path string, headers ...string) response {
	c.g.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = c.g.url + path
	}
	req, err := http.NewRequestWithContext(c.g.t.Context(), method, path, nil)
	if err != nil {
		c.g.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	return c.do(req)
}

func (c *client) do(req *http.Request) response {
	c.g.t.Helper()
	res, err := c.http.Do(req)
	if err != nil {
		c.g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.g.t.Fatal(err)
	}
	return response{res, string(body)}
}

// signIn goes through a login and returns the client, which holds the session cookie then.
func (c *client) signIn() *client {
	c.g.t.Helper()
	start := c.send("GET", "/bff/login")
	callback := c.g.op.Visit(start.Header.Get("Location"))
	if res := c.send("GET", callback.String()); res.Header.Get("Location") != "/bff/landing" {
		c.g.t.Fatalf("callback: %s %s", res.Status, res.Header.Get("Location"))
	}
	return c
}

const csrf = "X-CSRF: 1"

// The whole way: sign in, call, sign out. The upstream gets the token and never the cookie.
func TestGatewayEndToEnd(t *testing.T) {
	g := newReplica(t, nil).ready()
	c := g.client()
	if res := c.send("GET", "/api/orders", csrf); res.StatusCode != 401 || res.code() != "unauthenticated" {
		t.Errorf("before: %s %s", res.Status, res.body)
	}
	c.signIn()
	if res := c.send("GET", "/api/orders", csrf); res.StatusCode != 200 || res.body != "GET /api/orders" {
		t.Errorf("signed in: %s %s", res.Status, res.body)
	}
	up := g.received[0]
	if !strings.HasPrefix(up.Header.Get("Authorization"), "Bearer ") || up.Header.Get("Cookie") != "" || up.Header.Get(csrfHeaderName) != "" {
		t.Errorf("the upstream got %v", up.Header)
	}
	if res := c.send("POST", "/bff/logout", csrf); res.StatusCode != 200 {
		t.Errorf("logout: %s %s", res.Status, res.body)
	}
	if res := c.send("GET", "/api/orders", csrf); res.StatusCode != 401 || g.calls() != 1 {
		t.Errorf("after: %s %s, %d upstream calls", res.Status, res.body, g.calls())
	}
}

// DIS-09, pains.md 10: a gateway starts without its OP, says so, and recovers by itself.
func TestGatewayStartsWithoutProvider(t *testing.T) {
	g := newReplica(t, func(g *replica, _ *Config) {
		g.op.Fault(optest.Status(optest.MetadataEndpoint, 500))
	})
	c := g.client()
	if res := c.send("GET", "/bff/login"); res.StatusCode != 503 || res.code() != "provider_unavailable" || res.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s %v", res.Status, res.body, res.Header)
	}
	g.op.ClearFaults()
	g.ready()
	c.signIn()
}

// A gateway that is told to stop finishes what it is doing.
func TestGatewayDrains(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-finish
		fmt.Fprint(w, "done")
	}))
	defer slow.Close()
	g := newReplica(t, func(_ *replica, c *Config) { c.Routes[3].Upstream = parseURL(t, slow.URL) }).ready()
	result := make(chan string, 1)
	go func() {
		res, err := http.Get(g.url + "/public/x")
		if err != nil {
			result <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		result <- string(body)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- g.stop() }()
	poll(t, "the listener to close", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	select {
	case <-g.draining: // event streams and WebSockets end by it
	default:
		t.Error("Draining is open")
	}
	if r, ready := g.health.check(t.Context()); ready || r.Status != "draining" {
		t.Errorf("while draining: %+v, ready %v", r, ready)
	}
	close(finish)
	if got := <-result; got != "done" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// What a program fills in has to pass the same rules as a file, before anything is built of it.
func TestNewRefuses(t *testing.T) {
	good := newReplica(t, nil).config
	for want, change := range map[string]func(c *Config){
		"public_url":    func(c *Config) { c.PublicURL = parseURL(t, "http://app.example.com") },
		"tls.cert_file": func(c *Config) { c.PublicURL = parseURL(t, "https://localhost"); c.TLS = TLS{"none.crt", "none.key"} },
	} {
		config := *good
		change(&config)
		if _, err := New(&config, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
