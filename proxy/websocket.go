package proxy

import (
	"context"
	"crypto/sha1" // as RFC 6455 has it; it proves that the upstream speaks the protocol, and nothing more
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/session/problem"
)

// Field values that do not change.
var (
	upgradeField   = []string{"Upgrade"}
	websocketField = []string{"websocket"}
)

// handshakeFields are those of an answer to a handshake that the browser gets, besides the gateway's own (PX-22).
var handshakeFields = []string{
	"Connection", "Upgrade", "Sec-Websocket-Accept", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol",
}

// isHandshake reports whether a request is the opening handshake of RFC 6455 §4.2.1, to the letter. What only
// resembles one goes up as an ordinary request, without Upgrade (PX-03).
func isHandshake(r *http.Request) bool {
	upgrade, version := r.Header["Upgrade"], r.Header["Sec-Websocket-Version"]
	key, err := base64.StdEncoding.Strict().DecodeString(r.Header.Get("Sec-Websocket-Key"))
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor >= 1 && r.ContentLength == 0 &&
		hasToken(r.Header["Connection"], "upgrade") &&
		len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket") &&
		len(version) == 1 && version[0] == "13" &&
		len(r.Header["Sec-Websocket-Key"]) == 1 && err == nil && len(key) == 16
}

// hasToken reports whether a field that is a list of tokens (RFC 9110 §5.6.1) has one, in any case.
func hasToken(lines []string, token string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		for element := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(element, " \t"), token) {
				return true
			}
		}
		return false
	})
}

// switchProtocols lets the upstream's answer to a handshake pass. What then runs over the connection nobody looks at,
// so an upstream that does not speak WebSocket must not get that far: a client could say anything to it, past all
// checks (RFC 6455 §4.1, §10.3).
func (x *exchange) switchProtocols(res *http.Response) error {
	h := res.Header
	accept, upgrade := h["Sec-Websocket-Accept"], h["Upgrade"]
	upstream, ok := res.Body.(io.ReadWriteCloser)
	if !ok || // net/http has not seen Connection: Upgrade
		len(upgrade) != 1 || !strings.EqualFold(upgrade[0], "websocket") ||
		len(accept) != 1 || accept[0] != acceptFor(x.in.Header.Get("Sec-Websocket-Key")) {
		return problem.Wrap(problem.UpstreamUnavailable, errors.New("the upstream switched to something that is not WebSocket"))
	}
	res.Header = http.Header{}
	for _, name := range handshakeFields {
		if values, ok := h[name]; ok {
			res.Header[name] = values
		}
	}
	res.Body = tunnel{upstream, &x.watch}
	x.watch.answer()
	x.switched = true
	return nil
}

// acceptFor is the Sec-WebSocket-Accept for a key (§4.2.2).
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// tunnel is the connection to the upstream. Where either side closes, the other is closed too: there is no half of a
// WebSocket. ReverseProxy does so at an error, and where it finds no CloseWrite to call.
type tunnel struct {
	io.ReadWriteCloser
	watch *watch
}

func (t tunnel) Read(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(p)
	t.watch.move()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (t tunnel) Write(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Write(p)
	t.watch.move()
	return n, err
}

// onDrain calls end when the server is about to stop, until it is undone.
func (p *Proxy) onDrain(end context.CancelCauseFunc) (undo func()) {
	done := make(chan struct{})
	go func() {
		select {
		case <-p.draining:
			err := fmt.Errorf("the gateway is about to stop: %w", context.Canceled)
			end(problem.Wrap(problem.UpstreamUnavailable, err)) // what a handshake under way is told
		case <-done:
		}
	}()
	return func() { close(done) }
}
