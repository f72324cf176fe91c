package proxy

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/cloakroom/cloakroom/session/problem"
)

// newH2CUpstream starts an upstream that answers one request over HTTP/2 with these header fields and "hello". No server
// of net/http would send all of them.
func newH2CUpstream(t *testing.T, fields ...hpack.HeaderField) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
		f := http2.NewFramer(conn, conn)
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if frame.Header().Type != http2.FrameHeaders {
				continue
			}
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			for _, field := range fields {
				_ = encoder.WriteField(field)
			}
			_ = f.WriteHeaders(http2.HeadersFrameParam{
				StreamID: frame.Header().StreamID, BlockFragment: block.Bytes(), EndHeaders: true,
			})
			_ = f.WriteData(frame.Header().StreamID, true, []byte("hello"))
		}
	}()
	return "h2c://" + l.Addr().String()
}

// TestLengthOfAnswer is PX-17 on the way down: HTTP/2 does not need a Content-Length to know where an answer ends, so
// net/http does not look at it; in HTTP/1.1 towards the browser another number, or a second one, ends it elsewhere.
func TestLengthOfAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		lengths []string
		good    bool
	}{
		"none":         {nil, true},
		"one":          {[]string{"5"}, true},
		"twice":        {[]string{"5", "5"}, true},
		"two":          {[]string{"5", "50"}, false},
		"a sign":       {[]string{"+5"}, false},
		"minus zero":   {[]string{"-0"}, false},
		"a list":       {[]string{"5, 5"}, false},
		"no number":    {[]string{"five"}, false},
		"out of range": {[]string{"99999999999999999999"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			fields := []hpack.HeaderField{{Name: ":status", Value: "200"}}
			for _, length := range test.lengths {
				fields = append(fields, hpack.HeaderField{Name: "content-length", Value: length})
			}
			g := newGateway(t, nil, &Route{Path: "/", Upstream: mustParse(t, newH2CUpstream(t, fields...)), Token: TokenNone})
			answer, err := io.ReadAll(g.send(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			lengths := strings.Count(strings.ToLower(string(answer)), "content-length:")
			if got := strings.HasPrefix(string(answer), "HTTP/1.1 200"); got != test.good || lengths > 1 {
				t.Fatalf("%q", answer)
			}
			if !test.good {
				if p := receive(t, g.problem); p.Code != problem.UpstreamUnavailable {
					t.Error(p)
				}
			}
		})
	}
}
