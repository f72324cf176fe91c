package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// startVite starts Vite's dev server.
func startVite(t *testing.T) *example {
	t.Helper()
	e := startExample(t, "vite")
	vite := start(t, e.node("node_modules/.bin/vite"))
	t.Cleanup(func() { // earlier than start's: Vite does not end with 0, but as shells report SIGTERM
		vite.ended.Do(func() {
			_ = vite.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-vite.exited:
			case <-time.After(stopTime):
				t.Errorf("%s did not stop", vite.name)
			}
		})
	})
	e.awaitPort(vite, e.frontEnd)
	return e
}

// TestExampleVite works on a page while a browser shows it: the dev server's WebSocket goes through the gateway, on a
// route of its own that asks for the page's origin (PX-20), and the page changes without being loaded again.
func TestExampleVite(t *testing.T) {
	t.Parallel()
	e := startVite(t)
	b := startBrowser(t)
	sockets := followSockets(b)
	b.open(e.config.Origin)
	b.click("#sign-in")
	if user := b.read("#user"); user != "Signed in as "+exampleName {
		t.Errorf("the page shows %q", user)
	}
	b.click("#call-api")
	if answer := b.read("#answer"); !strings.Contains(answer, `"token": true`) {
		t.Errorf("the API call shows %q", answer)
	}
	b.screenshot("1-signed-in")

	hmr := "ws" + strings.TrimPrefix(e.config.Origin, "http") + "/hmr?"
	eventually(t, pageTime, "a WebSocket at "+hmr, func() bool { return sockets.open(hmr) })
	evaluate[any](b, "void (window.loadedOnce = true)")
	file := filepath.Join(e.dir, "src", "App.vue")
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, strings.Replace(string(source), "<h1>Vite behind Cloakroom</h1>", "<h1>Changed in the editor</h1>", 1))
	b.await(`document.querySelector("h1").innerText === "Changed in the editor"`)
	if !evaluate[bool](b, `loadedOnce && document.querySelector("#answer") !== null`) {
		t.Error("the page was loaded again, or has lost its state")
	}
	b.screenshot("2-changed")

	b.click("#sign-out")
	b.see("#sign-in")
}

// sockets are the WebSockets of a tab.
type sockets struct {
	mu   sync.Mutex
	urls map[network.RequestID]string
	done []string // addresses of those that were let through
}

func followSockets(b *tab) *sockets {
	b.t.Helper()
	s := &sockets{urls: map[network.RequestID]string{}}
	err := chromedp.Listen(b.ctx, func(event any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch event := event.(type) {
		case *network.EventWebSocketCreated:
			s.urls[event.RequestID] = event.URL
		case *network.EventWebSocketHandshakeResponseReceived:
			if event.Response.Status == http.StatusSwitchingProtocols {
				s.done = append(s.done, s.urls[event.RequestID])
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// open reports whether a WebSocket has been opened at an address that begins like this.
func (s *sockets) open(prefix string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.done, func(url string) bool { return strings.HasPrefix(url, prefix) })
}
