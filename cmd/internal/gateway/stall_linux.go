package gateway

import (
	"context"
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which package syscall has for some architectures only.
const tcpUserTimeout = 0x12

// listenTCP opens a listener whose connections the system cuts off when their peer takes nothing of what has been written
// to it, for so long. That costs nothing, and holds between two requests too.
func listenTCP(address string, stall time.Duration) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) { // connections inherit it; where the system does not have it, it is no reason not to start
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(stall.Milliseconds()))
		})
	}}
	config.SetMultipathTCP(false) // whose sockets do not have it
	return config.Listen(context.Background(), "tcp", address)
}
