package attack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// The application as browsers see it, through something that ends TLS.
const (
	host   = "app.example.com"
	origin = "https://" + host

	sessionCookie = "__Host-Http-cloakroom"
)

// config is what a test changes of the application.
type config struct {
	routes string // lines of YAML, without indentation
	top    string // further lines of YAML
	keep   bool   // the route of each request in the access log
	faults []optest.Fault
}

// application is a gateway with its OP.
type application struct {
	*process
	address string // of the gateway, host:port
	op      *optest.Server
	log     *accessLog
}

// startApplication starts a gateway with two users, alice and bob, and waits until they can sign in.
func startApplication(t *testing.T, c config) *application {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatalf("cloakroom cannot be built: %v", err)
	}
	op := optest.Start(t, optest.Config{
		Clients: []optest.Client{{ID: "app", Secret: "client-secret", RedirectURIs: []string{origin + "/bff/callback"}}},
		Users:   []optest.User{{Subject: "alice"}, {Subject: "bob"}},
	})
	op.Fault(c.faults...)
	file := filepath.Join(t.TempDir(), "cloakroom.yaml")
	text := fmt.Sprintf(`
public_url: %s
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
providers: [{name: default, issuer: %q, client_id: app, client_secret: client-secret}]
session: {store: "memory:", allow_memory: true}
%s
routes:
%s`, origin, op.Issuer(), c.top, c.routes)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &application{op: op, log: &accessLog{keep: c.keep, routes: map[string]string{}}}
	a.process = start(t, exec.Command(binary, "serve", "-config", file), a.log)
	a.eventually("the gateway", func() bool {
		if a.address = a.log.listen(); a.address == "" {
			return false
		}
		answers := a.send(t, get("/bff/login", navigation...))
		return len(answers) == 1 && answers[0].StatusCode == http.StatusFound
	})
	t.Cleanup(func() {
		if a.log.raced() {
			t.Error("the race detector found something")
		}
	})
	return a
}

// signIn signs a user in as a browser does and returns the ticket.
func (a *application) signIn(t *testing.T, subject string) string {
	t.Helper()
	a.op.SignIn(subject)
	jar, _ := cookiejar.New(nil) // never fails without options
	public, _ := url.Parse(origin)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	next, _ := public.Parse("/bff/login")
	for next.Path != "/bff/landing" {
		req, err := http.NewRequest(http.MethodGet, next.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if next.Host == host {
			for _, cookie := range jar.Cookies(next) {
				req.AddCookie(cookie)
			}
			req.Host, req.URL.Scheme, req.URL.Host = host, "http", a.address
			req.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if next.Host == host {
			jar.SetCookies(next, res.Cookies())
		}
		if next, err = next.Parse(res.Header.Get("Location")); err != nil || res.StatusCode < 300 {
			t.Fatalf("the login of %s ended with %s: %v", subject, res.Status, err)
		}
	}
	for _, cookie := range jar.Cookies(public) {
		if cookie.Name == sessionCookie {
			return cookie.Value
		}
	}
	t.Fatal("the login has set no session cookie")
	return ""
}

// accessLog reads what the gateway logs.
type accessLog struct {
	keep bool

	mu      sync.Mutex
	rest    []byte // an incomplete line
	address string
	race    bool
	routes  map[string]string // by request id, if keep
}

func (l *accessLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.read(line)
		l.rest = rest
	}
}

func (l *accessLog) read(line []byte) {
	var entry struct{ Msg, Listen, Route, Request_ID string }
	switch {
	case bytes.Contains(line, []byte("DATA RACE")):
		l.race = true
	case l.address != "" && !l.keep:
	case json.Unmarshal(line, &entry) != nil:
	case entry.Msg == "serving":
		l.address = entry.Listen
	case entry.Msg == "request":
		l.routes[entry.Request_ID] = entry.Route
	}
}

func (l *accessLog) listen() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.address
}

func (l *accessLog) raced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.race
}

// route returns the route that the gateway says to have chosen for a request, and whether it has said so by now.
func (l *accessLog) route(id string) (route string, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	route, known = l.routes[id]
	return route, known
}

// cookieOf is the Cookie field of a session.
func cookieOf(ticket string) string { return "Cookie: " + sessionCookie + "=" + ticket }

// navigation are the fields of one that a page of the application begins.
var navigation = []string{
	"Accept: text/html", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
}

// get is a request on a connection of its own.
func get(target string, fields ...string) string { return request("GET", target, fields...) }

func request(method, target string, fields ...string) string {
	return message(method+" "+target+" HTTP/1.1", append([]string{"Host: " + host, "Connection: close"}, fields...)...)
}

// message is a request line, header fields, and the end of the header.
func message(line string, fields ...string) string {
	return strings.Join(append([]string{line}, fields...), "\r\n") + "\r\n\r\n"
}
