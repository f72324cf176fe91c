package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

// A body that is not longer, in bytes, is read before the request is sent: it can be sent twice then, and an upstream waits
// for no slow browser. Strangers may hold less of our memory.
const (
	heldBody          = 64 << 10 // of somebody with a session
	heldBodyOfAnybody = 16 << 10
)

// errSilent is the cause of a request that was given up because the upstream had been silent for Route.Timeout.
var errSilent = errors.New("no answer from the upstream in time")

// bodyError is an error of the browser's request body, to be told from one of the upstream.
type bodyError struct{ error }

func (e *bodyError) Unwrap() error { return e.error }

// RoundTrip carries the request to the upstream, within the limits of the route: its body, and the wait for the
// header of the answer. Where the upstream says that the access token is invalid, the request is made once more with
// another one (RFR-32).
//
// Interim answers (103 Early Hints) are dropped: httputil.ReverseProxy would copy their fields unfiltered (PX-27).
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	x.sent = true
	httptrace.ContextClientTrace(req.Context()).Got1xxResponse = nil // the trace is ReverseProxy's, of this request

	x.watch.begin(x.Route, x.end, x.breakOff)
	if req.Body != nil {
		defer x.stopReading()()
		if err := x.takeBody(req); err != nil {
			return nil, x.silent(err)
		}
	}
	res, err := x.transport.RoundTrip(req)
	if err == nil && x.isRenewable(req, res) {
		x.watch.stop()
		res, err = x.again(req, res)
	}
	return res, x.silent(err)
}

// again makes a request with another token, of which the upstream has refused the first. Without one its answer stands,
// unless the request is over meanwhile.
func (x *exchange) again(req *http.Request, refused *http.Response) (*http.Response, error) {
	token, err := x.renew(req.Context(), x.Route, x.who, x.token)
	if err != nil && !isOver(err) && req.Context().Err() == nil {
		return refused, nil
	}
	_ = refused.Body.Close()
	if err != nil {
		return nil, err
	}
	x.token = token
	req = req.Clone(req.Context()) // a transport may still have the first one
	x.authorize(req.Header)
	if req.Body != nil {
		if req.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	x.watch.begin(x.Route, x.end, x.breakOff)
	return x.transport.RoundTrip(req)
}

// silent is err, or errSilent if that is the reason for it.
func (x *exchange) silent(err error) error {
	if err != nil && errors.Is(context.Cause(x.in.Context()), errSilent) {
		return errSilent
	}
	return err
}

// holdsBody reports whether the body is read before the request is sent.
func (x *exchange) holdsBody() bool {
	limit := int64(heldBodyOfAnybody)
	if x.who != nil {
		limit = heldBody
	}
	return 0 < x.in.ContentLength && x.in.ContentLength <= limit
}

// takeBody puts the browser's body under the limits of the route, or reads it.
func (x *exchange) takeBody(req *http.Request) error {
	body := req.Body
	if x.MaxBody > 0 {
		// Without x.w, which it would write to while this goroutine may be writing an early answer.
		body = http.MaxBytesReader(nil, body, x.MaxBody)
	}
	req.Body = &upload{body, &x.watch, &x.read}
	if !x.holdsBody() {
		return nil
	}
	held := make([]byte, x.in.ContentLength)
	if _, err := io.ReadFull(req.Body, held); err != nil {
		return &bodyError{err}
	}
	x.read.Store(true)
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(held)), nil }
	req.Body, _ = req.GetBody()
	return nil
}

// isRenewable reports whether the upstream has refused the access token, and the request can be made again.
func (x *exchange) isRenewable(req *http.Request, res *http.Response) bool {
	return res.StatusCode == http.StatusUnauthorized && x.sendsToken() && x.renew != nil &&
		(req.Body == nil || req.GetBody != nil) && refusesToken(res.Header["Www-Authenticate"])
}

// refusesToken finds the error invalid_token among challenges (RFC 6750 §3.1).
func refusesToken(lines []string) bool {
	for _, line := range lines {
		challenges, _ := parseChallenges(line)
		for _, c := range challenges {
			if strings.EqualFold(c.scheme, "Bearer") && c.params["error"] == "invalid_token" {
				return true
			}
		}
	}
	return false
}

// stopReading breaks off a read from the browser when the request is over: [http.Transport] waits for a body, and
// ReverseProxy for a WebSocket that takes nothing either, but the browser may never send another byte. What is returned
// undoes that.
func (x *exchange) stopReading() (undo func()) {
	return x.whenOver(func() {
		if !x.read.Load() {
			_ = http.NewResponseController(x.w).SetReadDeadline(time.Unix(0, 0)) // HTTP/1 and HTTP/2 both have it
		}
	})
}

// upload is the body of a request. Each piece that the upstream takes shows that it is alive.
type upload struct {
	io.ReadCloser
	watch *watch
	read  *atomic.Bool // set at its end
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.watch.move()
	switch {
	case err == io.EOF:
		u.read.Store(true)
	case err != nil:
		err = &bodyError{err}
	}
	return n, err
}
