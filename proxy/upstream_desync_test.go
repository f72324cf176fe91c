package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDesync is RFC 9112 §9.2 and §11.1: after each exchange that is odd, and yet an answer, the next requests get their
// own answers, whatever bytes stand behind the first, over TCP and TLS. next is how many connections have carried requests.
func TestDesync(t *testing.T) {
	const other = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
	for name, c := range map[string]struct {
		method, odd string
		later       bool // other comes after the answer has been read, and not together with it
		next        int64
	}{
		"plain":               {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, 1},
		"chunks":              {"GET", chunkedHead + "2\r\nok\r\n0\r\n\r\n", false, 1},
		"trailers":            {"GET", chunkedHead + "2;a=b\r\nok\r\n0\r\nX-A: b\r\n\r\n", false, 1},
		"interim":             {"GET", "HTTP/1.1 103 Hi\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, 1},
		"HEAD":                {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", false, 1},
		"HEAD in chunks":      {"HEAD", chunkedHead, false, 1},
		"304":                 {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", false, 1},
		"behind a length":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + other, false, 2},
		"behind chunks":       {"GET", chunkedHead + "2\r\nok\r\n0\r\n\r\n" + other, false, 2},
		"behind no body":      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + other, false, 2},
		"one byte behind":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\n", false, 2},
		"HEAD with a body":    {"HEAD", other, false, 2},
		"204 with a body":     {"GET", "HTTP/1.1 204 No Content\r\n\r\n" + other, false, 2},
		"304 with a body":     {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + other, false, 2},
		"later, after length": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, 2},
		"later, after chunks": {"GET", chunkedHead + "2\r\nok\r\n0\r\n\r\n", true, 2},
		"later, after HEAD":   {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", true, 2},
		"later, after 204":    {"GET", "HTTP/1.1 204 No Content\r\n\r\n", true, 2},
	} {
		for kind, wires := range wireKinds {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				read, sent := make(chan struct{}), make(chan struct{})
				s, tr := wires.make(t, func(conn net.Conn, r *http.Request, _ int64) bool {
					if r.URL.Path != "/odd" {
						return answer(conn, r.URL.Path)
					}
					_, _ = io.WriteString(conn, c.odd)
					if c.later {
						<-read
						_, _ = io.WriteString(conn, other)
						close(sent)
					}
					return true
				})
				if _, text, err := send(t, tr, c.method, s.url+"/odd", ""); err != nil || text != "" && text != "ok" {
					t.Fatalf("%q %v", text, err)
				}
				close(read)
				if c.later {
					<-sent // over loopback it is there now
				}
				for i := range 3 {
					path := fmt.Sprint("/", i)
					if _, text, err := send(t, tr, "POST", s.url+path, "x"); err != nil || text != path {
						t.Fatalf("%s got %q %v", path, text, err)
					}
				}
				if n := s.conns.Load() - wires.asked; n != c.next {
					t.Errorf("%d connections, want %d", n, c.next)
				}
			})
		}
	}
}

// TestBodyGivenUp: a body that is closed early takes its connection with it, unless all of it is there already.
func TestBodyGivenUp(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		answer string
		read   int // bytes, before Close
		conns  int64
	}{
		"small":           {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nwhole", 0, 1},
		"most of it read": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", 4, 1},
		"one behind":      {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwhole", 0, 2},
		"big":             {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(big), big), 10, 2},
		"not all there":   {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwhole", 1, 2},
		"chunks":          {chunkedHead + "5\r\nwhole\r\n0\r\n\r\n", 1, 2},
		"to the end":      {"HTTP/1.1 200 OK\r\n\r\nwhole", 1, 2},
	} {
		s := newWire(t, func(conn net.Conn, r *http.Request, _ int64) bool {
			if r.URL.Path != "/odd" {
				return answer(conn, r.URL.Path)
			}
			_, err := io.WriteString(conn, c.answer)
			return err == nil
		})
		tr := newTestTransport(t)
		res, err := tr.RoundTrip(newRequest(t, "GET", s.url+"/odd", ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, c.read)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := res.Body.Close(); err != nil {
				t.Error(err)
			}
		}
		if n, err := res.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("%s: %d %v", name, n, err)
		}
		if _, text, err := send(t, tr, "GET", s.url+"/next", ""); text != "/next" || err != nil || s.conns.Load() != c.conns {
			t.Errorf("%s: then %q %v, %d connections", name, text, err, s.conns.Load())
		}
	}
}

