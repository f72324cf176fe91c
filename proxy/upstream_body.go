package proxy

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net/http"
	"sync"
)

// answerBody is the body of an answer. Its last byte gives the connection back, without a call of Close.
type answerBody struct {
	conn   *upstreamConn
	ctx    context.Context
	stop   func() bool // undoes that the end of ctx closes the connection; false: too late
	keep   bool        // the connection can be used again at the end
	chunks io.Reader   // nil: not chunked
	left   int64       // bytes; -1: until the connection ends

	mu      sync.Mutex // guards what follows, not the reading: Close must be able to break it off
	reading bool
	err     error // of all calls from now on; nil: there may be more
}

func (b *answerBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.err != nil {
		defer b.mu.Unlock()
		return 0, b.err
	}
	b.reading = true
	b.mu.Unlock()
	n, err := b.read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if err != nil {
		err = b.end(err)
	}
	return n, err
}

// read returns io.EOF at the end of the body only, and where it can with the last bytes.
func (b *answerBody) read(p []byte) (int, error) {
	r := b.conn.r
	switch {
	case b.chunks != nil:
		n, err := b.chunks.Read(p)
		switch {
		case err != io.EOF:
			return n, err
		case n > 0 && r.Buffered() < len("\r\n"):
			return n, nil // what stands behind the last chunk has not come yet
		}
		return n, cmp.Or(skipTrailers(r), io.EOF)
	case b.left < 0:
		return r.Read(p)
	}
	n, err := r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		return n, io.EOF
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// end gives the connection back, if the body and the request are at their ends and nothing stands behind, or closes it.
// It returns the error to show.
func (b *answerBody) end(err error) error {
	if b.err != nil {
		return b.err
	}
	b.err = err
	if undone := b.stop(); undone && err == io.EOF && b.keep && b.conn.r.Buffered() == 0 {
		b.conn.idle.put(b.conn)
		return err
	}
	b.conn.Close()
	if err != io.EOF {
		b.err = causeOf(b.ctx, err)
	}
	return b.err
}

// Close closes the connection, unless the rest of the body is there already. It may be called during a Read.
func (b *answerBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return nil
	case !b.reading && b.left > 0 && b.left <= int64(b.conn.r.Buffered()):
		_, _ = b.conn.r.Discard(int(b.left))
		b.end(io.EOF)
		b.err = http.ErrBodyReadAfterClose
	default:
		b.end(http.ErrBodyReadAfterClose)
	}
	return nil
}

// maxTrailers is how long the trailer section may be, in bytes. No browser shows trailers to anybody.
const maxTrailers = 4 << 10

// skipTrailers reads what stands behind the last chunk.
func skipTrailers(r *bufio.Reader) error {
	section, lines, err := readSection(r, maxTrailers)
	if err == nil && lines > 0 {
		_, err = parseFields(section, lines)
	}
	return err
}
