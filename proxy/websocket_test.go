package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// The key and what follows from it are the example of RFC 6455 §1.3.
const (
	wsKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	wsAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// wsHandshake is a browser's.
var wsHandshake = []string{
	"Host: app.example.com", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: " + wsKey, "Sec-WebSocket-Protocol: chat, superchat", "Sec-WebSocket-Extensions: permessage-deflate",
	"Sec-Fetch-Dest: websocket", "Origin: " + publicURL,
}

// socket is the connection of a browser after its handshake.
type socket struct {
	net.Conn
	r   *bufio.Reader
	res *http.Response
}

// dial sends a handshake and returns what came back.
func (g *gateway) dial(t *testing.T, fields ...string) *socket {
	t.Helper()
	conn := g.send(t, "GET /ws HTTP/1.1\r\n"+strings.Join(fields, "\r\n")+"\r\n\r\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &socket{conn, r, res}
}

// say sends a text frame of less than 126 bytes and reads the upstream's answer to it.
func (s *socket) say(t *testing.T, text string) {
	t.Helper()
	if err := s.try(text); err != nil {
		t.Fatal(err)
	}
}

// try is say for a connection that may be closed. The frame is masked, as a browser's is (§5.2).
func (s *socket) try(text string) error {
	frame := []byte{0x81, 0x80 | byte(len(text)), 1, 2, 3, 4}
	for i := range len(text) {
		frame = append(frame, text[i]^frame[2+i%4])
	}
	if _, err := s.Write(frame); err != nil {
		return err
	}
	answer := make([]byte, 2+len(text))
	if _, err := io.ReadFull(s.r, answer); err != nil {
		return err
	}
	if want := "\x81" + string(rune(len(text))) + text; string(answer) != want {
		return fmt.Errorf("%q came back, want %q", answer, want)
	}
	return nil
}

// wantClosed waits for the end of the connection.
func (s *socket) wantClosed(t *testing.T) {
	t.Helper()
	if _, err := s.r.ReadByte(); err == nil {
		t.Fatal("more came")
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Fatal("still open")
	}
}

// wsUpstream echoes text frames. gone hears of each connection that is over.
func wsUpstream(t *testing.T, gone chan<- struct{}, answer ...string) (up *url.URL, got chan *http.Request) {
	got = make(chan *http.Request, 1000)
	if answer == nil {
		answer = []string{"Upgrade: WebSocket", "Connection: upgrade", "Sec-WebSocket-Accept: " + wsAccept}
	}
	return newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r
		if r.Header.Get("Upgrade") == "" {
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { conn.Close(); gone <- struct{}{} }()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n\r\n", strings.Join(answer, "\r\n"))
		for rw.Flush() == nil {
			head := make([]byte, 6)
			if _, err := io.ReadFull(rw, head); err != nil || head[0] != 0x81 {
				return
			}
			text := make([]byte, head[1]&0x7f)
			if _, err := io.ReadFull(rw, text); err != nil {
				return
			}
			for i := range text {
				text[i] ^= head[2+i%4]
			}
			if string(text) == "leave" {
				return
			}
			fmt.Fprintf(rw, "\x81%c%s", len(text), text)
		}
	}), got
}

func wsRoute(up *url.URL) *Route {
	return &Route{Path: "/", Upstream: up, Token: TokenUser, WebSocket: true}
}

// TestWebSocket: frames both ways, the token in the handshake, nothing but the handshake's own fields in the answer
// (PX-04, PX-20, PX-22).
func TestWebSocket(t *testing.T) {
	gone := make(chan struct{}, 1)
	up, got := wsUpstream(t, gone, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+wsAccept,
		"Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate", "Set-Cookie: "+ownCookie+"=x",
		"Set-Cookie: other=x", `Clear-Site-Data: "*"`, "Access-Control-Allow-Origin: *", "X-Upstream: x", "Keep-Alive: timeout=5")
	g := newGateway(t, alice, wsRoute(up))
	s := g.dial(t, append(wsHandshake, "Cookie: "+ownCookie+"=ticket; theme=dark", "Authorization: Bearer mine", "Te: trailers")...)
	if s.res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(s.res.Status)
	}
	for name, values := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Accept": wsAccept, "Sec-Websocket-Protocol": "chat",
		"Sec-Websocket-Extensions": "permessage-deflate", "Referrer-Policy": "from-the-gateway", "Vary": "Origin",
	} {
		if got := strings.Join(s.res.Header[name], "|"); got != values {
			t.Errorf("%s: %q, want %q", name, got, values)
		}
		delete(s.res.Header, name)
	}
	if len(s.res.Header) > 0 {
		t.Errorf("the browser got %v as well", s.res.Header)
	}
	in := receive(t, got)
	for name, values := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Authorization": "Bearer " + accessToken, "Cookie": "theme=dark",
		"Sec-Websocket-Key": wsKey, "Sec-Websocket-Version": "13", "Sec-Websocket-Protocol": "chat, superchat",
		"Sec-Websocket-Extensions": "permessage-deflate", "Te": "", "Origin": publicURL,
	} {
		if got := strings.Join(in.Header[name], "|"); got != values {
			t.Errorf("upstream got %s: %q, want %q", name, got, values)
		}
	}
	s.say(t, "hello")
	s.say(t, strings.Repeat("x", 125))
	s.Close()
	receive(t, gone)
}

