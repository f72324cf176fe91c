package proxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// Transport carries requests to upstreams (PX-18). What is most of a gateway's work, a request that is in memory as a
// whole and goes to an upstream in HTTP/1.1, takes connections of its own kind ([http1Transport]), which cost less than
// half of net/http's. They are the only ones of HTTP/1.1 that are used again: net/http gives what an upstream sends behind
// an answer to the next request, which may be somebody else's (RFC 9112 §11.1). So an upgrade or a streamed body in
// HTTP/1.1 gets one of net/http's for itself. HTTP/2 is net/http's.
//
// It is made for many requests to few hosts: connections are kept, since the two idle ones per host of
// [http.DefaultTransport] mean a new connection for most requests under load. It asks no proxy from the environment,
// follows no redirect, verifies certificates, speaks TLS 1.2 or later and leaves compression to the two ends. How long
// an answer may take is a matter of the route ([Route].Timeout), by way of the request's context.
type Transport struct {
	tls    *tlsDialer
	plain  http1Transport  // over TCP
	secure http1Transport  // over TLS, to upstreams without HTTP/2
	once   *http.Transport // HTTP/1.1 over either, a connection for each request
	h2     *http.Transport // HTTP/2 over TLS
	h2c    *http.Transport // HTTP/2 with prior knowledge over plain TCP (RFC 9113 §3.3)
}

// Limits of the connections to upstreams, for each host.
const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second  // of TLS
	keepAlive        = 30 * time.Second // between the probes of TCP
	maxIdle          = 512              // connections
	idleTimeout      = time.Minute
	maxAnswerHead    = 256 << 10 // bytes
)

// NewTransport returns a transport without connections.
func NewTransport() *Transport {
	tcp := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	secure := &tlsDialer{tcp: tcp, config: &tls.Config{MinVersion: tls.VersionTLS12}}
	once := &http.Transport{
		DialContext:            tcp.DialContext,
		DialTLSContext:         secure.dialHTTP1,
		Protocols:              new(http.Protocols),
		DisableKeepAlives:      true,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxAnswerHead,
		DisableCompression:     true,
	}
	once.Protocols.SetHTTP1(true)
	h2 := once.Clone()
	h2.DialTLSContext, h2.DisableKeepAlives = secure.dialHTTP2, false
	h2.MaxIdleConnsPerHost, h2.IdleConnTimeout = maxIdle, idleTimeout
	h2.Protocols = new(http.Protocols)
	h2.Protocols.SetHTTP2(true)
	h2c := h2.Clone()
	h2c.Protocols = new(http.Protocols)
	h2c.Protocols.SetUnencryptedHTTP2(true)
	return &Transport{
		tls:   secure,
		plain: http1Transport{dial: tcp.DialContext}, secure: http1Transport{dial: secure.dialHTTP1},
		once: once, h2: h2, h2c: h2c,
	}
}

// RoundTrip is that of [http.RoundTripper]. The scheme h2c means http in HTTP/2 with prior knowledge; an upgrade is
// HTTP/1.1 there too, as it is over TLS. No error holds what the upstream sent.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	upgrade := len(req.Header["Upgrade"]) > 0
	switch scheme := req.URL.Scheme; {
	case scheme == "h2c" && upgrade:
		return readable(roundTripAs(t.once, "http", req))
	case scheme == "h2c":
		return readable(roundTripAs(t.h2c, "http", req))
	case scheme == "http" && isWhole(req):
		return t.plain.RoundTrip(req)
	case scheme == "https" && !upgrade && isHostPort(req.URL.Host): // others net/http makes sense of
		return t.roundTripTLS(req)
	}
	return readable(t.once.RoundTrip(req))
}

func (t *Transport) roundTripTLS(req *http.Request) (*http.Response, error) {
	http2, err := t.tls.speaksHTTP2(req.Context(), withPort(req.URL))
	switch {
	case err != nil:
		if req.Body != nil {
			req.Body.Close()
		}
		return readable(nil, causeOf(req.Context(), err))
	case http2:
		return readable(t.h2.RoundTrip(req))
	case isWhole(req):
		return t.secure.RoundTrip(req)
	}
	return readable(t.once.RoundTrip(req))
}

// CloseIdleConnections closes the connections that carry no request.
func (t *Transport) CloseIdleConnections() {
	t.plain.idle.close()
	t.secure.idle.close()
	t.h2.CloseIdleConnections()
	t.h2c.CloseIdleConnections()
}

func roundTripAs(t *http.Transport, scheme string, req *http.Request) (*http.Response, error) {
	out := req.WithContext(req.Context())
	u := *req.URL
	u.Scheme, out.URL = scheme, &u
	res, err := t.RoundTrip(out)
	if res != nil {
		res.Request = req
	}
	return res, err
}

const copyBufferSize = 32 << 10 // bytes, what io.Copy uses

// bufferPool lends [httputil.ReverseProxy] the buffers that it copies bodies with.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[copyBufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, copyBufferSize)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put((*[copyBufferSize]byte)(b)) }
