package proxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// NewTransport returns a transport for upstreams (PX-18). It is made for many requests to few hosts: connections
// are kept, since the two idle ones per host of [http.DefaultTransport] mean a new connection for most requests
// under load. It asks no proxy from the environment, verifies certificates, speaks TLS 1.2 or later and leaves
// compression to the two ends. How long an answer may take is a matter of the route ([Route].Timeout).
func NewTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           0, // the limit per host is enough, hosts come from the configuration only
		MaxIdleConnsPerHost:    512,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
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
