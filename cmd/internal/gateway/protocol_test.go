package gateway

import (
	"net/http"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// PX-20: WebSockets over HTTP/2 (RFC 8441) are not there, and are not announced: a browser that is told nothing of
// SETTINGS_ENABLE_CONNECT_PROTOCOL opens a connection of HTTP/1.1 for one. Whoever tries all the same loses the stream, not
// the connection.
func TestNoExtendedConnect(t *testing.T) {
	certificate := testCertificate(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, certificate, func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodConnect {
				t.Error("it reached the handler")
			}
		})
		c := b.dialH2()
		refused, err := c.request([]string{":method CONNECT", ":protocol websocket", ":scheme https", ":path /", ":authority x"})
		if err != nil {
			t.Fatal(err)
		}
		ordinary, err := c.get("/", "x")
		if err != nil {
			t.Fatal(err)
		}
		c.frames(func(f http2.Frame) {
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if _, ok := f.Value(http2.SettingEnableConnectProtocol); ok {
					t.Error("extended CONNECT is announced")
				}
			case *http2.RSTStreamFrame:
				if f.StreamID != refused {
					t.Errorf("stream %d was reset: %v", f.StreamID, f.ErrCode)
				}
				refused = 0
			case *http2.HeadersFrame:
				if f.StreamID != ordinary {
					t.Errorf("an answer on stream %d", f.StreamID)
				}
				_ = c.Close()
			}
		})
		if refused != 0 {
			t.Error("it was not refused")
		}
		b.close()
	})
}
