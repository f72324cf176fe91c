package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// longAnswer is how many bytes of an answer fit into buffers on the way to a browser that takes none of them. Only what
// is longer can hold up the exchange.
const longAnswer = 16 << 10

// stream is the body of an answer on its way to the browser. The trailers that appear at its end are dropped before
// anybody looks for them.
type stream struct {
	io.ReadCloser
	res    *http.Response
	x      *exchange
	passed int // bytes
}

// passOn puts an answer, whose header is about to go out, under the limits of the route.
func (x *exchange) passOn(res *http.Response) {
	x.watch.answer()
	if isEventStream(res.Header) {
		x.atEnd(x.onDrain(x.end))
	}
	res.Trailer = nil // PX-27: no browser shows trailers to anybody
	res.Body = &stream{ReadCloser: res.Body, res: res, x: x}
}

// Read is called when the browser has taken what the last one returned. The error of a request that is over, about which
// nobody has to be told, is context.Canceled.
func (s *stream) Read(p []byte) (int, error) {
	s.x.watch.move()
	n, err := s.ReadCloser.Read(p)
	s.x.watch.offer()
	if s.passed <= longAnswer {
		if s.passed += n; s.passed > longAnswer {
			s.x.atEnd(s.x.whenOver(s.x.breakOff))
		}
	}
	if err != nil && err != io.EOF && (s.x.ended() != nil || errors.Is(context.Cause(s.x.in.Context()), context.Canceled)) {
		err = context.Canceled
	}
	return n, err
}

func (s *stream) Close() error {
	err := s.ReadCloser.Close()
	s.res.Trailer = nil
	return err
}

// atEnd has f called at the end of the exchange.
func (x *exchange) atEnd(f func()) { x.undo = append(x.undo, f) }

// settle is called at the end of the exchange, however it ends. Nothing of it can happen to the next request afterwards.
func (x *exchange) settle() {
	x.watch.stop()
	for _, f := range x.undo {
		f()
	}
}

// whenOver has f called when the request is over. What is returned undoes that.
func (x *exchange) whenOver(f func()) (undo func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(x.in.Context(), func() {
		defer close(done)
		f()
	})
	return func() {
		if !stop() {
			<-done // or it would happen to the next request
		}
	}
}

// breakOff makes writing to the browser fail, a write under way too: nobody waits for a browser that takes nothing.
func (x *exchange) breakOff() {
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Unix(0, 0)) // HTTP/1 and HTTP/2 both have it
}

func isEventStream(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}
