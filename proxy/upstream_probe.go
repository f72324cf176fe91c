//go:build unix

package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// probe looks whether something waits on an idle connection, without waiting itself.
type probe struct {
	raw   syscall.RawConn // nil: cannot be looked at
	tls   *tls.Conn       // nil: no TLS
	look  func(fd uintptr) bool
	b     [1]byte
	empty bool
}

func (p *probe) init(conn net.Conn) {
	if c, ok := conn.(*tls.Conn); ok {
		p.tls, conn = c, c.NetConn()
	}
	if c, ok := conn.(syscall.Conn); ok {
		p.raw, _ = c.SyscallConn()
	}
	p.look = func(fd uintptr) bool {
		_, err := syscall.Read(int(fd), p.b[:]) // the descriptor does not block
		p.empty = err == syscall.EAGAIN
		return true // or RawConn would wait
	}
}

// quiet reports whether the connection is open and no byte waits on it. A connection that is not quiet can only be
// closed: the byte is lost.
func (p *probe) quiet() bool {
	return p.raw != nil && p.raw.Read(p.look) == nil && p.empty && (p.tls == nil || p.quietTLS())
}

// quietTLS reports whether crypto/tls has nothing that it has read from the socket already, be it decrypted or not. A
// deadline that is over keeps it from the socket. Its error is none that stays: it is a temporary one.
func (p *probe) quietTLS() bool {
	if p.tls.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	_, err := p.tls.Read(p.b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) && p.tls.SetReadDeadline(time.Time{}) == nil
}
