package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestServerSentEvents: an event is at the browser before the next one is sent, and the upstream learns when the
// browser has left.
func TestServerSentEvents(t *testing.T) {
	next, gone := make(chan string), make(chan struct{})
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case event := <-next:
				fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				close(gone)
				return
			}
		}
	})
	g := newGateway(t, alice, &Route{Path: "/", Upstream: up, Token: TokenUser})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { next <- "0" }()
	res, err := g.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for i := range 5 {
		lines.Scan()
		if want := fmt.Sprintf("data: %d", i); lines.Text() != want {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
		lines.Scan()
		next <- fmt.Sprint(i + 1)
	}
	cancel()
	<-gone
}

// TestStreamsBothWays: the upstream reads the beginning of a body before its end exists.
func TestStreamsBothWays(t *testing.T) {
	half := make(chan string)
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 4)
		_, _ = io.ReadFull(r.Body, b)
		half <- string(b)
		rest, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s%s", b, rest)
	})
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone})
	pr, pw := io.Pipe()
	go func() {
		fmt.Fprint(pw, "half")
		<-half
		fmt.Fprint(pw, "rest")
		pw.Close()
	}()
	if got := body(t, g.do(t, http.MethodPost, "/", pr)); got != "halfrest" {
		t.Errorf("%q", got)
	}
}

// TestAnswerBeforeTheEndOfTheBody: an upstream that answers as it reads gets the rest of the body all the same.
func TestAnswerBeforeTheEndOfTheBody(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := c.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		_ = c.Flush() // the header, before a byte has been read
		_, _ = io.Copy(w, r.Body)
	})
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone})
	pr, pw := io.Pipe()
	begun := make(chan struct{})
	go func() {
		_, _ = io.WriteString(pw, "first ")
		<-begun
		_, _ = io.WriteString(pw, strings.Repeat("x", 100<<10)) // less than net/http would throw away
		_ = pw.Close()
	}()
	res := g.do(t, http.MethodPost, "/", pr)
	close(begun)
	if got := body(t, res); len(got) != len("first ")+(100<<10) {
		t.Errorf("%d bytes came back", len(got))
	}
}

// TestBigBodies: larger than any buffer on the way, each byte as it was.
func TestBigBodies(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone, MaxBody: 8 << 20})
	sent := strings.Repeat("0123456789abcdef", 4<<20/16)
	if got := body(t, g.do(t, http.MethodPost, "/", strings.NewReader(sent))); got != sent {
		t.Errorf("%d bytes came back of %d", len(got), len(sent))
	}
}
