package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newSecureWire is a wire behind TLS, and a transport that trusts it. Connections that ask for its protocols are counted
// too.
func newSecureWire(t *testing.T, config *tls.Config, serve func(net.Conn, *http.Request, int64) bool) (*wire, *Transport) {
	t.Helper()
	example := httptest.NewTLSServer(nil)
	defer example.Close()
	tr := newTestTransport(t)
	tr.tls.config.RootCAs = x509.NewCertPool()
	tr.tls.config.RootCAs.AddCert(example.Certificate())
	config.Certificates = example.TLS.Certificates
	l := listen(t)
	return newWireOn(t, tls.NewListener(corkedListener{l}, config), "https://"+l.Addr().String(), serve), tr
}

// wireKinds are the two that speak HTTP/1.1. asked is how many connections the question for HTTP/2 takes.
var wireKinds = map[string]struct {
	make  func(*testing.T, func(net.Conn, *http.Request, int64) bool) (*wire, *Transport)
	asked int64
}{
	"http": {func(t *testing.T, serve func(net.Conn, *http.Request, int64) bool) (*wire, *Transport) {
		return newWire(t, serve), newTestTransport(t)
	}, 0},
	"https": {func(t *testing.T, serve func(net.Conn, *http.Request, int64) bool) (*wire, *Transport) {
		return newSecureWire(t, &tls.Config{}, serve)
	}, 1},
}

type corkedListener struct{ net.Listener }

func (l corkedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &corkedConn{Conn: conn}, err
}

// corkedConn keeps what is written until it is told to send it all at once.
type corkedConn struct {
	net.Conn
	corked bool
	held   []byte
}

func (c *corkedConn) Write(p []byte) (int, error) {
	if c.corked {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *corkedConn) uncork() {
	c.corked = false
	_, _ = c.Conn.Write(c.held)
	c.held = nil
}

// TestDesyncRecords is TestDesync where what stands behind an answer has been read from the socket with it, and waits in a
// TLS record of its own.
func TestDesyncRecords(t *testing.T) {
	for name, c := range map[string]struct{ method, odd string }{
		"a body":  {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		"chunks":  {"GET", chunkedHead + "2\r\nok\r\n0\r\n\r\n"},
		"no body": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		"HEAD":    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"},
		"204":     {"GET", "HTTP/1.1 204 No Content\r\n\r\n"},
		"304":     {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
	} {
		for _, behind := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", "\n"} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				s, tr := newSecureWire(t, &tls.Config{MaxVersion: version}, func(conn net.Conn, r *http.Request, _ int64) bool {
					if r.URL.Path != "/odd" {
						return answer(conn, r.URL.Path)
					}
					raw := conn.(*tls.Conn).NetConn().(*corkedConn)
					raw.corked = true
					_, _ = io.WriteString(conn, c.odd)
					_, _ = io.WriteString(conn, behind)
					raw.uncork()
					return true
				})
				if _, text, err := send(t, tr, c.method, s.url+"/odd", ""); err != nil || text != "" && text != "ok" {
					t.Fatalf("%s: %q %v", name, text, err)
				}
				for i := range 3 {
					path := fmt.Sprint("/", i)
					if _, text, err := send(t, tr, "POST", s.url+path, "x"); err != nil || text != path {
						t.Fatalf("%s: %s got %q %v", name, path, text, err)
					}
				}
				if n := s.conns.Load(); n != 3 {
					t.Errorf("%s: %d connections, want 3", name, n)
				}
			}
		}
	}
}

// streamed is a request whose body net/http has to read.
func streamed(t *testing.T, url, body string) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, io.MultiReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// handshake is a request for an upgrade.
func handshake(t *testing.T, url string) *http.Request {
	t.Helper()
	req := newRequest(t, http.MethodGet, url, "")
	req.Body = nil
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	return req
}

// TestOnce is TestDesync for what net/http carries over HTTP/1.1, streamed bodies and upgrades that are refused: what
// stands behind their answers is nobody's, since each has a connection for itself.
func TestOnce(t *testing.T) {
	const other = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
	for kind, wires := range wireKinds {
		for name, odd := range map[string]string{
			"behind a length": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + other,
			"behind chunks":   chunkedHead + "0\r\n\r\n" + other,
			"behind a 204":    "HTTP/1.1 204 No Content\r\n\r\n" + other,
			"behind a 304":    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + other,
		} {
			s, tr := wires.make(t, func(conn net.Conn, r *http.Request, _ int64) bool {
				_, _ = io.Copy(io.Discard, r.Body)
				if !strings.HasPrefix(r.URL.Path, "/odd") {
					return answer(conn, r.URL.Path)
				}
				_, _ = io.WriteString(conn, odd)
				return true
			})
			for i, req := range []*http.Request{
				streamed(t, s.url+"/odd", "body"), streamed(t, s.url+"/1", "body"), newRequest(t, "POST", s.url+"/2", "body"),
				handshake(t, s.url+"/odd"), handshake(t, s.url+"/4"), streamed(t, s.url+"/5", "body"),
			} {
				want := ""
				if req.URL.Path != "/odd" {
					want = fmt.Sprint("/", i)
				}
				res, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatalf("%s, %s, %d: %v", kind, name, i, err)
				}
				if text := body(t, res); text != want {
					t.Fatalf("%s, %s: request %d got %q", kind, name, i, text)
				}
				res.Body.Close()
			}
			if n := s.conns.Load(); n != 6+wires.asked {
				t.Errorf("%s, %s: %d connections", kind, name, n)
			}
		}
	}
}

