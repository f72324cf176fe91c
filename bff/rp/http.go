package rp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

const (
	// requestTimeout bounds every request to the OP, its body included.
	requestTimeout = 15 * time.Second
	// maxBody bounds every answer of the OP (DIS-18, FLOW-33).
	maxBody = 1 << 20
)

// newHTTPClient returns a client of our own on the transport of base. It follows nothing: a redirected token request
// would carry code and secret to wherever the answer points (XOA-02), a redirected userinfo request the token (UIN-06).
func newHTTPClient(base *http.Client) *http.Client {
	c := &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if base != nil {
		c.Transport = base.Transport
	}
	return c
}

// answer is a complete response of the OP.
type answer struct {
	status    int
	mediaType string // of the body, without parameters
	body      []byte
}

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxBody)

// failure is why a request got no answer. The text of net/http's error quotes an answer that it cannot read, which may
// hold tokens, so from the moment that one may have come only errors of known kinds are repeated. All can be asked for
// with [errors.As].
type failure struct {
	cause     error
	connected bool
}

func (f *failure) Error() string {
	_, local := errors.AsType[net.Error](f.cause) // timeouts and the operating system's; TLS alerts
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, context.Canceled, errTooLarge} {
		local = local || errors.Is(f.cause, known)
	}
	if f.connected && !local {
		return "the answer cannot be read"
	}
	return printable(f.cause.Error()) // names from the other side's certificate are among it
}

func (f *failure) Unwrap() error { return f.cause }

// shownAddress is host and path of an address of the OP, for errors and logs; its query may hold a key.
func shownAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that is no URL"
	}
	return printable(u.Host + u.EscapedPath())
}

// send makes one request. When there is no complete answer the error is [ErrUnavailable], or [ErrUncertain] for a POST
// that the OP may have received.
//
// Each request has a connection to itself. A pooled one may be closed by the OP, or forgotten by a load balancer, in
// the moment it is used again; for a refresh token that leaves open whether it was spent, and costs the session.
func send(client *http.Client, req *http.Request) (*answer, error) {
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	req.Close = true
	req.GetBody = nil // with it, HTTP/2 sends the body once more when a server refuses the stream (FLOW-29)

	lost := func(cause error) error {
		kind := ErrUnavailable
		if req.Method == http.MethodPost && connected.Load() {
			kind = ErrUncertain
		}
		if u, ok := errors.AsType[*url.Error](cause); ok {
			cause = u.Err // its text would repeat the address with the query
		}
		return fmt.Errorf("%w: %s %s: %w", kind, req.Method, shownAddress(req.URL.String()), &failure{cause, connected.Load()})
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, lost(err)
	}
	defer func() { _ = resp.Body.Close() }()

	a := &answer{status: resp.StatusCode}
	a.mediaType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if len(a.body) > maxBody {
		err = errTooLarge
	}
	if err == nil {
		return a, nil
	}
	if a.status == http.StatusOK {
		return nil, lost(err)
	}
	return &answer{status: a.status}, nil // the status alone says enough
}
