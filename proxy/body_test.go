package proxy

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// PX-17: a request that hides behind a malformed body is none, whatever the upstream makes of the body. A connection with
// a good body goes on.
func TestNothingHidesBehindABody(t *testing.T) {
	const length, chunked = "Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"
	for name, test := range map[string]struct {
		body    string
		answers int
	}{
		"length":                      {length + "hello", 2},
		"chunked":                     {chunked + "5\r\nhello\r\n0\r\n\r\n", 2},
		"a size that is no number":    {chunked + "zz\r\n", 1},
		"a chunk with another size":   {chunked + "5\r\nhello!\r\n", 1},
		"more about chunks than data": {chunked + "5;" + strings.Repeat("x", 5000) + "\r\nhello\r\n0\r\n\r\n", 1},
	} {
		for _, path := range []string{"/reads", "/answers"} {
			if test.answers == 2 && path == "/answers" {
				continue // either may be first, the answer or the end of the body
			}
			hidden := make(chan struct{}, 1)
			up := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/reads":
					_, _ = io.ReadAll(r.Body)
				case "/hidden":
					hidden <- struct{}{}
				}
			})
			g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone})
			const next = "GET /hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			conn := g.send(t, "POST "+path+" HTTP/1.1\r\nHost: x\r\n"+test.body+next)
			answers, read := 0, bufio.NewReader(conn)
			for {
				res, err := http.ReadResponse(read, nil)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, res.Body)
				answers++
			}
			if answers != test.answers || len(hidden) != test.answers-1 {
				t.Errorf("%s, upstream %s: %d answers, want %d; the hidden request reached the upstream: %v",
					name, path, answers, test.answers, len(hidden) == 1)
			}
		}
	}
}

// PX-17: the same where the upstream answers without having read the body, and the browser sends it then.
func TestNothingHidesBehindALateBody(t *testing.T) {
	hidden := make(chan struct{}, 1)
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hidden" {
			hidden <- struct{}{}
		}
		_ = http.NewResponseController(w).EnableFullDuplex() // or it would wait for the body
		_, _ = io.WriteString(w, "early")
	})
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone})
	conn := g.send(t, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	read := bufio.NewReader(conn)
	res, err := http.ReadResponse(read, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := body(t, res); text != "early" || !res.Close {
		t.Errorf("%q, and the connection is to be closed: %v", text, res.Close)
	}
	_, _ = io.WriteString(conn, "zz\r\nGET /hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if rest, _ := io.ReadAll(read); len(rest) > 0 || len(hidden) > 0 {
		t.Errorf("%q, and the hidden request reached the upstream: %v", rest, len(hidden) > 0)
	}
}