// TestWebSocketUpstreamLeaves: what one side closes is closed for the other, without anybody having to speak first.
func TestWebSocketUpstreamLeaves(t *testing.T) {
	gone, released := make(chan struct{}, 1), make(chan struct{}, 1)
	up, _ := wsUpstream(t, gone)
	bind := func(*session.Session, context.CancelCauseFunc) (Bond, error) {
		return release(func() { released <- struct{}{} }), nil
	}
	g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Bind: bind}, wsRoute(up))
	s := g.dial(t, wsHandshake...)
	s.say(t, "hello")
	if _, err := s.Write([]byte{0x81, 0x85, 0, 0, 0, 0, 'l', 'e', 'a', 'v', 'e'}); err != nil {
		t.Fatal(err)
	}
	s.wantClosed(t)
	receive(t, gone)
	receive(t, released) // and the browser has closed nothing
}

// TestNoWebSocket is PX-03: whatever is not a handshake to the letter, or not on such a route, goes up without Upgrade,
// and a 101 does not come back.
func TestNoWebSocket(t *testing.T) {
	change := func(name, line string) []string {
		var fields []string
		for _, f := range wsHandshake {
			if !strings.HasPrefix(f, name+":") {
				fields = append(fields, f)
			}
		}
		if line != "" {
			fields = append(fields, line)
		}
		return fields
	}
	for name, fields := range map[string][]string{
		"h2c":               change("Upgrade", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
		"two protocols":     change("Upgrade", "Upgrade: websocket, h2c"),
		"two lines":         append(wsHandshake, "Upgrade: h2c"),
		"no upgrade":        change("Upgrade", ""),
		"not in Connection": change("Connection", "Connection: keep-alive"),
		"no Connection":     change("Connection", ""),
		"no key":            change("Sec-WebSocket-Key", ""),
		"two keys":          append(wsHandshake, "Sec-WebSocket-Key: "+wsKey),
		"short key":         change("Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="),
		"no base64":         change("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"),
		"old version":       change("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"),
		"a body":            append(wsHandshake, "Transfer-Encoding: chunked"),
	} {
		t.Run(name, func(t *testing.T) {
			up, got := wsUpstream(t, nil)
			g := newGateway(t, alice, wsRoute(up))
			text := "GET / HTTP/1.1\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
			if name == "a body" {
				text += "0\r\n\r\n"
			}
			if res := g.raw(t, text); res.StatusCode != http.StatusOK {
				t.Errorf("%s, want what the upstream says to an ordinary request", res.Status)
			}
			in := receive(t, got)
			for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
				if in.Header[name] != nil && !isOwnClose(strings.ToLower(name), in.Header[name]) {
					t.Errorf("upstream got %s: %q", name, in.Header[name])
				}
			}
		})
	}
	for name, request := range map[string]string{
		"POST":     "POST / HTTP/1.1\r\n" + strings.Join(wsHandshake, "\r\n") + "\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0": "GET / HTTP/1.0\r\n" + strings.Join(wsHandshake, "\r\n") + "\r\n\r\n",
	} {
		up, got := wsUpstream(t, nil)
		g := newGateway(t, alice, wsRoute(up))
		if res := g.raw(t, request); res.StatusCode != http.StatusOK || receive(t, got).Header["Upgrade"] != nil {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	up, got := wsUpstream(t, nil)
	g := newGateway(t, alice, &Route{Path: "/", Upstream: up, Token: TokenUser})
	if s := g.dial(t, wsHandshake...); s.res.StatusCode != http.StatusOK || receive(t, got).Header["Upgrade"] != nil {
		t.Errorf("another route: %s", s.res.Status)
	}
}

// TestFalseSwitch: an upstream that switches to something else is not connected to anybody (RFC 6455 §4.1).
func TestFalseSwitch(t *testing.T) {
	const upgrade, connection, accept = "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: " + wsAccept
	for name, answer := range map[string][]string{
		"no accept":          {upgrade, connection},
		"accept for another": {upgrade, connection, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
		"two accepts":        {upgrade, connection, accept, accept},
		"another protocol":   {"Upgrade: h2c", connection, accept},
		"no protocol":        {connection, accept},
		"not upgraded":       {upgrade, accept},
	} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{}, 1)
			up, _ := wsUpstream(t, gone, answer...)
			g := newGateway(t, alice, wsRoute(up))
			s := g.dial(t, wsHandshake...)
			g.wantProblem(t, s.res, problem.UpstreamUnavailable)
			receive(t, gone)
		})
	}
}

