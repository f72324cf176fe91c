package gateway

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// bubble is the public server of a gateway with another handler, in a synctest bubble.
type bubble struct {
	t        *testing.T
	listener pipeListener
	server   *http.Server
}

// newBubble starts a server, with TLS if it gets a certificate.
func newBubble(t *testing.T, certificate *tls.Certificate, h http.HandlerFunc) *bubble {
	b := &bubble{t: t, listener: make(pipeListener, 1)}
	b.server = (&Gateway{log: slog.New(slog.DiscardHandler)}).newServer(h)
	var listener net.Listener = b.listener
	if certificate != nil {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"h2"}})
	}
	go func() { _ = b.server.Serve(listener) }()
	return b
}

// dial returns the client's end of a connection.
func (b *bubble) dial() net.Conn {
	near, far := net.Pipe()
	b.listener <- far
	return near
}

// close ends the server. All of it has to be over when the bubble is.
func (b *bubble) close() {
	if err := b.server.Close(); err != nil {
		b.t.Error(err)
	}
}

func testCertificate(t *testing.T) *tls.Certificate {
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	return &s.TLS.Certificates[0]
}

// TestSlowHeaders is PX-34: how long a client holds a connection without asking for anything.
func TestSlowHeaders(t *testing.T) {
	certificate := testCertificate(t)
	const header, idle = 10 * time.Second, 2 * time.Minute
	for name, test := range map[string]struct {
		certificate *tls.Certificate
		say         func(c net.Conn)
		closed      time.Duration
	}{
		"nothing":                     {nil, func(net.Conn) {}, header},
		"TLS, nothing":                {certificate, func(net.Conn) {}, header},
		"TLS, half a hello":           {certificate, func(c net.Conn) { _, _ = c.Write([]byte{22, 3, 1, 2, 0, 1}) }, header},
		"a byte every second":         {nil, dribble("GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 100)), header},
		"a request, then nothing":     {nil, say("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), idle},
		"a request, then half of one": {nil, say("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n"), header},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, test.certificate, func(http.ResponseWriter, *http.Request) {})
				conn, began := b.dial(), time.Now()
				var saying sync.WaitGroup
				saying.Go(func() { test.say(conn) })
				_, _ = io.Copy(io.Discard, conn)
				if took := time.Since(began); took != test.closed {
					t.Errorf("closed after %v, want %v", took, test.closed)
				}
				_ = conn.Close()
				saying.Wait()
				b.close()
			})
		})
	}
}

func say(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

func dribble(text string) func(net.Conn) {
	return func(c net.Conn) {
		for i := range text {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
			time.Sleep(time.Second) // of the bubble
		}
	}
}

// h2 is a client of HTTP/2 that does what it is told, and no more.
type h2 struct {
	net.Conn
	*http2.Framer
	fields bytes.Buffer
	coder  *hpack.Encoder
	next   uint32 // stream
}

// dialH2 opens a connection and says which settings the client has.
func (b *bubble) dialH2(settings ...http2.Setting) *h2 {
	b.t.Helper()
	conn := tls.Client(b.dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) // of this test
	c := &h2{Conn: conn, Framer: http2.NewFramer(conn, conn), next: 1}
	c.coder = hpack.NewEncoder(&c.fields)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		b.t.Fatal(err)
	}
	if err := c.WriteSettings(settings...); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// get begins a request as a link on another site does.
func (c *h2) get(path, host string) (stream uint32, err error) {
	return c.request([]string{
		":method GET", ":scheme https", ":path " + path, ":authority " + host,
		"sec-fetch-site cross-site", "sec-fetch-mode navigate", "sec-fetch-dest document",
	})
}

// request begins a request without a body. Fields are "name value".
func (c *h2) request(fields []string) (stream uint32, err error) {
	c.fields.Reset()
	for _, field := range fields {
		name, value, _ := strings.Cut(field, " ")
		_ = c.coder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	stream, c.next = c.next, c.next+2
	return stream, c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: c.fields.Bytes(), EndStream: true, EndHeaders: true,
	})
}

