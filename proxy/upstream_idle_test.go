package proxy

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleTimeout: an idle connection ends after a minute, each at its time, and no timer outlives the last.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p idleConns
		put := func(host string) net.Conn {
			there, here := net.Pipe()
			p.put(newUpstreamConn(here, host, &p))
			return there
		}
		first := put("a")
		time.Sleep(idleTimeout / 2)
		second, third := put("a"), put("b")
		time.Sleep(idleTimeout/2 + time.Second)
		synctest.Wait()
		if !isClosed(first) || isClosed(second) || isClosed(third) {
			t.Error("after a minute not the first connection only is closed")
		}
		time.Sleep(idleTimeout / 2)
		synctest.Wait()
		if !isClosed(second) || !isClosed(third) || p.timer != nil || len(p.conns) > 0 {
			t.Error("after another half not all is closed")
		}
		fourth := put("a")
		p.close()
		if !isClosed(fourth) || p.timer != nil {
			t.Error("close leaves something")
		}
	})
}

// isClosed reports whether the other side of a pipe has closed it.
func isClosed(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now())
	_, err := conn.Read(make([]byte, 1))
	return err == io.EOF
}

// TestIdleLimit is PX-34: there are never more than maxIdle.
func TestIdleLimit(t *testing.T) {
	var p idleConns
	defer p.close()
	var last net.Conn
	for range maxIdle + 1 {
		there, here := net.Pipe()
		p.put(newUpstreamConn(here, "a", &p))
		last = there
	}
	if n := len(p.conns["a"]); n != maxIdle || !isClosed(last) {
		t.Errorf("%d connections", n)
	}
}

// TestIdleEnded: a connection that the server has closed is not used for a POST, which could not be repeated.
func TestIdleEnded(t *testing.T) {
	closed := make(chan struct{}, 1)
	s := newWire(t, func(conn net.Conn, _ *http.Request, _ int64) bool {
		answer(conn, "ok")
		conn.Close()
		closed <- struct{}{}
		return false
	})
	tr := newTestTransport(t)
	for range 10 {
		if _, text, err := send(t, tr, "POST", s.url, "x"); text != "ok" || err != nil {
			t.Fatalf("%q %v", text, err)
		}
		<-closed
	}
}
