package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestUnwritable is PX-17: nothing in a request makes two of it.
func TestUnwritable(t *testing.T) {
	for name, edit := range map[string]func(*http.Request){
		"method with a blank":       func(r *http.Request) { r.Method = "GET /admin HTTP/1.1\r\nX:" },
		"CRLF in the query":         func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1\r\nX: y" },
		"blank in the query":        func(r *http.Request) { r.URL.RawQuery = "a b" },
		"DEL in the query":          func(r *http.Request) { r.URL.RawQuery = "a\x7f" },
		"no slash":                  func(r *http.Request) { r.URL.Path = "admin" },
		"no path, but a star":       func(r *http.Request) { r.URL.Path = "*" },
		"blank in the host":         func(r *http.Request) { r.Host = "a b" },
		"CRLF in the host":          func(r *http.Request) { r.Host = "a\r\nX: y" },
		"slash in the host":         func(r *http.Request) { r.Host = "a/b" },
		"no host":                   func(r *http.Request) { r.Host, r.URL.Host = "", "" },
		"CRLF in a value":           func(r *http.Request) { r.Header["X-A"] = []string{"a\r\nX-B: c"} },
		"LF in a second value":      func(r *http.Request) { r.Header["X-A"] = []string{"a", "b\nX-B: c"} },
		"NUL in a value":            func(r *http.Request) { r.Header["X-A"] = []string{"\x00"} },
		"blank in a name":           func(r *http.Request) { r.Header["X-A "] = []string{"a"} },
		"colon in a name":           func(r *http.Request) { r.Header["X-A: b\r\nX-B"] = []string{"a"} },
		"empty name":                func(r *http.Request) { r.Header[""] = []string{"a"} },
		"body shorter than it said": func(r *http.Request) { r.ContentLength = 6 },
		"body longer than it said":  func(r *http.Request) { r.ContentLength = 4 },
	} {
		req := newRequest(t, "POST", "http://127.0.0.1:1/", "12345")
		closed := &closeCounter{Reader: req.Body}
		req.Body = closed
		edit(req)
		if _, err := newTestTransport(t).plain.RoundTrip(req); err == nil || strings.Contains(err.Error(), "dial") {
			t.Errorf("%s: %v", name, err)
		}
		if closed.n != 1 {
			t.Errorf("%s: the body was closed %d times", name, closed.n)
		}
	}
}

// closeCounter is the body of a request. The transport closes it, whatever becomes of the request.
type closeCounter struct {
	io.Reader
	n int
}

func (c *closeCounter) Close() error { c.n++; return nil }

func newRequest(t *testing.T, method, address, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestOneFraming: fields that say something else about the message are not sent, in whatever case.
func TestOneFraming(t *testing.T) {
	req := newRequest(t, "POST", "http://upstream.example/", "12345")
	for _, name := range []string{"Host", "host", "Content-Length", "content-LENGTH", "Transfer-Encoding", "transfer-encoding", "Trailer"} {
		req.Header[name] = []string{"marker"}
	}
	req.Header["User-Agent"] = []string{""}
	got, err := appendRequest(nil, req)
	if want := "POST / HTTP/1.1\r\nHost: upstream.example\r\nContent-Length: 5\r\n\r\n12345"; string(got) != want || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// TestBrokenOwnBody: the error of a body that cannot be read is the one that its reader gave.
func TestBrokenOwnBody(t *testing.T) {
	req := newRequest(t, "POST", "http://upstream.example/", "12345")
	broken := errors.New("broken")
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("123"), readerFunc(func([]byte) (int, error) { return 0, &bodyError{broken} })))
	_, err := NewTransport().RoundTrip(req)
	var body *bodyError
	if !errors.As(err, &body) || !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// FuzzRequest: what is written, net/http's server reads as the same request, and as one.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a/b", "/a/b", "q=1", "upstream:80", "X-A", "value", "")
	f.Add("POST", "/ä|", "/%C3%A4%7C", "", "127.0.0.1", "Content-Length", "3", "hello")
	f.Add("PUT", "", "", "", "[::1]:8080", "transfer-encoding", "chunked", "0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
	f.Add("OPTIONS", "*", "*", "a b", "h", "User-Agent", "", "")
	f.Add("GET / HTTP/1.1\r\nX: y", "/\r\n", "/%0d%0a", "\r\n", "a\r\nb", "a\r\nb", "a\r\nb", "")
	f.Add("DELETE", "//a", "//a", "?", "h", "X-A", " \tx\xff\t ", "x")
	f.Fuzz(func(t *testing.T, method, path, rawPath, query, host, name, value, body string) {
		out := &http.Request{
			Method: method, Host: host, ContentLength: int64(len(body)),
			URL:    &url.URL{Scheme: "http", Host: host, Path: path, RawPath: rawPath, RawQuery: query},
			Header: http.Header{name: {value}},
			Body:   io.NopCloser(strings.NewReader(body)),
		}
		b, err := appendRequest(nil, out)
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(b))
		in, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if method == "" {
			method = http.MethodGet
		}
		got, err := io.ReadAll(in.Body)
		if err != nil || string(got) != body || in.Method != method || in.RequestURI != out.URL.RequestURI() || in.Host != host {
			t.Fatalf("%q: %v", b, err)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Fatalf("%q: something is left", b)
		}
		delete(in.Header, "Content-Length")
		if http.CanonicalHeaderKey(name) == "Pragma" {
			delete(in.Header, "Cache-Control") // which net/http adds
		}
		if isMessageField(name) || name == "User-Agent" && value == "" {
			if len(in.Header) > 0 {
				t.Fatalf("%q: %q", b, in.Header)
			}
			return
		}
		if v := in.Header[http.CanonicalHeaderKey(name)]; len(in.Header) != 1 || len(v) != 1 || v[0] != strings.Trim(value, " \t") {
			t.Fatalf("%q: %q", b, in.Header)
		}
	})
}
