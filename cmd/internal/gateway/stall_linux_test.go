package gateway

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// TestStall is PX-34: the system cuts off a client that takes nothing, and no other.
func TestStall(t *testing.T) {
	listener, err := listenTCP("127.0.0.1:0", 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	server := (&Gateway{log: slog.New(slog.DiscardHandler)}).newServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			for r.URL.Path == "/" {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					failed <- err
					return
				}
			}
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for range 20 {
				_, _ = io.WriteString(w, "tick\n")
				_ = http.NewResponseController(w).Flush()
				<-tick.C
			}
		}))
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	ask := func(path string) net.Conn {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		return conn
	}
	deaf, listening := ask("/"), ask("/ticks")
	defer deaf.Close()
	defer listening.Close()
	res, err := http.ReadResponse(bufio.NewReader(listening), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(res.Body); err != nil || len(text) != 20*len("tick\n") {
		t.Errorf("a client that reads: %d bytes and %v", len(text), err)
	}
	select {
	case err := <-failed:
		if !errors.Is(err, syscall.ETIMEDOUT) && !errors.Is(err, syscall.EPIPE) { // a read may have got the first
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("a client that reads nothing is still there")
	}
}

// A gateway that opens its own listener has that limit.
func TestListenStall(t *testing.T) {
	g := &Gateway{config: &Config{Listen: "127.0.0.1:0"}}
	listener, err := g.listen()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var limit int
	_ = raw.Control(func(fd uintptr) { limit, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout) })
	if err != nil || limit != int(stallTime.Milliseconds()) {
		t.Errorf("%d ms, %v", limit, err)
	}
}
