package proxy

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// http1Transport speaks HTTP/1.1 over TCP or TLS with upstreams. The goroutine of a request writes it, reads the head of the
// answer and then the body: where [http.Transport] hands each of these to another goroutine, there is none here.
//
// What makes that safe is that a request is in memory as a whole ([isWhole]), and strict framing: an answer that could
// be read in two ways is refused, and a connection is used again only if the answer before has been read to its exact
// end and nothing stands behind it (RFC 9112 §6.3, §9.2, §11).
type http1Transport struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	idle    idleConns
	buffers sync.Pool // of *[]byte, for requests
}

// isWhole reports whether a request can be carried by a [http1Transport]: no upgrade, no expectation, and a body that
// is absent or can be had from memory.
func isWhole(req *http.Request) bool {
	switch {
	case req.Method == http.MethodConnect, req.URL.Opaque != "", !isHostPort(req.URL.Host),
		len(req.TransferEncoding) > 0, len(req.Trailer) > 0,
		len(req.Header["Upgrade"]) > 0, len(req.Header["Expect"]) > 0:
		return false
	case req.Body == nil || req.Body == http.NoBody:
		return req.ContentLength == 0
	}
	return req.GetBody != nil && 0 < req.ContentLength && req.ContentLength <= heldBody
}

// RoundTrip is that of [http.RoundTripper]. The request is one that [isWhole] lets through.
func (t *http1Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if req.Body != nil {
		defer req.Body.Close()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	out, _ := t.buffers.Get().(*[]byte)
	if out == nil {
		out = new([]byte)
	}
	defer t.buffers.Put(out)
	var err error
	if *out, err = appendRequest((*out)[:0], req); err != nil {
		return nil, err
	}
	c, err := t.connect(req, true)
	for {
		if err != nil {
			return nil, causeOf(ctx, err)
		}
		var res *http.Response
		if res, err = c.roundTrip(req, *out); err == nil {
			return res, nil
		}
		lost, ok := err.(*unanswered)
		if !ok || !c.reused || ctx.Err() != nil || lost.sent && !isRepeatable(req) {
			return nil, causeOf(ctx, err)
		}
		// The server closed the connection when it had been idle for too long for it, at the same time as we used it.
		c, err = t.connect(req, false)
	}
}

// connect returns a connection to the host of the request: the one used last, if idle may be, or a new one.
func (t *http1Transport) connect(req *http.Request, idle bool) (*upstreamConn, error) {
	host := req.URL.Host
	if idle {
		if c := t.idle.get(host); c != nil {
			return c, nil
		}
	}
	conn, err := t.dial(req.Context(), "tcp", withPort(req.URL))
	if err != nil {
		return nil, err
	}
	return newUpstreamConn(conn, host, &t.idle), nil
}

// isRepeatable reports whether a request may be sent a second time although the upstream may have got the first: its
// method is safe (RFC 9110 §9.2.1), or it says itself that it may. It is what net/http does.
func isRepeatable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, key := req.Header["Idempotency-Key"]
	_, xKey := req.Header["X-Idempotency-Key"]
	return key || xKey
}

// causeOf is the cause of an error that came after the end of a context, as net/http has it, or the error.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