// TestCloseDuringRead: whoever waits for a body is not alone with it.
func TestCloseDuringRead(t *testing.T) {
	s := newWire(t, func(conn net.Conn, _ *http.Request, _ int64) bool {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwhole")
		return true
	})
	res, err := newTestTransport(t).RoundTrip(newRequest(t, "GET", s.url, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	go res.Body.Close()
	if _, err := res.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Error(err)
	}
}

// TestCancel: a request ends with its context, wherever it is, and for its reason; a context that ends after the request
// does nothing to the next one on the same connection.
func TestCancel(t *testing.T) {
	arrived := make(chan struct{}, 1)
	s := newWire(t, func(conn net.Conn, r *http.Request, _ int64) bool {
		switch r.URL.Path {
		case "/silent":
			arrived <- struct{}{}
			_, _ = conn.Read(make([]byte, 1)) // until the other side closes
			return false
		case "/half":
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-")
			arrived <- struct{}{}
			return true
		}
		return answer(conn, r.URL.Path)
	})
	reason := errors.New("reason")
	tr := newTestTransport(t)
	for _, path := range []string{"/silent", "/half", "/never"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if path == "/never" {
			cancel(reason)
		} else {
			go func() { <-arrived; cancel(reason) }()
		}
		if _, err := tr.RoundTrip(newRequest(t, "GET", s.url+path, "").WithContext(ctx)); !errors.Is(err, reason) {
			t.Errorf("%s: %v", path, err)
		}
	}
	before := s.conns.Load()
	for i := range 300 {
		path := fmt.Sprint("/", i)
		ctx, cancel := context.WithCancel(t.Context())
		res, err := tr.RoundTrip(newRequest(t, "POST", s.url+path, "").WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(res.Body); err != nil || string(text) != path {
			t.Fatalf("%s: %q %v", path, text, err)
		}
		cancel()
	}
	if n := s.conns.Load() - before; n != 1 {
		t.Errorf("%d connections", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	go func() { <-arrived }()
	var network net.Error
	if _, err := tr.RoundTrip(newRequest(t, "GET", s.url+"/silent", "").WithContext(ctx)); !errors.As(err, &network) || !network.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
}

// slowConn takes its time to close, when it is first asked to.
type slowConn struct {
	*net.TCPConn
	asked, let chan struct{}
	once       sync.Once
}

func (c *slowConn) Close() error {
	first := false
	c.once.Do(func() { first = true })
	if first {
		close(c.asked)
		<-c.let
	}
	return c.TCPConn.Close()
}

// TestCancelLate: a connection that a context is about to close goes to nobody else.
func TestCancelLate(t *testing.T) {
	s := newWire(t, func(conn net.Conn, _ *http.Request, _ int64) bool { return answer(conn, "ok") })
	tr := newTestTransport(t)
	asked, let := make(chan struct{}), make(chan struct{})
	dial, dials := tr.plain.dial, 0
	tr.plain.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if dials++; err != nil || dials > 1 {
			return conn, err
		}
		return &slowConn{TCPConn: conn.(*net.TCPConn), asked: asked, let: let}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	res, err := tr.RoundTrip(newRequest(t, "GET", s.url, "").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-asked
	if text := body(t, res); text != "ok" { // it is there, with the header
		t.Errorf("%q", text)
	}
	if _, text, err := send(t, tr, "GET", s.url, ""); text != "ok" || err != nil || s.conns.Load() != 2 {
		t.Errorf("%q %v, %d connections", text, err, s.conns.Load())
	}
	close(let)
}

// TestCancelWrite: an upstream that takes nothing holds up nobody.
func TestCancelWrite(t *testing.T) {
	there, here := net.Pipe() // without a buffer
	defer there.Close()
	tr := newTestTransport(t)
	tr.plain.dial = func(context.Context, string, string) (net.Conn, error) { return here, nil }
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = there.Read(make([]byte, 1))
		cancel()
	}()
	if _, err := tr.RoundTrip(newRequest(t, "POST", "http://upstream.example/", "x").WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestManyAtOnce: requests of all kinds, some cancelled anywhere, over connections that the server closes as it likes.
// Each answer that comes is that of its request, and whole.
func TestManyAtOnce(t *testing.T) {
	for kind, wires := range wireKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, tr := wires.make(t, manyAnswers)
			manyAtOnce(t, s, tr)
		})
	}
}

func manyAnswers(conn net.Conn, r *http.Request, _ int64) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	text := r.URL.Path + string(body)
	text = strings.Repeat(text, 1+rand.IntN(3)*rand.IntN(50))
	switch rand.IntN(8) {
	case 0:
		return false
	case 1:
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text[:rand.IntN(len(text))])
		return false
	case 2:
		fmt.Fprintf(conn, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sHTTP/1.1 200 OK\r\n\r\n", len(text), text)
		return true
	case 3, 4:
		half := rand.IntN(len(text)-1) + 1
		fmt.Fprintf(conn, "%s%x\r\n%s\r\n%x\r\n%s\r\n0\r\nX-A: b\r\n\r\n", chunkedHead, half, text[:half], len(text)-half, text[half:])
		return rand.IntN(4) > 0
	}
	return answer(conn, text) && rand.IntN(4) > 0
}

func manyAtOnce(t *testing.T, s *wire, tr *Transport) {
	begun := time.Now()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		answers int
	)
	for worker := range 16 {
		wg.Go(func() {
			for i := 0; i < 250 && time.Since(begun) < 4*time.Second; i++ {
				path := fmt.Sprintf("/%d/%d/", worker, i)
				body := strings.Repeat("b", rand.IntN(2)*rand.IntN(5000))
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(3) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(500))*time.Microsecond, cancel)
				}
				res, err := tr.RoundTrip(newRequest(t, []string{"GET", "POST"}[rand.IntN(2)], s.url+path, body).WithContext(ctx))
				if err != nil {
					cancel()
					continue
				}
				text, err := io.ReadAll(res.Body)
				if !strings.HasPrefix(path+body, string(text)) && !strings.HasPrefix(string(text), path+body) {
					t.Errorf("%s got the answer %.40q", path, text)
				}
				if err == nil {
					if strings.Repeat(path+body, len(text)/len(path+body)) != string(text) {
						t.Errorf("%s: not whole", path)
					}
					mu.Lock()
					answers++
					mu.Unlock()
				}
				res.Body.Close()
				cancel()
			}
		})
	}
	wg.Wait()
	if answers < 100 {
		t.Errorf("%d answers only", answers)
	}
}
