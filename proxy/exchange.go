package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

// exchange is one request on its way to an upstream, and its answer. Its methods are the hooks of one
// [httputil.ReverseProxy], in the order in which they are called: rewrite (request.go), RoundTrip (roundtrip.go),
// answer (response.go), and fail instead of the rest when one of them went wrong. Its watch (watch.go) ends it where
// nothing moves any more.
type exchange struct {
	*Proxy
	*target
	w     http.ResponseWriter
	in    *http.Request           // its context ends with the session
	end   context.CancelCauseFunc // of that context
	who   *session.Session        // nil: nobody
	token secret.String           // that the upstream gets; empty: none

	watch    watch
	undo     []func() // at the end of the exchange
	upgrade  bool     // in is a WebSocket handshake, on a route that has them
	sent     bool
	switched bool        // the upstream's 101 is on its way to the browser
	read     atomic.Bool // the body, to its end
	err      error
}

func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, t *target, who *session.Session, token secret.String) error {
	if t.MaxBody > 0 && r.ContentLength > t.MaxBody {
		return tooLarge(t.MaxBody)
	}
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	if who != nil && p.bind != nil {
		bond, err := p.bind(who, end)
		if err != nil {
			return err
		}
		defer bond.Release()
	}
	x := &exchange{Proxy: p, target: t, w: w, in: r.WithContext(ctx), end: end, who: who, token: token}
	x.upgrade = t.WebSocket && isHandshake(r)
	defer x.settle()
	if x.upgrade {
		x.atEnd(p.onDrain(end))
		x.atEnd(x.stopReading())
	}
	if r.ContentLength != 0 && !x.holdsBody() {
		// An upstream may begin its answer before it has read the whole body. At that moment an HTTP/1 server of
		// net/http would otherwise throw away the rest of the body, which is still on its way up. HTTP/2 has no such
		// habit, and no such switch: the error says so.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	rp := httputil.ReverseProxy{
		Rewrite:        x.rewrite, // never Director, whose result the client can edit by way of Connection (PX-01)
		Transport:      x,
		ModifyResponse: x.answer,
		ErrorHandler:   x.fail,
		ErrorLog:       p.errorLog,
		BufferPool:     &p.buffers,
	}
	rp.ServeHTTP(w, x.in)
	return x.err
}

// ended is what ended the session while its request was under way, or nil.
func (x *exchange) ended() error {
	if cause := context.Cause(x.in.Context()); isOver(cause) {
		return cause
	}
	return nil
}

// isOver reports whether an error says that the session has ended.
func isOver(err error) bool {
	_, over := session.Anonymous(err)
	return over
}

// sendsToken reports whether the request carries an access token.
func (x *exchange) sendsToken() bool { return x.hasToken() && !x.token.IsZero() }

// closeUnlessRead ends an HTTP/1 connection with the answer unless the body has been read to its end. What is left of it
// may be malformed, and in full duplex net/http would take what stands behind that for the next request (PX-17). It is
// called when the answer begins.
func (x *exchange) closeUnlessRead() {
	if x.in.ContentLength != 0 && x.in.ProtoMajor == 1 && !x.read.Load() {
		x.w.Header().Set("Connection", "close")
	}
}

// fail is called at most once, while nothing has been written.
func (x *exchange) fail(_ http.ResponseWriter, _ *http.Request, err error) {
	if x.switched {
		panic(http.ErrAbortHandler) // the connection may not be net/http's any more
	}
	x.closeUnlessRead()
	var (
		refused *problem.Error
		body    *bodyError
		limit   *http.MaxBytesError
		network net.Error
	)
	switch {
	case x.ended() != nil:
		x.err = x.ended()
	case isOver(err):
		x.err = err
	case errors.As(err, &refused):
		x.err = refused
	case errors.Is(err, errSilent): // before the next: giving up on a body ends the context of the request too
		x.err = problem.Wrap(problem.UpstreamTimeout, err)
	case x.in.Context().Err() != nil:
		x.err = problem.Wrap(problem.BadRequest, fmt.Errorf("the client has gone: %w", context.Canceled))
	case errors.As(err, &limit):
		x.err = tooLarge(limit.Limit)
	case errors.As(err, &body), !x.sent:
		x.err = problem.Wrap(problem.BadRequest, err)
	case errors.As(err, &network) && network.Timeout():
		x.err = problem.Wrap(problem.UpstreamTimeout, err)
	default:
		x.err = problem.Wrap(problem.UpstreamUnavailable, err)
	}
}

func tooLarge(limit int64) error {
	return problem.New(problem.TooLarge, "the body may have %d bytes here", limit)
}
