package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestUpstreamDead: nobody listens.
func TestUpstreamDead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	g := newGateway(t, alice, &Route{Path: "/", Upstream: mustParse(t, "http://"+l.Addr().String()), Token: TokenUser})
	p := g.wantProblem(t, g.get(t, "/"), problem.UpstreamUnavailable)
	if p.Err == nil || p.Detail != "" || strings.Contains(p.Error(), accessToken) {
		t.Errorf("%v", p)
	}
	g.wantProblem(t, g.do(t, http.MethodPost, "/", strings.NewReader("hello")), problem.UpstreamUnavailable)
}

// TestUpstreamSilent: no header in time is 504, with a body and without, and the upstream is let go.
func TestUpstreamSilent(t *testing.T) {
	gone := make(chan struct{}, 3)
	up := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		gone <- struct{}{}
	})
	g := newGateway(t, alice, &Route{Path: "/", Upstream: up, Token: TokenUser, Timeout: 50 * time.Millisecond})
	g.wantProblem(t, g.get(t, "/"), problem.UpstreamTimeout)
	g.wantProblem(t, g.do(t, http.MethodPost, "/", strings.NewReader("hello")), problem.UpstreamTimeout)
	stalled, end := io.Pipe() // a browser that sends nothing more either
	defer end.Close()
	g.wantProblem(t, g.do(t, http.MethodPost, "/", stalled), problem.UpstreamTimeout)
	for range 3 {
		receive(t, gone)
	}
}

// roundTripper is a transport that is a function, for tests whose time is not real.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTimeoutIsForTheHeader: neither a long upload nor a long answer is cut off, only silence between them.
func TestTimeoutIsForTheHeader(t *testing.T) {
	for name, c := range map[string]struct {
		pause time.Duration // between the end of the request and the header of the answer
		want  string
	}{
		"in time": {59 * time.Second, "upload answer"},
		"silent":  {61 * time.Second, "upstream_timeout: " + errSilent.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := &Route{Path: "/", Upstream: mustParse(t, "http://127.0.0.1"), Token: TokenNone, Timeout: time.Minute}
				p, err := New(Options{
					Routes: []*Route{rt}, PublicURL: mustParse(t, publicURL), OwnCookie: isOwnCookie,
					Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
						got, err := io.ReadAll(r.Body)
						if err != nil {
							return nil, err
						}
						select {
						case <-time.After(c.pause):
							body := slowly(string(got), " answer")
							context.AfterFunc(r.Context(), func() { body.Close() })
							return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body}, nil
						case <-r.Context().Done():
							return nil, r.Context().Err()
						}
					}),
				})
				if err != nil {
					t.Fatal(err)
				}
				w := httptest.NewRecorder()
				got := ""
				if err := p.Serve(w, httptest.NewRequest(http.MethodPost, "/", slowly("up", "load")), rt, nil, secret.String{}); err != nil {
					got = err.Error()
				} else {
					got = w.Body.String()
				}
				if got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		})
	}
}

// slowly is a body of pieces with most of a minute before each, and before its end.
func slowly(pieces ...string) io.ReadCloser {
	pr, pw := io.Pipe()
	go func() {
		for _, piece := range append(pieces, "") {
			time.Sleep(59 * time.Second) // of a synctest bubble
			_, _ = io.WriteString(pw, piece)
		}
		pw.Close()
	}()
	return pr
}

// TestUpstreamBreaksOff: half an answer must not look like a whole one.
func TestUpstreamBreaksOff(t *testing.T) {
	for name, answer := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		g := newGateway(t, nil, &Route{Path: "/", Upstream: newRawUpstream(t, answer), Token: TokenNone})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := g.Client().Do(req)
		if err != nil {
			continue // broke before the header was out
		}
		if got, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: read %q without an error", name, got)
		}
		res.Body.Close()
	}
}

// TestClientGone: the upstream's work ends with the interest in it.
func TestClientGone(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	up := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(gone)
	})
	g := newGateway(t, alice, &Route{Path: "/", Upstream: up, Token: TokenUser})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-arrived; cancel() }()
	if res, err := g.Client().Do(req); err == nil {
		res.Body.Close()
		t.Fatalf("status %d", res.StatusCode)
	}
	<-gone
	if p := <-g.problem; p.Code != problem.BadRequest || !errors.Is(p, context.Canceled) {
		t.Errorf("%v, want bad_request because of %v", p, context.Canceled)
	}
}

// TestMaxBody: too much is 413, announced or chunked; at most the limit reaches the upstream.
func TestMaxBody(t *testing.T) {
	read := make(chan int64, 1)
	up := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		read <- n
	})
	const limit = 1 << 20
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone, MaxBody: limit})
	post := func(n int, chunked bool) *http.Response {
		var b io.Reader = strings.NewReader(strings.Repeat("x", n))
		if chunked {
			b = io.MultiReader(b)
		}
		return g.do(t, http.MethodPost, "/", b)
	}
	for _, chunked := range []bool{false, true} {
		if res := post(limit, chunked); res.StatusCode != http.StatusOK || <-read != limit {
			t.Errorf("chunked: %v, as much as allowed: status %d", chunked, res.StatusCode)
		}
	}
	g.wantProblem(t, post(limit+1, false), problem.TooLarge)
	if len(read) != 0 {
		t.Error("an announced length over the limit reached the upstream")
	}
	g.wantProblem(t, post(limit+1, true), problem.TooLarge)
	if n := <-read; n > limit {
		t.Errorf("%d bytes reached the upstream", n)
	}
}

// TestBrokenBody: what is wrong with the request is not blamed on the upstream.
func TestBrokenBody(t *testing.T) {
	g := newGateway(t, nil, &Route{Path: "/", Upstream: newEcho(t), Token: TokenNone})
	res := g.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n")
	g.wantProblem(t, res, problem.BadRequest)
}

// TestSmuggling is PX-17: what can be read as two requests is one at most, and none with our token in the second.
func TestSmuggling(t *testing.T) {
	const inner = "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
	g := newGateway(t, alice, &Route{Path: "/", Upstream: newEcho(t), Token: TokenUser})
	for name, request := range map[string]string{
		"two lengths":          "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 33\r\n\r\n" + inner,
		"unknown coding":       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n" + inner,
		"two codings":          "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner,
		"space before colon":   "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
		"two hosts":            "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"negative length":      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" + inner,
		"folded field":         "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n x\r\n\r\n" + inner,
		"control in the field": "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
	} {
		if res := g.raw(t, request); res.StatusCode < 400 {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
	}
	// Both lengths: chunked wins, and the upstream gets a message with one length only (RFC 9112 §6.3).
	got := readEcho(t, g.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"+
		"2\r\nhi\r\n0\r\n\r\n"+inner))
	if got.URI != "/" || got.Body != "hi" || got.ContentLength != -1 {
		t.Errorf("%+v", got)
	}
}
