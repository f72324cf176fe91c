package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session/problem"
)

// upstreamKinds are the protocols that upstreams speak.
var upstreamKinds = []string{"HTTP/1.1", "h2c", "h2"}

// newUpstreamOf starts an upstream that speaks one protocol, and returns a transport that trusts it.
func newUpstreamOf(t *testing.T, kind string, h http.HandlerFunc) (*url.URL, *Transport) {
	t.Helper()
	transport := newTestTransport(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind != "HTTP/1.1" && r.ProtoMajor == 1 {
			panic(http.ErrAbortHandler) // net/http takes HTTP/1 all the same
		}
		h(w, r)
	}))
	s.Config.ErrorLog = discardLog
	switch kind {
	case "HTTP/1.1":
		s.Start()
	case "h2c":
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		s.URL = strings.Replace(s.URL, "http:", "h2c:", 1)
	case "h2":
		s.EnableHTTP2 = true
		s.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(s.Certificate())
		transport.tls.config.RootCAs = roots
	}
	t.Cleanup(s.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return mustParse(t, s.URL), transport
}

// everyWay runs a test for HTTP/1 and HTTP/2 from the browser, and each protocol to the upstream.
func everyWay(t *testing.T, h http.HandlerFunc, test func(t *testing.T, s *httptest.Server)) {
	for _, kind := range upstreamKinds {
		for proto := 1; proto <= 2; proto++ {
			t.Run(fmt.Sprintf("HTTP/%d in, %s up", proto, kind), func(t *testing.T) {
				up, transport := newUpstreamOf(t, kind, func(w http.ResponseWriter, r *http.Request) {
					if (kind == "HTTP/1.1") != (r.ProtoMajor == 1) {
						t.Errorf("the upstream was asked in %s", r.Proto)
					}
					h(w, r)
				})
				g := newGatewayWith(t, alice, Options{Transport: transport},
					&Route{Path: "/", Upstream: up, Token: TokenUser, Timeout: time.Minute, MaxBody: 1 << 20})
				test(t, g.over(t, proto))
			})
		}
	}
}

// TestEventsAtOnce: each event is at the browser before the next is sent, as it is and compressed, and a long poll is
// answered when the upstream answers.
func TestEventsAtOnce(t *testing.T) {
	next := make(chan string)
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flush := http.NewResponseController(w).Flush
		out := io.Writer(w)
		if r.URL.Path == "/compressed" {
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			out, flush = zip, func() error {
				_ = zip.Flush()
				return http.NewResponseController(w).Flush()
			}
			defer zip.Close()
		}
		for event := range next {
			if event == "" {
				return
			}
			fmt.Fprintf(out, "data: %s\n\n", event)
			_ = flush()
			if r.URL.Path == "/poll" {
				return
			}
		}
	}, func(t *testing.T, s *httptest.Server) {
		for _, path := range []string{"/plain", "/compressed", "/poll"} {
			go func() { next <- "0" }()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept-Encoding", "gzip") // or the client would do it by itself
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			in := io.Reader(res.Body)
			if path == "/compressed" {
				if in, err = gzip.NewReader(in); err != nil {
					t.Fatal(err)
				}
			}
			lines := bufio.NewScanner(in)
			for i := range 5 {
				lines.Scan()
				if want := fmt.Sprintf("data: %d", i); lines.Text() != want {
					t.Fatalf("%s: got %q, want %q: %v", path, lines.Text(), want, lines.Err())
				}
				lines.Scan()
				if path == "/poll" {
					break
				}
				next <- fmt.Sprint(i + 1)
			}
			if path != "/poll" {
				lines.Scan()
				lines.Scan()
				next <- ""
			}
			if lines.Scan() || lines.Err() != nil {
				t.Errorf("%s: after the end %q, %v", path, lines.Text(), lines.Err())
			}
			res.Body.Close()
			cancel()
		}
	})
}

// TestClientLeaves: the upstream learns of it within a second, whatever is under way.
func TestClientLeaves(t *testing.T) {
	began, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/answering":
			fmt.Fprint(w, "the beginning")
			_ = http.NewResponseController(w).Flush()
		case "/uploading":
			_, _ = io.ReadFull(r.Body, make([]byte, 5))
		}
		began <- struct{}{}
		if r.URL.Path == "/uploading" {
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				t.Error("half an upload looks complete")
			}
		} else {
			<-r.Context().Done()
		}
		gone <- struct{}{}
	}, func(t *testing.T, s *httptest.Server) {
		for _, path := range []string{"/waiting", "/answering", "/uploading"} {
			ctx, leave := context.WithCancel(t.Context())
			method, body := http.MethodGet, io.Reader(nil)
			pr, pw := io.Pipe()
			if path == "/uploading" {
				go func() { _, _ = io.WriteString(pw, "hello") }()
				method, body = http.MethodPut, pr
			}
			req, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
			if err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				if res, err := s.Client().Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			}()
			receive(t, began)
			since := time.Now()
			leave()
			pw.CloseWithError(context.Canceled) // which net/http waits for
			receive(t, gone)
			if took := time.Since(since); took > time.Second {
				t.Errorf("%s: the upstream learnt of it after %v", path, took)
			}
			receive(t, over)
		}
	})
}

