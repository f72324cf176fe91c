package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// startLive serves an API whose answers do not end by themselves: /live/events is an event stream, /live/poll is silent
// for long, /live/socket switches protocols. polls is told of each poll.
func startLive(t *testing.T) (server *httptest.Server, polls <-chan struct{}) {
	t.Helper()
	done, polled := make(chan struct{}), make(chan struct{}, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("/live/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-done:
		}
	})
	mux.HandleFunc("/live/poll", func(_ http.ResponseWriter, r *http.Request) {
		polled <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-done:
		}
	})
	mux.HandleFunc("/live/socket", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello\n\n")
		_ = rw.Flush()
		_, _ = io.Copy(io.Discard, rw) // until the gateway hangs up
	})
	server = httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(done) })
	return server, polled
}

// asWebSocket is the handshake of RFC 6455 §1.3, as a page of the application sends it.
func asWebSocket(r *http.Request) {
	for name, value := range map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "websocket",
	} {
		r.Header.Set(name, value)
	}
	r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
}

// TestConnectionsEnd: what an API keeps open for a session is closed within a second of its end, on every replica, and
// only that (RPL-12, BCL-28, PX-21).
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	live, polls := startLive(t)
	c := newConfig(t, startAPI(t))
	c.useRedis(t, startRedis(t))
	c.Routes = fmt.Sprintf(`
- {path: /live/, upstream: %[1]s, token: user, csrf: origin}
- {path: /live/socket, upstream: %[1]s, token: user, csrf: origin, websocket: true}
`, quote(live.URL))
	op := c.startOP(t, optest.Config{})
	replicas := []*gateway{serve(t, c), serve(t, c.replica(t))}

	for name, end := range map[string]func(t *testing.T, a *agent, sid string){
		"logout at the other replica": func(t *testing.T, a *agent, _ string) {
			a.via(replicas[1]).fetch("POST", "/bff/logout").want(t, http.StatusOK)
		},
		"back-channel logout": func(t *testing.T, _ *agent, sid string) {
			token, err := op.LogoutToken("app", "", sid)
			if err != nil {
				t.Fatal(err)
			}
			deliver(newAgent(replicas[1]), token).wantDone(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			sid := ""
			op.ClearFaults()
			op.Fault(optest.EditIDToken("noted", func(token *optest.JWT) { sid, _ = token.Claims["sid"].(string) }))
			a, other := newAgent(replicas[0]), newAgent(replicas[0])
			other.login()
			stays := other.open(t, "/live/events")
			a.login()
			var open []*connection
			for _, g := range replicas {
				from := a.via(g)
				open = append(open, from.open(t, "/live/events"), from.open(t, "/live/socket", asWebSocket),
					from.open(t, "/live/poll"))
				<-polls
			}
			began := time.Now()
			end(t, a, sid)
			for _, one := range open {
				select {
				case <-one.closed:
				case <-time.After(time.Until(began.Add(atOnce))):
					t.Errorf("%s is open %v after the end of its session", one.path, atOnce)
				}
			}
			t.Logf("all were closed after %v", time.Since(began).Round(time.Millisecond))
			select {
			case <-stays.closed:
				t.Error("the other user's stream was closed too")
			default:
			}
		})
	}
}

// connection is a request whose answer does not end.
type connection struct {
	path   string
	closed chan struct{}
}

// open sends a request and waits until its answer has begun, where it does.
func (a *agent) open(t *testing.T, path string, options ...option) *connection {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.origin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	asEventSource(r)
	for _, change := range options {
		change(r)
	}
	c := &connection{path: path, closed: make(chan struct{})}
	begun := make(chan string, 1)
	client := *a.client
	client.Timeout = 0
	client.Transport = a.client.Transport.(recorder).next // which waits for the whole body
	go func() {
		defer close(c.closed)
		res, err := client.Do(r)
		if err != nil {
			begun <- err.Error()
			return
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		line, err := lines.ReadString('\n')
		if err != nil || res.StatusCode >= http.StatusBadRequest {
			begun <- res.Status + " " + line
			return
		}
		begun <- ""
		_, _ = io.Copy(io.Discard, lines)
	}()
	if path == "/live/poll" {
		return c
	}
	select {
	case failed := <-begun:
		if failed != "" {
			t.Fatalf("%s: %s", path, failed)
		}
	case <-time.After(startTime):
		t.Fatalf("%s does not begin", path)
	}
	return c
}
