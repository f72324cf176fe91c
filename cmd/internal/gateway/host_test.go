package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FLOW-16, CSR-07: the Host header decides nothing, and a wrong one is refused (PX-09).
func TestGatewayHost(t *testing.T) {
	internal := "app.internal:8080"
	g := newReplica(t, func(_ *replica, c *Config) {
		c.InternalHosts = []string{internal}
		c.Providers[0].PushedRequests = "off" // so that the request can be read off the address
	}).ready()
	for host, want := range map[string]int{
		strings.TrimPrefix(g.url, "http://"): 302, internal: 302, "APP.internal:8080": 302,
		"evil.example": 421, "localhost": 421, "127.0.0.1": 421, "127.0.0.1:1": 421, internal + "1": 421,
	} {
		res := g.client().send("GET", "/bff/login", "Host: "+host, "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example")
		if res.StatusCode != want {
			t.Errorf("Host %s: %s %s", host, res.Status, res.body)
		}
		if to := parseURL(t, res.Header.Get("Location")); want == 302 && to.Query().Get("redirect_uri") != g.url+"/bff/callback" {
			t.Errorf("Host %s: redirect_uri %s", host, to.Query().Get("redirect_uri"))
		}
		if want == 421 && res.code() != "misdirected" {
			t.Errorf("Host %s: %s", host, res.body)
		}
	}
}

// PX-09: a request target in absolute form is held to its own authority (RFC 9112 §3.2.2).
func TestGatewayAbsoluteForm(t *testing.T) {
	g := newReplica(t, nil).ready()
	host := strings.TrimPrefix(g.url, "http://")
	for target, want := range map[string]string{
		"http://" + host + "/public/x": "200", "http://evil.example/public/x": "421", "http://user@" + host + "/public/x": "200",
	} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host)
		answer, _ := io.ReadAll(conn)
		conn.Close()
		if got := strings.Fields(string(answer))[1]; got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// net/http would answer OPTIONS * by itself, without a look at the host.
func TestGatewayRefusesOptionsStar(t *testing.T) {
	g := newReplica(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
	answer, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 421 ") {
		t.Errorf("%s", answer)
	}
}

// An SSR server's name is believed from inside only.
func TestInternalPeer(t *testing.T) {
	g := newReplica(t, func(_ *replica, c *Config) {
		c.TrustedProxies = parsePrefixes(t, "10.0.0.0/8")
		c.InternalHosts = []string{"app.internal"}
	})
	outside := httptest.NewRequest("GET", "http://app.internal/", nil)
	outside.RemoteAddr = "192.0.2.1:1"
	if err := g.checkHost(outside); err == nil {
		t.Error("an internal host is served to the outside")
	}
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true, "10.1.2.3:1": true, "192.0.2.1:1": false, "nonsense": false,
	} {
		if got := g.isInternalPeer(&http.Request{RemoteAddr: addr}); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
