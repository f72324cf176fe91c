package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// TestRepeats is RFC 9110 §9.2.2: what a server that closes an idle connection has not answered is sent once more, on a
// new connection, if nothing of it was sent or it does no harm; never what failed on a new connection.
func TestRepeats(t *testing.T) {
	for name, c := range map[string]struct {
		method, body, field string
		repeats             bool
	}{
		"GET":             {method: "GET", repeats: true},
		"HEAD":            {method: "HEAD", repeats: true},
		"POST":            {method: "POST", body: "x"},
		"POST, empty":     {method: "POST"},
		"DELETE":          {method: "DELETE"},
		"PUT":             {method: "PUT", body: "x"},
		"POST with a key": {method: "POST", body: "x", field: "Idempotency-Key: 1", repeats: true},
	} {
		var seen atomic.Int64
		s := newWire(t, func(conn net.Conn, r *http.Request, nth int64) bool {
			if r.URL.Path == "/first" {
				return answer(conn, "first")
			}
			seen.Add(1)
			return nth != 1 && answer(conn, "")
		})
		tr := newTestTransport(t)
		if _, _, err := send(t, tr, "GET", s.url+"/first", ""); err != nil {
			t.Fatal(err)
		}
		var fields []string
		if c.field != "" {
			fields = []string{c.field}
		}
		_, _, err := send(t, tr, c.method, s.url, c.body, fields...)
		want := int64(1)
		if c.repeats {
			want = 2
		}
		if (err == nil) != c.repeats || seen.Load() != want {
			t.Errorf("%s: sent %d times, %v", name, seen.Load(), err)
		}
	}
	var seen atomic.Int64
	s := newWire(t, func(net.Conn, *http.Request, int64) bool { seen.Add(1); return false })
	if _, _, err := send(t, newTestTransport(t), "GET", s.url, ""); !errors.Is(err, io.EOF) || seen.Load() != 1 {
		t.Errorf("on a new connection: sent %d times, %v", seen.Load(), err)
	}
}

// deafConn takes nothing any more once it is used again.
type deafConn struct {
	*net.TCPConn
	writes int
}

func (c *deafConn) Write(p []byte) (int, error) {
	if c.writes++; c.writes > 1 {
		c.Close()
		return 0, net.ErrClosed
	}
	return c.TCPConn.Write(p)
}

// TestRepeatsUnsent: a request of which not a byte was written is sent again whatever its method.
func TestRepeatsUnsent(t *testing.T) {
	var seen atomic.Int64
	s := newWire(t, func(conn net.Conn, r *http.Request, _ int64) bool {
		seen.Add(1)
		text, _ := io.ReadAll(r.Body)
		return answer(conn, string(text))
	})
	tr := newTestTransport(t)
	dial := tr.plain.dial
	tr.plain.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &deafConn{TCPConn: conn.(*net.TCPConn)}, nil
	}
	for _, want := range []string{"one", "two"} {
		if _, text, err := send(t, tr, "POST", s.url, want); text != want || err != nil {
			t.Errorf("%q %v", text, err)
		}
	}
	if seen.Load() != 2 || s.conns.Load() != 2 {
		t.Errorf("%d requests over %d connections", seen.Load(), s.conns.Load())
	}
}
