package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// An answer that would go on for ever, and is no event stream, is cut off when the time is over: Run neither hangs nor fails
// because of it.
func TestGatewayCutsOffStreams(t *testing.T) {
	gone := make(chan struct{})
	stream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	defer stream.Close()
	g := newReplica(t, func(g *replica, c *Config) {
		c.Routes[3].Upstream = parseURL(t, stream.URL)
		g.options.Drain = 50 * time.Millisecond
	}).ready()
	// Without a flush of the header, which has to pass the access log's writer, this would wait for ever.
	res, err := (&http.Client{Timeout: 10 * time.Second}).Get(g.url + "/public/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := g.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the stream ended as if it were complete")
	}
	<-gone
}

// PX-17, PX-34: what a client may hold before it has said what it wants.
func TestServerLimits(t *testing.T) {
	g := newReplica(t, nil)
	if res := g.client().send("GET", "/", "X-Big: "+strings.Repeat("x", 80<<10)); res.StatusCode != 431 {
		t.Errorf("a header of 80 KiB: %s", res.Status)
	}
	if s := g.newServer(nil); s.ReadHeaderTimeout != 10*time.Second || s.IdleTimeout != 2*time.Minute {
		t.Errorf("ReadHeaderTimeout %v, IdleTimeout %v", s.ReadHeaderTimeout, s.IdleTimeout)
	}
}