// TestGRPCWeb: a call of gRPC-Web (PROTOCOL-WEB.md) passes, message by message, with its trailers, which are the last frame
// of the body. Those of gRPC itself are fields of the message, and do not (PX-27).
func TestGRPCWeb(t *testing.T) {
	frame := func(kind byte, text string) string {
		return string([]byte{kind, 0, 0, 0, byte(len(text))}) + text
	}
	const data, trailers = 0, 0x80
	call := frame(data, "\x0a\x05\x00\xff\x80hi")
	first, last := frame(data, "\x00\x01\xfe\xff"), frame(trailers, "grpc-status: 0\r\ngrpc-message: \r\n")
	next := make(chan struct{})
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != call || r.Header.Get("Content-Type") != "application/grpc-web+proto" || r.Header.Get("X-Grpc-Web") != "1" {
			t.Errorf("the upstream got %q, %v and %v", b, err, r.Header)
		}
		w.Header().Set("Content-Type", "application/grpc-web+proto")
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(w, first)
		_ = http.NewResponseController(w).Flush()
		<-next
		_, _ = io.WriteString(w, last)
		w.Header().Set("Grpc-Status", "0")
	}, func(t *testing.T, s *httptest.Server) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/pkg.Service/Method", strings.NewReader(call))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc-web+proto")
		req.Header.Set("X-Grpc-Web", "1")
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got := make([]byte, len(first))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != first {
			t.Fatalf("the first message: %q, %v", got, err)
		}
		next <- struct{}{}
		if rest := body(t, res); rest != last || res.Header.Get("Content-Type") != "application/grpc-web+proto" || len(res.Trailer) > 0 {
			t.Errorf("then %q, %v, trailers %v", rest, res.Header, res.Trailer)
		}
	})
}

// TestBodyLimitEveryWay is PX-34: max_body, announced and not.
func TestBodyLimitEveryWay(t *testing.T) {
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}, func(t *testing.T, s *httptest.Server) {
		for _, announced := range []bool{true, false} {
			for size, want := range map[int]int{1 << 20: http.StatusOK, 1<<20 + 1: http.StatusRequestEntityTooLarge} {
				var b io.Reader = bytes.NewReader(make([]byte, size))
				if !announced {
					b = io.MultiReader(b)
				}
				res, _ := ask(t, s, http.MethodPut, "/", b)
				if text := body(t, res); res.StatusCode != want || want == http.StatusOK && text != fmt.Sprint(size) {
					t.Errorf("%d bytes, announced %v: %s %s", size, announced, res.Status, text)
				}
			}
		}
	})
}

// TestWebSocketNeedsHTTP1: an upstream that speaks HTTP/2 only has no WebSockets, as far as we know how (RFC 8441).
func TestWebSocketNeedsHTTP1(t *testing.T) {
	for _, kind := range upstreamKinds[1:] {
		up, transport := newUpstreamOf(t, kind, func(http.ResponseWriter, *http.Request) {})
		rt := wsRoute(up)
		rt.Timeout = time.Minute
		g := newGatewayWith(t, alice, Options{Transport: transport}, rt)
		g.wantProblem(t, g.dial(t, wsHandshake...).res, problem.UpstreamUnavailable)
		g.wantProblem(t, g.dial(t, wsHandshake...).res, problem.UpstreamUnavailable)
		res, _ := ask(t, g.over(t, 2), http.MethodGet, "/", nil) // an ordinary request, to the same upstream
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", kind, res.Status)
		}
	}
}

// TestExpectContinue is RFC 9110 §10.1.1: a client that asks whether to send its body is told so when somebody wants it, and
// a request that is refused is refused without. What then follows on the connection is not taken for another request.
func TestExpectContinue(t *testing.T) {
	const long = 100 << 10 // more than is read before the upstream is asked
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	for name, test := range map[string]struct {
		path   string
		length int
		who    bool
		status int
		told   bool // to go on
	}{
		"a short body":            {"/", 100, true, http.StatusOK, true},
		"a long body":             {"/", long, true, http.StatusOK, true},
		"without a token":         {"/public/", long, true, http.StatusOK, true},
		"not signed in":           {"/", 100, false, http.StatusUnauthorized, false},
		"not signed in, long":     {"/", long, false, http.StatusUnauthorized, false},
		"too long":                {"/", 2 << 20, true, http.StatusRequestEntityTooLarge, false},
		"refused by the upstream": {"/refused", long, true, http.StatusForbidden, false},
		"no route leads there":    {"/../", long, true, http.StatusBadRequest, false},
		"another method than has": {"/get/", long, true, http.StatusMethodNotAllowed, false},
	} {
		t.Run(name, func(t *testing.T) {
			who := alice
			if !test.who {
				who = nil
			}
			g := newGateway(t, who,
				&Route{Path: "/", Upstream: up, Token: TokenUser, MaxBody: 1 << 20},
				&Route{Path: "/public/", Upstream: up, Token: TokenNone},
				&Route{Path: "/get/", Upstream: up, Token: TokenNone, Methods: []string{"GET"}})
			conn := g.send(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", test.path, test.length))
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if told := res.StatusCode == http.StatusContinue; told != test.told {
				t.Fatalf("first %s", res.Status)
			}
			if test.told {
				if _, err := conn.Write(make([]byte, test.length)); err != nil {
					t.Fatal(err)
				}
				if res, err = http.ReadResponse(in, nil); err != nil {
					t.Fatal(err)
				}
			}
			text := body(t, res)
			if res.StatusCode != test.status || test.told && text != fmt.Sprint(test.length) {
				t.Errorf("%s %q", res.Status, text)
			}
			// A client that was not told to go on need not send the body, so that nobody knows what comes next.
			if res.Close == test.told {
				t.Errorf("the connection is to be closed: %v", res.Close)
			}
			if !test.told {
				_, _ = conn.Write(make([]byte, test.length))
			}
			_, _ = io.WriteString(conn, "GET /get/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if res, err = http.ReadResponse(in, nil); (err == nil) != test.told {
				t.Errorf("the next request: %v, %v", res, err)
			}
		})
	}
}