// TestUpgrade: the handshake arrives as it was sent, and after it both sides say what they like.
func TestUpgrade(t *testing.T) {
	for kind, wires := range wireKinds {
		s, tr := wires.make(t, func(conn net.Conn, r *http.Request, _ int64) bool {
			if r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Upgrade") != "websocket" || r.Close {
				t.Errorf("%s: the upstream got %v", kind, r.Header)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
			_, _ = io.Copy(conn, conn)
			return false
		})
		res, err := tr.RoundTrip(handshake(t, s.url))
		if err != nil {
			t.Fatal(err)
		}
		conn, ok := res.Body.(io.ReadWriteCloser)
		if !ok || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: %s", kind, res.Status)
		}
		in := bufio.NewReader(conn)
		for _, want := range []string{"hello\n", "echo\n"} {
			if got, err := in.ReadString('\n'); got != want || err != nil {
				t.Errorf("%s: %q %v", kind, got, err)
			}
			_, _ = io.WriteString(conn, "echo\n")
		}
		conn.Close()
	}
}

// TestFirstRequestsTLS: nobody knows yet that there is no HTTP/2 when many requests of all kinds come at once. Something
// stands behind each of their answers, and no connection carries another.
func TestFirstRequestsTLS(t *testing.T) {
	s, tr := newSecureWire(t, &tls.Config{}, func(conn net.Conn, r *http.Request, _ int64) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		_, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
			len(r.URL.Path), r.URL.Path)
		return err == nil
	})
	var requests []*http.Request
	for i := range 24 {
		url := fmt.Sprint(s.url, "/", i)
		requests = append(requests, []*http.Request{
			newRequest(t, "GET", url, ""), newRequest(t, "POST", url, "body"),
			streamed(t, url, "body"), handshake(t, url),
		}[i%4])
	}
	for range 2 {
		var wg sync.WaitGroup
		for _, req := range requests {
			wg.Go(func() {
				res, err := tr.RoundTrip(req.Clone(req.Context()))
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				if text, err := io.ReadAll(res.Body); string(text) != req.URL.Path || err != nil {
					t.Errorf("%s got %q %v", req.URL.Path, text, err)
				}
			})
		}
		wg.Wait()
		for i, req := range requests {
			if req.GetBody != nil {
				requests[i].Body, _ = req.GetBody()
			} else if req.Body != nil {
				requests[i] = streamed(t, req.URL.String(), "body")
			}
		}
	}
}

// TestTLSKeepsConnections: session tickets, which come unasked, are nothing behind an answer.
func TestTLSKeepsConnections(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var conns atomic.Int64
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, r.Proto)
		}))
		up.TLS = &tls.Config{MaxVersion: version, NextProtos: []string{"http/1.1"}}
		up.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		up.StartTLS()
		tr := newTestTransport(t)
		tr.tls.config.RootCAs = up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		for range 20 {
			if _, text, err := send(t, tr, "POST", up.URL, "x"); text != "HTTP/1.1" || err != nil {
				t.Fatalf("%q %v", text, err)
			}
		}
		if n := conns.Load(); n != 2 { // one to ask for HTTP/2
			t.Errorf("%s: %d connections", tls.VersionName(version), n)
		}
		tr.CloseIdleConnections()
		up.Close()
	}
}

// TestTLSProtocolChanges: an upstream may speak other protocols after a restart. That costs a request, which is not carried
// by a connection in HTTP/1.1 of net/http.
func TestTLSProtocolChanges(t *testing.T) {
	var protocol atomic.Value
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Proto)
	}))
	up.EnableHTTP2 = true
	up.Config.ErrorLog = discardLog
	up.TLS = &tls.Config{}
	up.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		now := up.TLS.Clone()
		now.NextProtos = []string{protocol.Load().(string)}
		if !slices.Contains(hello.SupportedProtos, now.NextProtos[0]) {
			return nil, errors.New("no common protocol") // crypto/tls has exceptions
		}
		return now, nil
	}
	up.StartTLS()
	defer up.Close()
	tr := newTestTransport(t)
	defer tr.CloseIdleConnections()
	tr.tls.config.RootCAs = up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for i, c := range []struct{ protocol, want string }{
		{"h2", "HTTP/2.0"}, {"http/1.1", "HTTP/1.1"}, {"h2", "HTTP/2.0"}, {"http/1.1", "HTTP/1.1"},
	} {
		protocol.Store(c.protocol)
		tr.CloseIdleConnections()
		if i > 0 {
			_, text, err := send(t, tr, "GET", up.URL, "")
			if err == nil || errors.Is(err, errNoHTTP2) != (c.protocol == "http/1.1") {
				t.Errorf("%s, the first: %q %v", c.protocol, text, err)
			}
		}
		if _, text, err := send(t, tr, "GET", up.URL, ""); text != c.want || err != nil {
			t.Errorf("%s: %q %v", c.protocol, text, err)
		}
	}
}

// TestHandshakeLimit is PX-18: an upstream that says nothing in the handshake is given up, and it is a timeout.
func TestHandshakeLimit(t *testing.T) {
	t.Parallel()
	l := listen(t)
	t.Cleanup(func() { l.Close() })
	for name, req := range map[string]*http.Request{
		"whole":    newRequest(t, "GET", "https://"+l.Addr().String(), ""),
		"streamed": streamed(t, "https://"+l.Addr().String(), "body"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newTestTransport(t).RoundTrip(req)
			var network net.Error
			if !errors.As(err, &network) || !network.Timeout() {
				t.Errorf("%v is no timeout", err)
			}
		})
	}
}
