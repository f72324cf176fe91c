package proxy

import (
	"crypto/tls"
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
	transport.TLSClientConfig.RootCAs = up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
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
	if NewTransport().Proxy != nil {
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
	transport.TLSClientConfig.RootCAs = old.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
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
