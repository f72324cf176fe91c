package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAmbiguousFraming is PX-17: after a request that could end in more than one place the connection is closed, and
// nothing that stands behind it becomes another request.
func TestAmbiguousFraming(t *testing.T) {
	t.Parallel()
	g := newReplica(t, nil).ready()
	host := strings.TrimPrefix(g.url, "http://")
	for name, test := range map[string]struct {
		request string
		open    bool // afterwards
	}{
		"HTTP/1.0, chunked": {
			request: "POST /public/x HTTP/1.0\r\nHost: " + host + "\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		},
		"HTTP/1.0": {
			request: "GET /public/x HTTP/1.0\r\nHost: " + host + "\r\nConnection: keep-alive\r\n\r\n",
		},
		"both lengths": {
			request: "POST /public/x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		},
		"chunked": {
			request: "POST /public/x HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		},
		"one length": {
			request: "POST /public/x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1\r\n\r\nx",
			open:    true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			next := "GET /public/next HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
			if _, err := io.WriteString(conn, test.request+next); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			first, err := http.ReadResponse(r, nil)
			if err != nil || first.StatusCode != http.StatusOK {
				t.Fatal(first, err)
			}
			if _, err := io.Copy(io.Discard, first.Body); err != nil {
				t.Fatal(err)
			}
			second, err := http.ReadResponse(r, nil)
			if got := err == nil && second.StatusCode == http.StatusOK; got != test.open {
				t.Errorf("the connection is open: %v, want %v (%v)", got, test.open, err)
			}
		})
	}
}
