package gateway

import (
	"bufio"
	"net"
	"net/http"
)

// Hijack notes that the connection speaks another protocol from now on: the status of a WebSocket in the access log.
func (e *access) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(e.ResponseWriter).Hijack()
	if err == nil {
		e.status, e.began = http.StatusSwitchingProtocols, e.now()
	}
	return conn, rw, err
}
