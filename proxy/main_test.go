package proxy

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	publicURL   = "https://app.example.com"
	ownCookie   = "__Host-Http-cloakroom"
	accessToken = "marker-access-token"
)

var discardLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)

func isOwnCookie(name string) bool { return strings.HasPrefix(name, ownCookie) }

// alice is signed in.
var alice = &session.Session{
	Subject: "alice",
	Tokens:  session.Tokens{Access: secret.New(accessToken)},
	Claims: map[string]json.RawMessage{
		"sub":     json.RawMessage(`"alice"`),
		"name":    json.RawMessage(`"Alice \u00c4ther"`),
		"level":   json.RawMessage(`3`),
		"admin":   json.RawMessage(`false`),
		"forged":  json.RawMessage(`"a\r\nX-Role: admin"`),
		"padded":  json.RawMessage(`" alice"`),
		"groups":  json.RawMessage(`["a","b"]`),
		"address": json.RawMessage(`{"country":"SE"}`),
		"nothing": json.RawMessage(`null`),
		"empty":   json.RawMessage(`""`),
	},
}

func tokenOf(who *session.Session) secret.String {
	if who == nil {
		return secret.String{}
	}
	return who.Tokens.Access
}

// gateway is a server that does with a proxy what the real one does, with as little else as possible.
type gateway struct {
	*httptest.Server
	who     *session.Session
	problem chan *problem.Error // of each request that Serve refused
}

func newGateway(t *testing.T, who *session.Session, routes ...*Route) *gateway {
	t.Helper()
	return newGatewayWith(t, who, Options{Transport: newTestTransport(t)}, routes...)
}

func newGatewayWith(t *testing.T, who *session.Session, o Options, routes ...*Route) *gateway {
	t.Helper()
	o.Routes, o.PublicURL, o.OwnCookie = routes, mustParse(t, publicURL), isOwnCookie
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	table, err := NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{who: who, problem: make(chan *problem.Error, 100)}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Referrer-Policy", "from-the-gateway")
		w.Header().Add("Vary", "Origin")
		err := Canonical(r)
		if err == nil {
			if i := table.Match(r.URL.Path); i < 0 {
				err = &problem.Error{Code: problem.NotFound}
			} else {
				err = p.Serve(w, r, routes[i], g.who, tokenOf(g.who))
			}
		}
		if refused, ok := errors.AsType[*problem.Error](err); ok {
			g.problem <- refused
			http.Error(w, string(refused.Code), refused.Code.Status())
		} else if why, over := session.Anonymous(err); over {
			http.Error(w, "session "+why, http.StatusUnauthorized)
		} else if err != nil {
			t.Errorf("Serve returned %T: %v", err, err)
		}
	}))
	g.Config.ErrorLog = discardLog
	g.Start()
	t.Cleanup(g.Close)
	return g
}

// get asks for a path, with fields as "Name: value".
func (g *gateway) get(t *testing.T, path string, fields ...string) *http.Response {
	t.Helper()
	return g.do(t, http.MethodGet, path, nil, fields...)
}

func (g *gateway) do(t *testing.T, method, path string, body io.Reader, fields ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header[http.CanonicalHeaderKey(name)] = append(req.Header[http.CanonicalHeaderKey(name)], value)
	}
	res, err := g.Client().Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// raw sends bytes and returns the answer; nothing between the test and the gateway tidies them up.
func (g *gateway) raw(t *testing.T, request string) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(g.send(t, request)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// send sends bytes on a connection of their own.
func (g *gateway) send(t *testing.T, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

// wantProblem checks that the gateway refused, and how.
func (g *gateway) wantProblem(t *testing.T, res *http.Response, code problem.Code) *problem.Error {
	t.Helper()
	if res.StatusCode != code.Status() || body(t, res) != string(code)+"\n" {
		t.Fatalf("status %d, want %d %s", res.StatusCode, code.Status(), code)
	}
	return <-g.problem
}

// echoed is what an upstream got.
type echoed struct {
	Method, URI, Host, Body string
	Header, Trailer         http.Header
	ContentLength           int64
	Proto                   string
}

// newEcho starts an upstream that answers with what it got.
func newEcho(t *testing.T) *url.URL {
	t.Helper()
	return newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(echoed{
			r.Method, r.RequestURI, r.Host, string(b), r.Header, r.Trailer, r.ContentLength, r.Proto,
		})
	})
}

func newUpstream(t *testing.T, h http.HandlerFunc) *url.URL {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = discardLog
	s.Start()
	t.Cleanup(s.Close)
	return mustParse(t, s.URL)
}

// newRawUpstream starts an upstream that answers every connection with these bytes and closes it.
func newRawUpstream(t *testing.T, answer string) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, answer)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return mustParse(t, "http://"+l.Addr().String())
}

func readEcho(t *testing.T, res *http.Response) echoed {
	t.Helper()
	var e echoed
	text := body(t, res)
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("status %d, no echo: %v: %s", res.StatusCode, err, strconv.Quote(text))
	}
	return e
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newTestTransport(t *testing.T) *Transport {
	t.Helper()
	transport := NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}
