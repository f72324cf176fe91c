//go:build !short

package gateway

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/proxy"
)

// streams are three replicas with an upstream that never ends an answer by itself.
type streams struct {
	*threesome
	began, open atomic.Int64 // at the upstream: requests that came, and those of them under way
}

func newStreams(t *testing.T) *streams {
	t.Helper()
	s := &streams{}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.began.Add(1)
		s.open.Add(1)
		defer s.open.Add(-1)
		switch r.URL.Path {
		case "/stream/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/stream/poll":
			<-r.Context().Done()
		case "/ws/echo":
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
	t.Cleanup(upstream.Close)
	s.threesome = newThreesome(t, 0, func(c *Config) {
		route := proxy.Route{Upstream: parseURL(t, upstream.URL), Token: proxy.TokenUser, Timeout: time.Minute}
		stream, ws := route, route
		stream.Path, ws.Path, ws.WebSocket = "/stream/", "/ws/", true
		c.Routes = []Route{{Route: stream, CSRF: "origin", Login: "none"}, {Route: ws, CSRF: "origin", Login: "none"}}
	})
	return s
}

// stream is the connection of a browser on which an answer has begun.
type stream struct {
	net.Conn
	r   *bufio.Reader
	res *http.Response
}

const wsHandshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

// begin sends a request on a connection of its own and reads the header of the answer.
func (s *streams) begin(replica int, path string, fields ...string) *stream {
	s.t.Helper()
	conn := s.ask(replica, path, fields...)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &stream{conn, r, res}
}

func (s *streams) ask(replica int, path string, fields ...string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.replicas[replica].url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	host := s.replicas[0].config.PublicURL.Host
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", path, host, strings.Join(fields, "\r\n"))
	return conn
}

// wantEnd reads to the end of the connection, which has to come before a time.
func (s *streams) wantEnd(c *stream, before time.Time) {
	s.t.Helper()
	_ = c.SetDeadline(before)
	if _, err := io.Copy(io.Discard, c.r); err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			s.t.Fatal("still open")
		}
	}
}

// RPL-12, BCL-28: 200 event streams and 200 WebSockets at one replica, and some at another, end within a second of the
// sign-out at a third; those of another user go on, and the upstream has none left of the first.
func TestStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	s := newStreams(t)
	alice, other := "Cookie: "+s.signIn(0, 0), "Cookie: "+s.signIn(0, 0)
	const site, many = "Sec-Fetch-Site: same-origin", 200
	var mine []*stream
	for i := range many + 5 {
		replica := 0
		if i >= many {
			replica = 2
		}
		events := s.begin(replica, "/stream/events", site, alice)
		socket := s.begin(replica, "/ws/echo", site, alice, wsHandshake)
		if events.res.StatusCode != 200 || socket.res.StatusCode != 101 {
			t.Fatalf("event stream %s, WebSocket %s", events.res.Status, socket.res.Status)
		}
		mine = append(mine, events, socket)
	}
	waiting := bufio.NewReader(s.ask(0, "/stream/poll", site, alice))
	bystander := s.begin(0, "/ws/echo", site, other, wsHandshake)
	poll(t, "the long poll", func() bool { return s.began.Load() == 2*(many+5)+2 })

	if res := s.send(s.replicas[0].client(), 1, "POST", "/bff/logout", csrf, alice); res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, res.body)
	}
	deadline := time.Now().Add(time.Second)
	for _, c := range mine {
		s.wantEnd(c, deadline)
	}
	res, err := http.ReadResponse(waiting, nil)
	if err != nil {
		t.Fatal(err)
	}
	problem, _ := io.ReadAll(res.Body)
	if res.StatusCode != 401 || !strings.Contains(string(problem), `"session_ended"`) || res.Header.Get("Set-Cookie") == "" {
		t.Errorf("a request under way without an answer: %s %s", res.Status, problem)
	}
	poll(t, "the upstream to be let go", func() bool { return s.open.Load() == 1 })
	if _, err := io.WriteString(bystander, "hello"); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 5)
	if _, err := io.ReadFull(bystander.r, echo); err != nil || string(echo) != "hello" {
		t.Errorf("somebody else's WebSocket: %q, %v", echo, err)
	}
	if log := s.replicas[2].log.String(); strings.Count(log, `"status":101`) != 5 || strings.Contains(log, `"level":"WARN"`) {
		t.Errorf("the log of a replica whose streams were cut: %s", log)
	}

	// PX-21: net/http knows nothing of a WebSocket, and a gateway that stops does not wait for it.
	stopping := time.Now()
	if err := s.replicas[0].stop(); err != nil {
		t.Error(err)
	}
	s.wantEnd(bystander, time.Now().Add(time.Second))
	if took := time.Since(stopping); took > 5*time.Second {
		t.Errorf("stopped after %v", took)
	}
}

// PX-20, CSR-08, CSR-12: a handshake from another site, or from nobody knows where, goes no further, and neither does one
// without a session.
func TestWebSocketOrigin(t *testing.T) {
	t.Parallel()
	s := newStreams(t)
	cookie, origin := "Cookie: "+s.signIn(0, 0), s.replicas[0].config.PublicURL.String()
	for name, test := range map[string]struct {
		fields string
		status int
	}{
		"same origin":                  {cookie + "\r\nOrigin: " + origin, 101},
		"as browsers say it":           {cookie + "\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: websocket", 101},
		"neither":                      {cookie, 403},
		"the header of an API call":    {cookie + "\r\n" + csrf, 403},
		"another origin":               {cookie + "\r\nOrigin: https://evil.example", 403},
		"origin with a user":           {cookie + "\r\nOrigin: http://evil@" + strings.TrimPrefix(origin, "http://"), 403},
		"no origin":                    {cookie + "\r\nOrigin: null", 403},
		"two origins":                  {cookie + "\r\nOrigin: " + origin + "\r\nOrigin: https://evil.example", 403},
		"another site":                 {cookie + "\r\nOrigin: " + origin + "\r\nSec-Fetch-Site: cross-site", 403},
		"the same site":                {cookie + "\r\nSec-Fetch-Site: same-site", 403},
		"typed into the address bar":   {cookie + "\r\nSec-Fetch-Site: none", 403},
		"nobody":                       {"Origin: " + origin, 401},
		"a ticket that nobody has got": {"Cookie: cloakroom-" + s.replicas[0].config.PublicURL.Port() + "=x\r\nOrigin: " + origin, 401},
	} {
		before := s.began.Load()
		c := s.begin(0, "/ws/echo", test.fields, wsHandshake)
		if c.res.StatusCode != test.status {
			t.Errorf("%s: %s, want %d", name, c.res.Status, test.status)
		}
		if reached := s.began.Load() > before; reached != (test.status == 101) {
			t.Errorf("%s: at the upstream: %v", name, reached)
		}
		c.Close()
	}
}
