package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wire is an upstream that answers as a test wants it to, byte by byte. serve gets each request, the connection that
// it came on and the number of that connection, from 1. When serve returns false the connection is closed.
type wire struct {
	url   string
	conns atomic.Int64
}

func newWire(t *testing.T, serve func(conn net.Conn, r *http.Request, nth int64) bool) *wire {
	t.Helper()
	l := listen(t)
	return newWireOn(t, l, "http://"+l.Addr().String(), serve)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newWireOn(t *testing.T, l net.Listener, url string, serve func(conn net.Conn, r *http.Request, nth int64) bool) *wire {
	t.Helper()
	s := &wire{url: url}
	over := make(chan struct{})
	t.Cleanup(func() { l.Close(); close(over) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			nth := s.conns.Add(1)
			go func() { <-over; conn.Close() }()
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil || !serve(conn, r, nth) {
						return
					}
				}
			}()
		}
	}()
	return s
}

// answer writes an answer whose body is the text.
func answer(conn net.Conn, text string) bool {
	_, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	return err == nil
}

// send makes a request and reads the answer to its end. No test waits for longer than ten seconds.
func send(t *testing.T, rt http.RoundTripper, method, url, body string, fields ...string) (*http.Response, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res, string(text), err
}

// TestIsWhole: what net/http carries, and what a connection of our own.
func TestIsWhole(t *testing.T) {
	whole := func(edit func(*http.Request)) bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1/", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		edit(req)
		return isWhole(req)
	}
	for name, edit := range map[string]func(*http.Request){
		"in memory":     func(*http.Request) {},
		"as long as":    func(r *http.Request) { r.ContentLength = heldBody },
		"no body":       func(r *http.Request) { r.Body, r.ContentLength = nil, 0 },
		"explicitly no": func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 },
	} {
		if !whole(edit) {
			t.Errorf("%s: no", name)
		}
	}
	for name, edit := range map[string]func(*http.Request){
		"too long":          func(r *http.Request) { r.ContentLength = heldBody + 1 },
		"streamed":          func(r *http.Request) { r.GetBody = nil },
		"unknown length":    func(r *http.Request) { r.ContentLength = -1 },
		"length, no body":   func(r *http.Request) { r.Body = nil },
		"upgrade":           func(r *http.Request) { r.Header.Set("Upgrade", "websocket") },
		"expectation":       func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
		"trailer":           func(r *http.Request) { r.Trailer = http.Header{"X-A": nil} },
		"coding":            func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
		"tunnel":            func(r *http.Request) { r.Method = http.MethodConnect },
		"zone of an IPv6":   func(r *http.Request) { r.URL.Host = "[fe80::1%eth0]:80" },
		"name in Unicode":   func(r *http.Request) { r.URL.Host = "bücher.example" },
		"opaque":            func(r *http.Request) { r.URL.Opaque = "//other/" },
		"control in a host": func(r *http.Request) { r.URL.Host = "a\r\nb" },
	} {
		if whole(edit) {
			t.Errorf("%s: yes", name)
		}
	}
}

