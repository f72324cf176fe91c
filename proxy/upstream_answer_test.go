package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// misframed are answers that two readers could take for different things (PX-17; RFC 9112 §6.3, §11.1, §11.2), and
// answers that are none. A marker shows where an error would quote one.
var misframed = map[string]string{
	"no HTTP":                   "marker\r\n\r\n",
	"version 2":                 "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
	"version 1.2":               "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
	"version 0.9":               "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
	"version in lower case":     "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"empty line first":          "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"two blanks":                "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
	"no status":                 "HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	"status of two digits":      "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
	"status of four digits":     "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
	"status with a sign":        "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
	"status below 100":          "HTTP/1.1 099 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"control in the reason":     "HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
	"LF after the status":       "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
	"LF after a field":          "HTTP/1.1 200 OK\r\nContent-Length: 0\nX-A: marker\r\n\r\n",
	"LF at the end":             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
	"CR in a value":             "HTTP/1.1 200 OK\r\nX-A: marker\rContent-Length: 0\r\n\r\n",
	"CR at the end of a value":  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\r\n\r\n",
	"NUL in a value":            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: \x00marker\r\n\r\n",
	"folded field":              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: a\r\n marker\r\n\r\n",
	"folded first field":        "HTTP/1.1 200 OK\r\n Content-Length: 0\r\n\r\n",
	"no colon":                  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nmarker\r\n\r\n",
	"no name":                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n: marker\r\n\r\n",
	"blank before the colon":    "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
	"blank in a name":           "HTTP/1.1 200 OK\r\nContent Length: 0\r\n\r\n",
	"name in Unicode":           "HTTP/1.1 200 OK\r\nContent-Length\u00a0: 0\r\n\r\n",
	"length with a sign":        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n1",
	"negative length":           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
	"length in hexadecimal":     "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n1",
	"length with _":             "HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n1234567890",
	"empty length":              "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
	"list of lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n1",
	"length over 63 bits":       "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
	"two lengths":               "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
	"length and chunked":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunked and length":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	"another coding":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
	"identity":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
	"two codings":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"chunked twice":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunked, not quite":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	"chunked with a parameter":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
	"empty coding":              "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 0\r\n\r\n",
	"chunked in HTTP/1.0":       "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"length in the trailers":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n",
	"204 with a body":           "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nmarker",
	"204 with chunks":           "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"interim with a length":     "HTTP/1.1 103 Early Hints\r\nContent-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"interim in chunks":         "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"interim without end":       strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInterim+1),
	"101":                       "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"line without end":          "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("marker", maxAnswerHead/6),
	"header without end":        "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: marker\r\n", maxAnswerHead/12),
	"size with a sign":          chunkedHead + "+1\r\n1\r\n0\r\n\r\n",
	"size with 0x":              chunkedHead + "0x1\r\n1\r\n0\r\n\r\n",
	"size with a blank first":   chunkedHead + " 1\r\n1\r\n0\r\n\r\n",
	"no size":                   chunkedHead + "\r\n1\r\n0\r\n\r\n",
	"size over 64 bits":         chunkedHead + "10000000000000001\r\n1\r\n0\r\n\r\n",
	"LF after the size":         chunkedHead + "1\n1\r\n0\r\n\r\n",
	"CR in an extension":        chunkedHead + "1;a\rb\r\n1\r\n0\r\n\r\n",
	"LF after the data":         chunkedHead + "1\r\n1\n0\r\n\r\n",
	"chunk longer than said":    chunkedHead + "1\r\n12\r\n0\r\n\r\n",
	"extension without end":     chunkedHead + "1;" + strings.Repeat("marker", 1000) + "\r\n1\r\n0\r\n\r\n",
	"extensions without end":    chunkedHead + strings.Repeat("1;"+strings.Repeat("x", 4000)+"\r\n1\r\n", 10) + "0\r\n\r\n",
	"LF in the trailers":        chunkedHead + "0\r\nX-A: marker\n\r\n",
	"LF at the end of trailers": chunkedHead + "0\r\n\n",
	"trailer without a colon":   chunkedHead + "0\r\nmarker\r\n\r\n",
	"folded trailer":            chunkedHead + "0\r\nX-A: a\r\n marker\r\n\r\n",
	"trailers without end":      chunkedHead + "0\r\n" + strings.Repeat("X-A: marker\r\n", maxTrailers/12),
}

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// TestMisframed is PX-17 the other way round: each is refused at once, in words that do not quote it, its connection
// ends, and the next request gets its own answer.
func TestMisframed(t *testing.T) {
	for name, odd := range misframed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWire(t, func(conn net.Conn, r *http.Request, _ int64) bool {
				if r.URL.Path != "/odd" {
					return answer(conn, r.URL.Path)
				}
				_, err := io.WriteString(conn, odd) // and the connection stays open
				return err == nil
			})
			tr := newTestTransport(t)
			_, text, err := send(t, tr, "GET", s.url+"/odd", "")
			if err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("error %v, body %q", err, text)
			}
			if strings.Contains(err.Error(), "marker") {
				t.Errorf("the error quotes the answer: %v", err)
			}
			if _, text, err := send(t, tr, "GET", s.url+"/next", ""); text != "/next" || err != nil || s.conns.Load() != 2 {
				t.Errorf("then %q, %v, over %d connections", text, err, s.conns.Load())
			}
		})
	}
}

