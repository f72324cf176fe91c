package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/proxy"
)

// pipeListener hands out one connection, in memory: in a synctest bubble time passes while it is silent.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if conn, ok := <-l; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l pipeListener) Close() error   { close(l); return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// inBubble is a gateway whose upstreams are a function, for tests whose time is not real.
func inBubble(t *testing.T, outside *replica, upstream roundTripper) *Gateway {
	t.Helper()
	g := *outside.Gateway
	var err error
	g.proxy, err = proxy.New(proxy.Options{
		Routes: proxyRoutes(g.config.Routes), PublicURL: g.config.PublicURL, OwnCookie: g.bff.OwnCookie, Logger: g.log,
		Transport: upstream,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &g
}

// PX-34: whoever announces a body and does not send it is answered after a while, and loses the connection. An upload to
// an upstream may take its time.
func TestSlowBodies(t *testing.T) {
	outside := newReplica(t, func(_ *replica, c *Config) {
		c.Login.ThirdParty = true
		for i := range c.Routes {
			c.Routes[i].Timeout = 4 * bodyTime
		}
	})
	const (
		length = 20_000       // of the body: too much to be read before the request goes up
		whole  = 3 * bodyTime // after which it is there
	)
	for request, want := range map[string]struct {
		status        int
		after, closed time.Duration
	}{
		"POST /bff/login/initiate": {400, bodyTime, bodyTime},
		"POST /bff/callback":       {303, bodyTime, bodyTime},
		"POST /bff/logout":         {403, bodyTime, bodyTime},
		"POST /bff/nothing":        {404, bodyTime, bodyTime},
		"POST /api/x":              {403, bodyTime, bodyTime},
		"GET /":                    {200, bodyTime, bodyTime},
		"POST /public/unread":      {200, 0, bodyTime},
		"POST /public/read":        {200, whole, whole + 2*time.Minute}, // IdleTimeout
	} {
		synctest.Test(t, func(t *testing.T) {
			g := inBubble(t, outside, func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/public/read" {
					if _, err := io.ReadAll(r.Body); err != nil {
						return nil, err
					}
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}, nil
			})
			listener := make(pipeListener, 1)
			server := g.newServer(g.Handler())
			go func() { _ = server.Serve(listener) }()
			conn, far := net.Pipe()
			listener <- far

			start := time.Now()
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\niss=",
				request, g.config.PublicURL.Host, length)
			defer time.AfterFunc(whole, func() { _, _ = io.WriteString(conn, strings.Repeat("x", length-len("iss="))) }).Stop()
			read := bufio.NewReader(conn)
			res, err := http.ReadResponse(read, nil)
			if err != nil {
				t.Fatalf("%s: %v", request, err)
			}
			if took := time.Since(start); res.StatusCode != want.status || took != want.after {
				t.Errorf("%s: %s after %v, want %d after %v", request, res.Status, took, want.status, want.after)
			}
			if _, err := io.Copy(io.Discard, read); err != nil {
				t.Errorf("%s: %v", request, err)
			}
			if took := time.Since(start).Round(time.Second); took != want.closed {
				t.Errorf("%s: closed after %v, want %v", request, took, want.closed)
			}
			_ = conn.Close()
			_ = server.Close()
		})
	}
}
