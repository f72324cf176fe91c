package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/secret"
)

// over is the same gateway in HTTP/1, or with TLS in HTTP/2.
func (g *gateway) over(t *testing.T, proto int) *httptest.Server {
	t.Helper()
	if proto == 1 {
		return g.Server
	}
	s := httptest.NewUnstartedServer(g.Config.Handler)
	s.EnableHTTP2, s.Config.ErrorLog = true, discardLog
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// ask sends a request that lives as long as the test, or until it is left.
func ask(t *testing.T, s *httptest.Server, method, path string, body io.Reader) (res *http.Response, leave func()) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err = s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res, leave
}

// ticking answers with an event every tick, or with one only (0). gone hears of each answer that is over.
func ticking(t *testing.T, kind string, tick time.Duration, gone chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() { gone <- struct{}{} }()
		w.Header().Set("Content-Type", kind)
		var ticks <-chan time.Time
		if tick > 0 {
			ticker := time.NewTicker(tick)
			defer ticker.Stop()
			ticks = ticker.C
		}
		for {
			fmt.Fprint(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-ticks:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// lines is a log.
type lines chan string

func (l lines) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

// TestStreamLimits is PX-21: a stream in which nothing moves ends, and one that lasts for too long, with a session and
// without, for the browser and for the upstream; and not any earlier.
func TestStreamLimits(t *testing.T) {
	const limit = 300 * time.Millisecond
	for name, test := range map[string]struct {
		route Route
		tick  time.Duration
		why   error
	}{
		"idle":     {Route{IdleTimeout: limit}, 0, errIdle},
		"too long": {Route{IdleTimeout: limit, MaxDuration: 2 * limit}, limit / 10, errTooLong},
	} {
		for proto := 1; proto <= 2; proto++ {
			t.Run(fmt.Sprintf("%s HTTP/%d", name, proto), func(t *testing.T) {
				t.Parallel()
				gone, logged := make(chan struct{}, 1), make(lines, 100)
				rt := test.route
				rt.Path, rt.Token, rt.Timeout = "/", TokenNone, time.Minute
				rt.Upstream = newUpstream(t, ticking(t, "text/event-stream", test.tick, gone))
				g := newGatewayWith(t, nil, Options{
					Transport: newTestTransport(t), Logger: slog.New(slog.NewTextHandler(logged, nil)),
				}, &rt)
				began := time.Now()
				res, _ := ask(t, g.over(t, proto), http.MethodGet, "/", nil)
				if text := wantBreak(t, res); !strings.HasPrefix(text, "data: x\n\n") {
					t.Errorf("%q came", text)
				}
				if took := time.Since(began); took < max(rt.IdleTimeout, rt.MaxDuration) {
					t.Errorf("ended after %v", took)
				}
				receive(t, gone)
				if line := receive(t, logged); !strings.Contains(line, test.why.Error()) {
					t.Errorf("the log does not say why: %s", line)
				}
			})
		}
	}
}

// TestWebSocketLimits is PX-21: the same for WebSockets, for which there is no other limit without a session.
func TestWebSocketLimits(t *testing.T) {
	const limit = 300 * time.Millisecond
	for name, test := range map[string]struct {
		idle, most time.Duration
		says       int // so often, a third of the limit apart
	}{
		"idle":       {limit, 0, 0},
		"idle later": {limit, 0, 6},
		"too long":   {limit, 2 * limit, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan struct{}, 1)
			up, _ := wsUpstream(t, gone)
			rt := &Route{
				Path: "/", Upstream: up, Token: TokenNone, WebSocket: true, Timeout: time.Minute, IdleTimeout: test.idle, MaxDuration: test.most,
			}
			g := newGateway(t, nil, rt)
			began := time.Now()
			s := g.dial(t, wsHandshake...)
			said := 0
			tick := time.NewTicker(limit / 3)
			defer tick.Stop()
			for said < test.says && s.try("hello") == nil {
				said++
				<-tick.C
			}
			s.wantClosed(t)
			receive(t, gone)
			least := max(test.most, time.Duration(said)*limit/3)
			if took := time.Since(began); took < least || test.most > 0 && said == test.says {
				t.Errorf("closed after %v, with %d frames", took, said)
			}
		})
	}
}

// wantBreak reads to the end of an answer, which has to come soon and must not look like one.
func wantBreak(t *testing.T, res *http.Response) (text string) {
	t.Helper()
	type end struct {
		text string
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		b, err := io.ReadAll(res.Body)
		ended <- end{string(b), err}
	}()
	got := receive(t, ended)
	if got.err == nil {
		t.Errorf("%s: %d bytes look complete", res.Proto, len(got.text))
	}
	return got.text
}

// endless answers with as much as the browser takes. full hears when it has taken nothing for a while, gone of the end.
func endless(full, gone chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		notice := time.AfterFunc(time.Minute, func() { full <- struct{}{} })
		defer notice.Stop()
		piece := make([]byte, 64<<10)
		for {
			if _, err := w.Write(piece); err != nil {
				gone <- struct{}{}
				return
			}
			notice.Reset(200 * time.Millisecond)
		}
	}
}

