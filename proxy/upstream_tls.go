package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
)

// tlsDialer connects with upstreams over TLS, and knows which of them speak HTTP/2. What it knows is not forgotten with
// time: addresses come from the configuration only.
type tlsDialer struct {
	tcp    *net.Dialer
	config *tls.Config
	http2  sync.Map // of bool, by address
}

// errNoHTTP2 is the error of a request to an upstream that has stopped to speak HTTP/2. The next goes in HTTP/1.1.
var errNoHTTP2 = errors.New("the upstream does not speak HTTP/2 any more")

// dial makes a connection in one of the protocols, if the upstream knows ALPN (RFC 7301); else in any.
func (d *tlsDialer) dial(ctx context.Context, address string, protocols ...string) (*tls.Conn, error) {
	tcp, err := d.tcp.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	config := d.config.Clone()
	config.NextProtos = protocols
	if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
		tcp.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Client(tcp, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, err
	}
	return conn, nil
}

// speaksHTTP2 asks an upstream that is not known yet, by a handshake and nothing else: net/http would use a connection
// without HTTP/2 for requests.
func (d *tlsDialer) speaksHTTP2(ctx context.Context, address string) (bool, error) {
	if known, ok := d.http2.Load(address); ok {
		return known.(bool), nil
	}
	conn, err := d.dial(ctx, address, "h2", "http/1.1")
	if err != nil {
		return false, err
	}
	defer conn.Close()
	yes := conn.ConnectionState().NegotiatedProtocol == "h2"
	d.http2.Store(address, yes)
	return yes, nil
}

// dialHTTP1 is a dial function. After a failure the upstream is asked again, since it may speak HTTP/2 only by now.
func (d *tlsDialer) dialHTTP1(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, address, "http/1.1")
	if err != nil {
		d.http2.Delete(address)
		return nil, err
	}
	return conn, nil
}

// dialHTTP2 is a dial function whose connections never speak HTTP/1.1.
func (d *tlsDialer) dialHTTP2(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, address, "h2", "http/1.1")
	if err != nil {
		return nil, err
	}
	if conn.ConnectionState().NegotiatedProtocol != "h2" {
		conn.Close()
		d.http2.Store(address, false)
		return nil, errNoHTTP2
	}
	return conn, nil
}
