package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// upstreamConn is a connection that carries one request at a time.
type upstreamConn struct {
	net.Conn
	r     *bufio.Reader
	host  string // where it is idle
	idle  *idleConns
	probe probe

	idleSince time.Time
	reused    bool   // it has carried a request before
	abort     func() // Close, for context.AfterFunc
}

func newUpstreamConn(conn net.Conn, host string, idle *idleConns) *upstreamConn {
	c := &upstreamConn{Conn: conn, r: bufio.NewReader(conn), host: host, idle: idle}
	c.abort = func() { c.Close() }
	c.probe.init(conn)
	return c
}

// unanswered is why a request got not a byte of an answer.
type unanswered struct {
	error
	sent bool // something of the request
}

func (e *unanswered) Unwrap() error { return e.error }

// roundTrip writes a request, which out holds, and reads the head of the answer. The body of the answer gives the
// connection back, or closes it. Without an answer the connection is closed, and the error may be an [unanswered].
//
// Nothing is read before all is written. A request with no more than [heldBody] fits into the buffers of the two
// kernels, so that an upstream that answers without reading it does not block us.
func (c *upstreamConn) roundTrip(req *http.Request, out []byte) (*http.Response, error) {
	x := &upstreamExchange{body: answerBody{conn: c, ctx: req.Context()}}
	x.body.stop = context.AfterFunc(req.Context(), c.abort) // breaks off a write or read
	n, writeErr := c.Write(out)
	// Also where the request could not be written: an upstream may answer what it does not read to its end, and close.
	if _, err := c.r.Peek(1); err != nil {
		x.body.stop()
		c.Close()
		if err == io.EOF {
			err = fmt.Errorf("the upstream closed the connection without an answer: %w", err)
		}
		return nil, &unanswered{err, n > 0}
	}
	x.body.keep = writeErr == nil
	if err := x.readAnswer(req); err != nil {
		x.body.stop()
		c.Close()
		return nil, err
	}
	return &x.res, nil
}