// memoryConn is a connection whose other side has sent everything already.
type memoryConn struct {
	net.Conn
	r io.Reader
}

func (c memoryConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c memoryConn) Write(p []byte) (int, error) { return len(p), nil }
func (c memoryConn) Close() error                { return nil }

// readWith reads one answer from the bytes, which come one by one or all together. unread is how many of them are left,
// and kept whether the connection would be used again.
func readWith(method string, sent []byte, slowly bool) (res *http.Response, text []byte, unread int, kept bool, err error) {
	in := bytes.NewReader(sent)
	conn := memoryConn{r: in}
	if slowly {
		conn.r = iotest.OneByteReader(in)
	}
	idle := &idleConns{}
	defer idle.close()
	c := newUpstreamConn(conn, "upstream", idle)
	if res, err = c.roundTrip(&http.Request{Method: method}, nil); err == nil {
		text, err = io.ReadAll(res.Body)
	}
	return res, text, in.Len() + c.r.Buffered(), len(idle.conns["upstream"]) > 0, err
}

// FuzzAnswer: what we accept, net/http accepts too, as the same answer of the same length. A connection with something
// behind the answer is not used again, and it does not matter in what pieces an answer comes.
func FuzzAnswer(f *testing.F) {
	for _, odd := range misframed {
		if len(odd) < 1000 {
			f.Add([]byte(odd), false)
		}
	}
	for _, good := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a:\t2 \r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 304\r\nContent-Length: 7\r\nPragma: no-cache\r\n\r\n",
		"HTTP/1.1 404 \r\nConnection: close, x\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nto the end",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf",
		chunkedHead + "4\r\nwiki\r\nA;ext=1\r\n0123456789\r\n0\r\nX-A: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nTrailer: X-A, X-B\r\n\r\n1 \r\n1\r\n00\r\n\r\nmore",
	} {
		f.Add([]byte(good), false)
		f.Add([]byte(good), true)
	}
	f.Fuzz(func(t *testing.T, sent []byte, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		got, text, unread, kept, err := readWith(method, sent, false)
		_, slowText, slowUnread, _, slowErr := readWith(method, sent, true)
		if (err == nil) != (slowErr == nil) || err == nil && (!bytes.Equal(text, slowText) || unread != slowUnread) {
			t.Fatalf("byte by byte it is %q %v, together %q %v", slowText, slowErr, text, err)
		}
		if kept && (unread > 0 || err != nil) {
			t.Fatalf("kept a connection with %d bytes behind the answer, %v", unread, err)
		}
		if err != nil {
			return
		}
		in := bufio.NewReaderSize(bytes.NewReader(sent), len(sent)+16) // it peeks for the end of trailers
		var want *http.Response
		for want == nil || want.StatusCode < 200 {
			if want, err = http.ReadResponse(in, &http.Request{Method: method}); err != nil {
				t.Fatalf("net/http refuses it: %v", err)
			}
		}
		wantText, err := io.ReadAll(want.Body)
		if err != nil {
			t.Fatalf("net/http refuses the body: %v", err)
		}
		if !bytes.Equal(text, wantText) || unread != in.Buffered() {
			t.Fatalf("body %q and %d bytes behind it, for net/http %q and %d", text, unread, wantText, in.Buffered())
		}
		if got.ProtoMinor == 0 {
			want.Close = true // we keep no connection to an HTTP/1.0 server
		}
		if got.ProtoMinor == 1 && wantsClose(got.Header) {
			delete(got.Header, "Connection") // which net/http forgets, and what is listed there with it
		}
		for _, res := range []*http.Response{got, want} {
			res.Body, res.Request, res.Trailer = nil, nil, nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}
