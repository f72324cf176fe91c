//go:build !linux

package gateway

import (
	"net"
	"time"
)

// listenTCP opens a listener. What it does about clients that take nothing it does on Linux only. Elsewhere they hold a
// connection of HTTP/1.1 for as long as they like, though no upstream.
func listenTCP(address string, _ time.Duration) (net.Listener, error) {
	return net.Listen("tcp", address)
}
