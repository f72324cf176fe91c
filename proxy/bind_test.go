package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// hanging starts an upstream that begins its answer, if it begins one, and does not end it before the request is over.
func hanging(t *testing.T, begin func(http.ResponseWriter)) (up *url.URL, began, gone chan struct{}) {
	began, gone = make(chan struct{}, 1000), make(chan struct{}, 1000)
	return newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if begin != nil {
			begin(w)
		}
		began <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		gone <- struct{}{}
	}), began, gone
}

// TestStreamsEnd is RPL-12 and PX-21: an answer that has begun breaks off with the session, for the browser and for the
// upstream; 300 at once. Nothing is wrong then, and nothing is logged.
func TestStreamsEnd(t *testing.T) {
	up, began, gone := hanging(t, func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: x\n\n")
		_ = http.NewResponseController(w).Flush()
	})
	const many = 300
	b, log := newBinder(t), &bytes.Buffer{}
	g := newGatewayWith(t, alice, Options{
		Transport: newTestTransport(t), Bind: b.bind, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}, &Route{Path: "/", Upstream: up, Token: TokenUser, Timeout: time.Minute})
	var streams []*http.Response
	for range many {
		streams = append(streams, g.get(t, "/"))
		receive(t, began)
	}
	b.end(session.ErrEnded)
	since := time.Now()
	for _, res := range streams {
		if text, err := io.ReadAll(res.Body); err == nil || string(text) != "data: x\n\n" {
			t.Fatalf("%q and error %v: it looks complete", text, err)
		}
		receive(t, gone)
	}
	if took := time.Since(since); took > time.Second {
		t.Errorf("all ended after %v", took)
	}
	g.Close() // the handlers are over
	if log.Len() > 0 {
		t.Errorf("logged %s", log)
	}
}

// TestLongPollEnds: an answer that has not begun is one about the session, with a body on its way up and without. A body
// that does not come is not waited for.
func TestLongPollEnds(t *testing.T) {
	for why, cause := range map[string]error{
		"ended": session.ErrReplaced, "idle": session.ErrIdle, "none": session.ErrNone,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for proto := 1; proto <= 2; proto++ {
				t.Run(fmt.Sprintf("%s %s HTTP/%d", why, method, proto), func(t *testing.T) {
					up, began, gone := hanging(t, nil)
					b := newBinder(t)
					g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Bind: b.bind},
						&Route{Path: "/", Upstream: up, Token: TokenUser, Timeout: time.Minute})
					server := httptest.NewUnstartedServer(g.Config.Handler)
					server.EnableHTTP2, server.Config.ErrorLog = proto == 2, discardLog
					server.StartTLS()
					defer server.Close()
					go func() {
						<-began
						b.end(cause)
					}()
					var upload io.Reader
					if method == http.MethodPost {
						pr, pw := io.Pipe()
						defer pw.Close()
						go func() { _, _ = io.WriteString(pw, "the beginning") }()
						upload = pr
					}
					req, err := http.NewRequestWithContext(t.Context(), method, server.URL, upload)
					if err != nil {
						t.Fatal(err)
					}
					res, err := server.Client().Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer res.Body.Close()
					if text := body(t, res); res.StatusCode != http.StatusUnauthorized || text != "session "+why+"\n" {
						t.Errorf("%s %q", res.Status, text)
					}
					if res.ProtoMajor != proto {
						t.Errorf("over %s", res.Proto)
					}
					receive(t, gone)
				})
			}
		}
	}
}

// TestBoundOnlyWithSession: every request with a session is bound and released, however it ends; no other is bound.
func TestBoundOnlyWithSession(t *testing.T) {
	var bound, released atomic.Int64
	bind := func(who *session.Session, _ context.CancelCauseFunc) (Bond, error) {
		if who != alice {
			t.Error("bound to another session")
		}
		bound.Add(1)
		return release(func() { released.Add(1) }), nil
	}
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/breaks":
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/nothing":
			panic(http.ErrAbortHandler)
		}
	})
	for _, who := range []*session.Session{alice, nil} {
		g := newGatewayWith(t, who, Options{Transport: newTestTransport(t), Bind: bind},
			&Route{Path: "/", Upstream: up, Token: TokenUserOrNone, MaxBody: 10})
		for path, want := range map[string]int{"/": 200, "/breaks": 200, "/nothing": 502} {
			if res := g.get(t, path); res.StatusCode != want {
				t.Errorf("%s: %s", path, res.Status)
			}
		}
		g.do(t, http.MethodPost, "/", strings.NewReader("more than ten bytes"))
		g.Close()
	}
	if b, r := bound.Load(), released.Load(); b != 3 || r != b { // what is refused at once needs no binding
		t.Errorf("%d requests bound and %d released, want 3", b, r)
	}
}

// TestClientGoneIsNotItsSession: a client that leaves is told nothing about a session, whatever its context says.
func TestClientGoneIsNotItsSession(t *testing.T) {
	up, began, gone := hanging(t, nil)
	b := newBinder(t)
	g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Bind: b.bind},
		&Route{Path: "/", Upstream: up, Token: TokenUser})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-began
		leave()
	}()
	if _, err := g.Client().Do(req); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	receive(t, gone)
	if p := receive(t, g.problem); !errors.Is(p, context.Canceled) {
		t.Errorf("%v", p)
	}
}