// frames reads what the server sends, to the end of the connection. It answers pings, as every client does.
func (c *h2) frames(each func(http2.Frame)) {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return
		}
		if ping, ok := frame.(*http2.PingFrame); ok && !ping.IsAck() {
			_ = c.WritePing(true, ping.Data)
		}
		each(frame)
	}
}

// TestSlowHTTP2 is PX-34 for a client that keeps its connection in good order and takes nothing of its answers, or asks for
// nothing.
func TestSlowHTTP2(t *testing.T) {
	certificate := testCertificate(t)
	outside := newReplica(t, func(_ *replica, c *Config) {
		files := c.Routes[len(c.Routes)-1].Static.(fstest.MapFS)
		files["long.js"] = &fstest.MapFile{Data: make([]byte, 1<<20)}
	})
	longLogin := "/bff/login?returnUrl=/" + strings.Repeat("%2B", 1000) // which the page with the button has in it, as &#43;
	for path, test := range map[string]struct {
		reset  time.Duration // the stream
		closed time.Duration // the connection
	}{
		"":                   {closed: 2 * time.Minute},
		"/bff/error":         {reset: stallTime},
		longLogin:            {reset: answerTime},
		"/bff/nothing":       {reset: stallTime},
		"/":                  {reset: stallTime},
		"/long.js":           {reset: answerTime},
		"/public/short":      {reset: stallTime},
		"/public/long":       {reset: stallTime},
		"/public/not/%61.js": {reset: stallTime}, // refused before a route is found
	} {
		t.Run(path[:min(len(path), 20)], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := inBubble(t, outside, func(r *http.Request) (*http.Response, error) {
					size := map[string]int64{"/public/short": 5, "/public/long": 1 << 20}[r.URL.Path]
					body := io.NopCloser(io.LimitReader(zeros{}, size))
					return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: size, Body: body}, nil
				})
				b := newBubble(t, certificate, g.Handler().ServeHTTP)
				c, began := b.dialH2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}), time.Now()
				if path != "" {
					if _, err := c.get(path, g.config.PublicURL.Host); err != nil {
						t.Fatal(err)
					}
				}
				var reset, closed time.Duration
				c.frames(func(f http2.Frame) {
					switch f.(type) {
					case *http2.RSTStreamFrame:
						reset = time.Since(began)
						_ = c.Close()
					case *http2.GoAwayFrame:
						closed = time.Since(began)
						_ = c.Close()
					}
				})
				if reset < test.reset || reset > 2*test.reset || closed != test.closed {
					t.Errorf("reset after %v, want %v; closed after %v, want %v", reset, test.reset, closed, test.closed)
				}
				b.close()
			})
		})
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestRapidReset is CVE-2023-44487: a client that takes back every request and makes the next has no more handlers at work
// than one that does not, and is cut off.
func TestRapidReset(t *testing.T) {
	certificate := testCertificate(t)
	synctest.Test(t, func(t *testing.T) {
		var at, most atomic.Int64
		b := newBubble(t, certificate, func(http.ResponseWriter, *http.Request) {
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(time.Hour) // of the bubble: work that does not end with the interest in it
			at.Add(-1)
		})
		c := b.dialH2()
		var code http2.ErrCode
		over := make(chan struct{})
		go func() {
			defer close(over)
			c.frames(func(f http2.Frame) {
				if away, ok := f.(*http2.GoAwayFrame); ok {
					code = away.ErrCode
					_ = c.Close()
				}
			})
		}()
		asked := 0
		for ; asked < 100_000; asked++ {
			stream, err := c.get("/", "x")
			if err != nil || c.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
				break
			}
		}
		_ = c.Close()
		<-over
		if n := most.Load(); n > maxStreams {
			t.Errorf("%d handlers at a time", n)
		}
		if code != http2.ErrCodeEnhanceYourCalm || asked > 10*maxStreams {
			t.Errorf("%d requests; the connection ended with %v", asked, code)
		}
		b.close()
		time.Sleep(2 * time.Hour) // for the handlers
	})
}
