package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// errSilent is the cause of a request that was given up because the upstream had been silent for Route.Timeout.
var errSilent = errors.New("no answer from the upstream in time")

// bodyError is an error of the browser's request body, to be told from one of the upstream.
type bodyError struct{ error }

func (e *bodyError) Unwrap() error { return e.error }

// RoundTrip carries the request to the upstream, within the limits of the route: its body, and the wait for the
// header of the answer.
//
// Interim answers (103 Early Hints) are dropped: httputil.ReverseProxy would copy their fields unfiltered (PX-27).
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	x.sent = true
	httptrace.ContextClientTrace(req.Context()).Got1xxResponse = nil // the trace is ReverseProxy's, of this request

	ctx, cancel := context.WithCancelCause(req.Context()) // released with its parent, at the end of the request
	req = req.WithContext(ctx)
	silence := startTimer(x.Timeout, func() { cancel(errSilent) })
	if req.Body != nil {
		defer x.stopReading(ctx)()
		body := req.Body
		if x.MaxBody > 0 {
			// Without x.w, which it would write to while this goroutine may be writing an early answer.
			body = http.MaxBytesReader(nil, body, x.MaxBody)
		}
		req.Body = &upload{body, silence, &x.read}
	}
	res, err := x.transport.RoundTrip(req)
	silence.stop()
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return nil, errSilent
	}
	return res, err
}

// stopReading breaks off a read from the browser when ctx ends: [http.Transport] waits for a body, and ReverseProxy for a
// WebSocket that takes nothing either, but the browser may never send another byte. What is returned undoes that.
func (x *exchange) stopReading(ctx context.Context) (undo func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		if !x.read.Load() {
			_ = http.NewResponseController(x.w).SetReadDeadline(time.Unix(0, 0)) // HTTP/1 and HTTP/2 both have it
		}
	})
	return func() {
		if !stop() {
			<-done // or it would happen to the next request
		}
	}
}

// upload is the body of a request. Each piece that the upstream takes shows that it is alive.
type upload struct {
	io.ReadCloser
	silence *timer
	read    *atomic.Bool // set at its end
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.silence.restart()
	switch {
	case err == io.EOF:
		u.read.Store(true)
	case err != nil:
		err = &bodyError{err}
	}
	return n, err
}

// timer is a time.Timer that stays stopped: the transport may still be reading a body when its answer has come.
type timer struct {
	mu    sync.Mutex
	timer *time.Timer // nil: stopped, or never started
	after time.Duration
}

// startTimer calls f in a goroutine of its own after that time, unless it is 0.
func startTimer(after time.Duration, f func()) *timer {
	t := &timer{after: after}
	if after > 0 {
		t.timer = time.AfterFunc(after, f)
	}
	return t
}

func (t *timer) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Reset(t.after)
	}
}

func (t *timer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}
