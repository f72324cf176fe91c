package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom/cloakroom/session/problem"
)

// TestTransportVerifies is PX-18: a certificate that nobody vouches for is no upstream.
func TestTransportVerifies(t *testing.T) {
	up := httptest.NewUnstartedServer(http.NotFoundHandler())
	up.Config.ErrorLog = discardLog
	up.StartTLS()
	defer up.Close()
	g := newGateway(t, alice, &Route{Path: "/", Upstream: mustParse(t, up.URL), Token: TokenUser})
	g.wantProblem(t, g.get(t, "/"), problem.UpstreamUnavailable)
}

// TestTransportHTTP2: an upstream with TLS is spoken to in HTTP/2, its Host is its own.
func TestTransportHTTP2(t *testing.T) {
	got := make(chan *http.Request, 1)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	up.EnableHTTP2 = true
	up.StartTLS()
	defer up.Close()
	transport := newTestTransport(t)
	transport.tls.config.RootCAs = up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	u := mustParse(t, up.URL)
	g := newGatewayWith(t, alice, Options{Transport: transport}, &Route{Path: "/", Upstream: u, Token: TokenUser})
	if res := g.get(t, "/a%7Cb"); res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	if r := <-got; r.ProtoMajor != 2 || r.Host != u.Host || r.RequestURI != "/a%7Cb" || r.Header.Get("Authorization") == "" {
		t.Errorf("%s %s %s", r.Proto, r.Host, r.RequestURI)
	}
}

// TestTransportIgnoresEnvironment is PX-18.
func TestTransportIgnoresEnvironment(t *testing.T) {
	if tr := NewTransport(); tr.once.Proxy != nil || tr.h2.Proxy != nil || tr.h2c.Proxy != nil {
		t.Error("the transport asks somebody for a proxy")
	}
}

// TestTransportKeepsConnections: as many requests at once as you like, and not more connections than that.
func TestTransportKeepsConnections(t *testing.T) {
	const atOnce, rounds = 32, 5
	var conns atomic.Int64
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	up.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	up.Start()
	defer up.Close()
	g := newGateway(t, nil, &Route{Path: "/", Upstream: mustParse(t, up.URL), Token: TokenNone})
	for range rounds {
		var wg sync.WaitGroup
		for range atOnce {
			wg.Go(func() {
				res, err := g.Client().Get(g.URL)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
			})
		}
		wg.Wait()
	}
	if n := conns.Load(); n > atOnce {
		t.Errorf("%d connections for %d requests at once", n, atOnce)
	}
}

// TestTransportLeavesCompression: a browser that asks for none gets none, and nothing is unpacked on the way.
func TestTransportLeavesCompression(t *testing.T) {
	g := newGateway(t, nil, &Route{Path: "/", Upstream: newEcho(t), Token: TokenNone})
	got := readEcho(t, g.raw(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if v, ok := got.Header["Accept-Encoding"]; ok {
		t.Errorf("Accept-Encoding: %q", v)
	}
}

// TestTransportLimits is PX-18 and PX-34: no old TLS, and no header of any length.
func TestTransportLimits(t *testing.T) {
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.Config.ErrorLog = discardLog
	old.StartTLS()
	t.Cleanup(old.Close)
	transport := newTestTransport(t)
	transport.tls.config.RootCAs = old.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	g := newGatewayWith(t, alice, Options{Transport: transport},
		&Route{Path: "/old", Upstream: mustParse(t, old.URL), Token: TokenUser},
		&Route{
			Path: "/long", Token: TokenUser,
			Upstream: newRawUpstream(t, "HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", 300<<10)+"\r\n\r\n"),
		})
	for _, path := range []string{"/old", "/long"} {
		g.wantProblem(t, g.get(t, path), problem.UpstreamUnavailable)
	}
}

// TestTransportH2C: HTTP/2 over plain TCP from the first byte; an upgrade is HTTP/1.1 there too.
func TestTransportH2C(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-After")
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Method, r.RequestURI, got)
	}))
	up.Config.Protocols = new(http.Protocols)
	up.Config.Protocols.SetHTTP1(true)
	up.Config.Protocols.SetUnencryptedHTTP2(true)
	up.Start()
	defer up.Close()
	tr := newTestTransport(t)
	address := "h2c" + strings.TrimPrefix(up.URL, "http") + "/a%7Cb"
	for body, fields := range map[string][]string{"": nil, "hello": nil, "handshake": {"Upgrade: websocket", "Connection: Upgrade"}} {
		want := "HTTP/2.0 POST /a%7Cb " + body
		if fields != nil {
			want = "HTTP/1.1 POST /a%7Cb " + body
		}
		res, text, err := send(t, tr, "POST", address, body, fields...)
		if err != nil || text != want || res.Request.URL.Scheme != "h2c" {
			t.Errorf("%q %v, want %q", text, err, want)
		}
	}
	if _, text, err := send(t, tr, "GET", up.URL, ""); err != nil || text != "HTTP/1.1 GET / " {
		t.Errorf("%q %v", text, err)
	}
}

// TestTransportQuotesNothing: net/http's errors quote what they cannot read.
func TestTransportQuotesNothing(t *testing.T) {
	tr := newTestTransport(t)
	for _, answer := range []string{
		"HTTP/1.1 marker\r\n\r\n", "HTTP/1.1 200 OK\r\nmarker\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nmarker\r\n\r\n",
	} {
		address := newRawUpstream(t, answer).String()
		for _, rt := range []http.RoundTripper{tr, roundTripper(func(r *http.Request) (*http.Response, error) {
			r.GetBody = nil // so that net/http carries it
			return tr.RoundTrip(r)
		})} {
			if _, text, err := send(t, rt, "POST", address, "x"); err == nil || strings.Contains(err.Error(), "marker") {
				t.Errorf("%q: %q %v", answer, text, err)
			}
		}
	}
}

// TestTransportTells: what is no part of an answer is not hidden.
func TestTransportTells(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	unknown := httptest.NewUnstartedServer(http.NotFoundHandler())
	unknown.Config.ErrorLog = discardLog
	unknown.StartTLS()
	defer unknown.Close()
	dead := newWire(t, func(net.Conn, *http.Request, int64) bool { return false })
	tr := newTestTransport(t)
	for address, want := range map[string]string{
		"https" + strings.TrimPrefix(plain.URL, "http"): "does not look like a TLS handshake",
		unknown.URL:            "certificate",
		"https://127.0.0.1:1/": "connection refused",
		"http://127.0.0.1:1/":  "connection refused",
		dead.url:               "closed the connection without an answer",
	} {
		if _, _, err := send(t, tr, "GET", address, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
