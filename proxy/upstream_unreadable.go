package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
)

// readable hides what net/http's errors quote of an answer that it cannot read.
func readable(res *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, &unreadable{err}
	}
	if res.StatusCode != http.StatusSwitchingProtocols { // that one's body is the connection
		res.Body = readableBody{res.Body}
	}
	return res, nil
}

type readableBody struct{ io.ReadCloser }

func (b readableBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && err != context.Canceled { // these two are compared with ==
		err = &unreadable{err}
	}
	return n, err
}

// unreadable is an error of net/http. The text of one whose kind is not known to hold nothing of an answer, which may
// have tokens in it, is not repeated. All can be asked for with [errors.As].
type unreadable struct{ cause error }

func (e *unreadable) Error() string {
	var (
		network     net.Error // timeouts and those of the operating system; TLS alerts
		certificate *tls.CertificateVerificationError
		plain       tls.RecordHeaderError // an answer without TLS
		body        *bodyError            // of the browser's
	)
	known := errors.As(e.cause, &network) || errors.As(e.cause, &certificate) || errors.As(e.cause, &plain) ||
		errors.As(e.cause, &body)
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded} {
		known = known || errors.Is(e.cause, err)
	}
	if known {
		return e.cause.Error()
	}
	return "the request could not be sent, or its answer not be read"
}

func (e *unreadable) Unwrap() error { return e.cause }