// TestHandshakeRefused: an upstream may say no, and its answer is an answer like any other.
func TestHandshakeRefused(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		http.Error(w, "no", http.StatusForbidden)
	})
	s := newGateway(t, alice, wsRoute(up)).dial(t, wsHandshake...)
	if s.res.StatusCode != http.StatusForbidden || s.res.Header.Get("Set-Cookie") != "" || body(t, s.res) != "no\n" {
		t.Errorf("%s %v", s.res.Status, s.res.Header)
	}
}

// binder ends the requests of a session, as a session.Manager does.
type binder struct {
	ctx context.Context
	end context.CancelCauseFunc
}

func newBinder(t *testing.T) *binder {
	ctx, end := context.WithCancelCause(context.Background())
	t.Cleanup(func() { end(nil) })
	return &binder{ctx, end}
}

func (b *binder) bind(_ *session.Session, end context.CancelCauseFunc) (Bond, error) {
	stop := context.AfterFunc(b.ctx, func() { end(context.Cause(b.ctx)) })
	return release(func() { stop() }), nil
}

// release is a Bond.
type release func()

func (r release) Release() { r() }

// TestWebSocketEnds is RPL-12 and PX-21: a WebSocket ends with its session, and when the server is about to stop. goleak
// looks for what is left of them.
func TestWebSocketEnds(t *testing.T) {
	for name, end := range map[string]func(b *binder, drain chan struct{}){
		"session": func(b *binder, _ chan struct{}) { b.end(session.ErrEnded) },
		"server":  func(_ *binder, drain chan struct{}) { close(drain) },
	} {
		t.Run(name, func(t *testing.T) {
			const many = 300
			gone, drain, b := make(chan struct{}, many), make(chan struct{}), newBinder(t)
			up, _ := wsUpstream(t, gone)
			g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Bind: b.bind, Draining: drain}, wsRoute(up))
			var sockets []*socket
			for range many {
				s := g.dial(t, wsHandshake...)
				s.say(t, "hello")
				sockets = append(sockets, s)
			}
			end(b, drain)
			since := time.Now()
			for _, s := range sockets {
				s.wantClosed(t)
				receive(t, gone)
			}
			if took := time.Since(since); took > time.Second {
				t.Errorf("all closed after %v", took)
			}
		})
	}
}

// TestWebSocketStuck: neither does one of a browser that takes nothing any more, and says nothing, outlive its session.
func TestWebSocketStuck(t *testing.T) {
	full, gone, released := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: %s\r\n\r\n", wsAccept)
		for err = rw.Flush(); err == nil; _, err = conn.Write(make([]byte, 1<<20)) {
			_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		}
		full <- struct{}{}
		_, _ = io.Copy(io.Discard, conn)
		gone <- struct{}{}
	})
	b := newBinder(t)
	bind := func(who *session.Session, end context.CancelCauseFunc) (Bond, error) {
		bond, err := b.bind(who, end)
		return release(func() { bond.Release(); released <- struct{}{} }), err
	}
	g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Bind: bind}, wsRoute(up))
	g.dial(t, wsHandshake...)
	receive(t, full)
	b.end(session.ErrEnded)
	receive(t, gone)
	receive(t, released)
}

// TestHandshakeDrained: a handshake under way when the server is about to stop is told so.
func TestHandshakeDrained(t *testing.T) {
	up, began, gone := hanging(t, nil)
	drain := make(chan struct{})
	g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Draining: drain}, wsRoute(up))
	go func() {
		<-began
		close(drain)
	}()
	p := g.wantProblem(t, g.dial(t, wsHandshake...).res, problem.UpstreamUnavailable)
	if !errors.Is(p, context.Canceled) { // nothing is wrong
		t.Error(p)
	}
	receive(t, gone)
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came in 10 seconds")
		panic("unreachable")
	}
}
