package gateway

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// manyWays is an upstream on which requests end in every way there is. polled hears of long polls.
func manyWays(t *testing.T) (up *httptest.Server, polled <-chan struct{}) {
	polls := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := func(kind string) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		switch r.URL.Path {
		case "/files/events":
			begin("text/event-stream")
			<-r.Context().Done()
		case "/files/abort":
			begin("text/plain")
			panic(http.ErrAbortHandler)
		case "/files/poll":
			polls <- struct{}{}
			<-r.Context().Done()
		case "/files/ws":
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
			fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
			_ = rw.Flush()
			_, _ = io.Copy(conn, rw)
		}
	}))
	t.Cleanup(s.Close)
	return s, polls
}

// PX-34: a session has so many requests under way in one replica, streams and WebSockets among them. The next is refused,
// those under way and other sessions go on, and however a request ends it makes room.
func TestMaxRequests(t *testing.T) {
	t.Parallel()
	const limit = 256
	up, polled := manyWays(t)
	g := newReplica(t, func(_ *replica, c *Config) {
		c.Session.MaxRequests = limit
		for i := range c.Routes[:4] {
			c.Routes[i].Upstream = parseURL(t, up.URL)
		}
		c.Routes[1].WebSocket, c.Routes[1].Timeout = true, time.Minute
	}).ready()
	const site = "Sec-Fetch-Site: same-origin"
	alice, other := g.client().signIn(), g.client().signIn()
	open := func(path string) (leave func() error) {
		var fields []string
		if path == "/files/ws" {
			fields = []string{
				"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
			}
		}
		res, leave := alice.open(path, append(fields, site)...)
		if res.StatusCode != 200 && res.StatusCode != 101 {
			t.Fatalf("%s: %s", path, res.Status)
		}
		return leave
	}
	var leave []func() error
	for i := range limit {
		leave = append(leave, open([]string{"/files/ws", "/files/events"}[i%2]))
	}

	res := alice.send("GET", "/files/x", site)
	if res.StatusCode != 429 || res.code() != "too_many_requests" || res.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %s %s %v", res.Status, res.body, res.Header)
	}
	if res := alice.send("GET", "/public/x"); res.StatusCode != 200 {
		t.Errorf("on a route without a session: %s", res.Status)
	}
	if res := alice.send("GET", "/bff/session", csrf); res.StatusCode != 200 || !strings.Contains(res.body, `"authenticated":true`) {
		t.Errorf("/bff/session: %s %s", res.Status, res.body)
	}
	if res := other.send("GET", "/files/x", site); res.StatusCode != 200 {
		t.Errorf("another session: %s", res.Status)
	}

	room := func(what string) {
		t.Helper()
		poll(t, "room after "+what, func() bool { return alice.send("GET", "/files/x", site).StatusCode == 200 })
	}
	full := func(with string) {
		t.Helper()
		if res := alice.send("GET", "/files/x", site); res.StatusCode != 429 {
			t.Errorf("full again with %s: %s", with, res.Status)
		}
	}
	for i, what := range []string{"a WebSocket", "a stream"} {
		_ = leave[i]()
		room(what)
		leave[i] = open("/files/events")
		full("a stream")
	}
	_ = leave[0]()
	room("a stream")
	for range 3 {
		_ = open("/files/abort")() // the upstream breaks off
		room("an abort")
	}
	ctx, leavePoll := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if res, err := alice.http.Do(alice.request(ctx, "/files/poll", site)); err == nil {
			res.Body.Close()
			t.Errorf("the long poll: %s", res.Status)
		}
	}()
	<-polled
	full("a long poll")
	leavePoll()
	<-over
	room("a long poll")
}

func (c *client) request(ctx context.Context, path string, fields ...string) *http.Request {
	c.g.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.g.url+path, nil)
	if err != nil {
		c.g.t.Fatal(err)
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		req.Header.Set(name, value)
	}
	return req
}

// open sends a request and returns when its answer has begun.
func (c *client) open(path string, fields ...string) (res *http.Response, leave func() error) {
	c.g.t.Helper()
	res, err := c.http.Do(c.request(c.g.t.Context(), path, fields...))
	if err != nil {
		c.g.t.Fatal(err)
	}
	c.g.t.Cleanup(func() { res.Body.Close() })
	return res, res.Body.Close
}