// TestBrowserThatTakesNothing is PX-34: it holds the upstream no longer than its session lasts, or idle_timeout.
func TestBrowserThatTakesNothing(t *testing.T) {
	for name, idle := range map[string]time.Duration{"session": time.Minute, "idle": 300 * time.Millisecond} {
		for proto := 1; proto <= 2; proto++ {
			t.Run(fmt.Sprintf("%s HTTP/%d", name, proto), func(t *testing.T) {
				t.Parallel()
				full, gone, released := make(chan struct{}, 9), make(chan struct{}, 1), make(chan struct{}, 1)
				b := newBinder(t)
				bind := func(who *session.Session, end context.CancelCauseFunc) (Bond, error) {
					bond, err := b.bind(who, end)
					return release(func() { bond.Release(); released <- struct{}{} }), err
				}
				g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Bind: bind}, &Route{
					Path: "/", Upstream: newUpstream(t, endless(full, gone)), Token: TokenUser, Timeout: time.Minute, IdleTimeout: idle,
				})
				res, _ := ask(t, g.over(t, proto), http.MethodGet, "/", nil)
				receive(t, full)
				if name == "session" {
					b.end(session.ErrEnded)
				}
				since := time.Now()
				receive(t, gone)
				receive(t, released)
				if took := time.Since(since); took > time.Second {
					t.Errorf("released after %v", took)
				}
				wantBreak(t, res)
			})
		}
	}
}

// TestEventStreamsEndWhenDraining: a server that is about to stop does not wait for a stream that has no end of its own.
// The browser asks again, and gets another replica. Any other answer goes on to its end.
func TestEventStreamsEndWhenDraining(t *testing.T) {
	drain, gone, logged := make(chan struct{}), make(chan struct{}, 2), make(lines, 100)
	rest := make(chan struct{})
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/download" {
			fmt.Fprint(w, "half ")
			_ = http.NewResponseController(w).Flush()
			<-rest
			fmt.Fprint(w, "rest")
			return
		}
		ticking(t, "text/event-stream; charset=utf-8", 0, gone)(w, r)
	})
	g := newGatewayWith(t, alice, Options{
		Transport: newTestTransport(t), Draining: drain, Logger: slog.New(slog.NewTextHandler(logged, nil)),
	}, &Route{Path: "/", Upstream: up, Token: TokenUser})
	download := g.get(t, "/download")
	var streams []*http.Response
	for proto := 1; proto <= 2; proto++ {
		res, _ := ask(t, g.over(t, proto), http.MethodGet, "/events", nil)
		streams = append(streams, res)
	}
	close(drain)
	for _, res := range streams {
		wantBreak(t, res)
	}
	receive(t, gone)
	receive(t, gone)
	close(rest)
	if got := body(t, download); got != "half rest" {
		t.Errorf("an ordinary answer: %q", got)
	}
	g.Close()
	if len(logged) > 0 {
		t.Errorf("logged %s", <-logged)
	}
}

// stuck is a connection that takes nothing until it is broken off.
type stuck struct {
	*httptest.ResponseRecorder
	broken chan struct{}
}

func (s *stuck) Write([]byte) (int, error)           { <-s.broken; return 0, os.ErrDeadlineExceeded }
func (s *stuck) SetWriteDeadline(at time.Time) error { close(s.broken); return nil }

// TestStalled is PX-34: how long a browser may take nothing is not a matter of idle_timeout alone.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &Route{Path: "/", Upstream: mustParse(t, "http://127.0.0.1"), Token: TokenNone, IdleTimeout: time.Hour}
		p, err := New(Options{
			Routes: []*Route{rt}, PublicURL: mustParse(t, publicURL), OwnCookie: isOwnCookie,
			Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				body := io.NopCloser(strings.NewReader("hello"))
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body}, nil
			}),
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w := &stuck{httptest.NewRecorder(), make(chan struct{})}
		_ = p.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil), rt, nil, secret.String{})
		if took := time.Since(began); took < stallTime || took > 2*stallTime {
			t.Errorf("over after %v", took)
		}
	})
}