// TestPlain: requests and answers of all kinds, as with net/http, and all over one connection.
func TestPlain(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header()["X-Twice"] = []string{r.RequestURI, r.RemoteAddr}
		w.Header().Set("Trailer", "X-After")
		switch r.URL.Path {
		case "/chunked":
			_, _ = w.Write(got[:1])
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(got[1:])
		case "/204", "/304":
			var status int
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
			w.WriteHeader(status)
		case "/103":
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = w.Write(got)
		default:
			w.Header().Set("Content-Length", fmt.Sprint(len(got)))
			_, _ = w.Write(got)
		}
		w.Header().Set("X-After", "dropped")
	})
	tr, theirs := newTestTransport(t), &http.Transport{DisableCompression: true}
	t.Cleanup(theirs.CloseIdleConnections)
	var address string
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/", ""},
		{"GET", "", ""},
		{"GET", "/a%7Cb/%C3%A4?q=%zz;b", ""},
		{"GET", "/?", ""},
		{"POST", "/", "hello"},
		{"POST", "/", ""},
		{"PUT", "/", strings.Repeat("x", heldBody)},
		{"DELETE", "/", "body"},
		{"POST", "/chunked", "chunks of different sizes"},
		{"POST", "/chunked", strings.Repeat("y", heldBody)},
		{"HEAD", "/", ""},
		{"HEAD", "/chunked", "body"},
		{"GET", "/204", ""},
		{"GET", "/304", ""},
		{"OPTIONS", "/", ""},
		{"POST", "/103", "after a hint"},
	} {
		name := c.method + " " + c.path
		want, wantText, err := send(t, theirs, c.method, up.String()+c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		got, text, err := send(t, tr, c.method, up.String()+c.path, c.body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if text != wantText {
			t.Errorf("%s: body of %d bytes, want %d", name, len(text), len(wantText))
		}
		twice := got.Header["X-Twice"]
		if len(twice) != 2 || address != "" && twice[1] != address {
			t.Fatalf("%s: fields %q, want the connection %s again", name, twice, address)
		}
		address = twice[1]
		want.Header["X-Twice"][1] = address
		for _, res := range []*http.Response{got, want} {
			delete(res.Header, "Date")
			res.Body, res.Request, res.Trailer = nil, nil, nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

const keptOpen = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// TestCloses: connections end where one side says so, or where only their end is that of the body.
func TestCloses(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		edit   func(*http.Request)
	}{
		"answer says so":    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nok", func(*http.Request) {}},
		"HTTP/1.0":          {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", func(*http.Request) {}},
		"request has it":    {keptOpen, func(r *http.Request) { r.Close = true }},
		"request's field":   {keptOpen, func(r *http.Request) { r.Header.Set("Connection", "close") }},
		"one of its fields": {keptOpen, func(r *http.Request) { r.Header.Set("Connection", "x, CLOSE") }},
	} {
		s := newWire(t, func(conn net.Conn, _ *http.Request, _ int64) bool {
			_, _ = io.WriteString(conn, c.answer)
			return true
		})
		tr := newTestTransport(t)
		for range 2 {
			req := newRequest(t, "GET", s.url, "")
			c.edit(req)
			res, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if text := body(t, res); text != "ok" {
				t.Errorf("%s: %q", name, text)
			}
		}
		if n := s.conns.Load(); n != 2 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
	s := newWire(t, func(conn net.Conn, _ *http.Request, _ int64) bool {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nto the end")
		return false
	})
	res, text, err := send(t, newTestTransport(t), "GET", s.url, "")
	if err != nil || text != "to the end" || !res.Close || res.ContentLength != -1 {
		t.Errorf("%q %v %+v", text, err, res)
	}
}

// TestEarlyAnswer: an upstream that refuses a body without reading it is heard, however rudely it leaves.
func TestEarlyAnswer(t *testing.T) {
	for _, linger := range []int{-1, 0} { // 0 is a reset instead of an orderly end
		s := newWire(t, func(conn net.Conn, _ *http.Request, _ int64) bool {
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!")
			_ = conn.(*net.TCPConn).SetLinger(linger)
			return linger < 0 && conn.(*net.TCPConn).CloseWrite() != nil
		})
		tr := newTestTransport(t)
		for range 20 {
			res, text, err := send(t, tr, "POST", s.url, strings.Repeat("x", heldBody))
			if linger < 0 && (err != nil || res.StatusCode != http.StatusRequestEntityTooLarge || text != "no!") {
				t.Fatalf("%v %q", err, text)
			}
			if linger == 0 && err == nil && text != "no!" { // a reset may overtake the answer
				t.Fatalf("%q", text)
			}
		}
	}
}

// TestCutOff: an answer that is not whole is never taken for one.
func TestCutOff(t *testing.T) {
	for _, cut := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf", "HTTP/1.1 100 Continue\r\n\r\n",
		chunkedHead, chunkedHead + "5\r\nhalf", chunkedHead + "4\r\nhalf\r\n", chunkedHead + "4\r\nhalf\r\n0\r\n",
		chunkedHead + "4\r\nhalf\r\n0\r\nX-A: b\r\n",
	} {
		s := newWire(t, func(conn net.Conn, _ *http.Request, _ int64) bool {
			_, _ = io.WriteString(conn, cut)
			return false
		})
		if _, text, err := send(t, newTestTransport(t), "GET", s.url, ""); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %q %v", cut, text, err)
		}
	}
}

// TestStreams: what has come is passed on before the rest is there.
func TestStreams(t *testing.T) {
	for name, c := range map[string]struct{ head, part string }{
		"chunked":       {"Transfer-Encoding: chunked\r\n", "4\r\npart\r\n"},
		"whole chunk":   {"Transfer-Encoding: chunked\r\n", "4\r\npart\r\n0\r\n"}, // but not the end of the trailers
		"length":        {"Content-Length: 1000\r\n", "part"},
		"to the end":    {"", "part"},
		"half the size": {"Transfer-Encoding: chunked\r\n", "8\r\npart"},
	} {
		s := newWire(t, func(conn net.Conn, _ *http.Request, _ int64) bool {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n%s", c.head, c.part)
			return true
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := newTestTransport(t).RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		part := make([]byte, len("part"))
		if _, err := io.ReadFull(res.Body, part); err != nil || string(part) != "part" {
			t.Errorf("%s: %q %v", name, part, err)
		}
		go cancel()
		if _, err := res.Body.Read(part); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		res.Body.Close()
	}
}
