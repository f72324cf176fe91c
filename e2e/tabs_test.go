package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// requests are what the tabs of a browser have asked for.
type requests struct {
	mu   sync.Mutex
	list []tabRequest
}

type tabRequest struct {
	*network.Request
	tab *tab
}

// follow adds a tab.
func (r *requests) follow(b *tab) {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(event any) {
		if sent, ok := event.(*network.EventRequestWillBeSent); ok {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.list = append(r.list, tabRequest{sent.Request, b})
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// all returns them as they are, oldest first.
func (r *requests) all() []tabRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// count returns how many GET requests for an address some of the tabs have sent.
func (r *requests) count(address string, of []*tab) int {
	return len(slices.DeleteFunc(r.all(), func(sent tabRequest) bool {
		return sent.Method != http.MethodGet || sent.URL != address || !slices.Contains(of, sent.tab)
	}))
}

func (r *requests) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
}

// TestTabs: a user with five open tabs signs out in one of them, or at another application. The others show it within a
// second, and none of them has asked: there is one event stream for all (issue 5, pain 8).
func TestTabs(t *testing.T) {
	t.Parallel()
	_, app := startDemo(t)
	first := startBrowser(t)
	seen := &requests{}
	tabs := []*tab{first}
	for range 4 {
		tabs = append(tabs, first.newTab())
	}
	for _, b := range tabs {
		seen.follow(b)
	}
	elsewhere := first.newTab()

	// The first tab is the one that holds the event stream. When it goes, the tabs have to tell each other; when nobody
	// has clicked in any of them, the stream has to tell. A click in another tab is both.
	for _, round := range []struct {
		name string
		out  *tab // in which the user signs out
	}{
		{"in the tab with the event stream", tabs[0]},
		{"at another application", elsewhere},
	} {
		t.Run(round.name, func(t *testing.T) {
			for _, b := range tabs {
				b.open("about:blank") // which leaves the stream to nobody
			}
			seen.forget()
			signInDemo(first, app, alice)
			for _, b := range tabs[1:] {
				b.open(app)
				b.read(signedIn)
			}
			if round.out == elsewhere {
				elsewhere.open(evaluate[string](first, `document.querySelector("#other-app").href`))
				elsewhere.click("#sign-in")
				elsewhere.click(goOn)
				elsewhere.read(signedIn)
			}
			eventually(t, pageTime, "the event stream", func() bool { return seen.count(app+"/bff/events", tabs) > 0 })
			if n := seen.count(app+"/bff/events", tabs); n != 1 {
				t.Errorf("%d event streams for five tabs, want 1", n)
			}

			var others []*tab
			for _, b := range tabs {
				if b != round.out {
					others = append(others, b)
					evaluate[any](b, noteSignedOut)
				}
			}
			seen.forget()
			evaluate[any](round.out, `void document.querySelector("#sign-out").addEventListener("click",
				() => { document.cookie = "clicked=" + Date.now() }, {capture: true})`)
			round.out.click("#sign-out")
			var slowest time.Duration
			for i, b := range others {
				b.see("#sign-in")
				took := evaluate[float64](b, `signedOutAt - Number(/clicked=(\d+)/.exec(document.cookie)[1])`)
				if slowest = max(slowest, time.Duration(took)*time.Millisecond); took > 1000 {
					t.Errorf("tab %d shows it after %.0f ms", i, took)
				}
				if said := b.read("#status"); said == "" {
					t.Errorf("tab %d does not say why", i)
				}
			}
			asked := seen.count(app+"/bff/session", others) + seen.count(app+"/bff/user", others)
			t.Logf("the slowest of %d tabs showed it after %v; %d requests for the session", len(others), slowest, asked)
			if asked > 0 {
				t.Errorf("the tabs have asked %d times", asked)
			}
			shown := others[len(others)-1]
			shown.screenshot(strings.ReplaceAll(round.name, " ", "-"))
		})
	}
}

// noteSignedOut notes when the page says that nobody is signed in.
const noteSignedOut = `void (() => {
	const note = () => {
		if (document.querySelector("#sign-in").checkVisibility()) window.signedOutAt ??= Date.now();
	};
	new MutationObserver(note).observe(document.body, {subtree: true, childList: true, attributes: true});
})()`

// signInDemo signs a user in at the demo, whose OP may know or remember the user.
func signInDemo(b *tab, app, user string) {
	b.t.Helper()
	b.open(app)
	b.click("#sign-in")
	b.await(fmt.Sprintf("document.querySelector(%s) ?? document.querySelector(%s)", quote(user), quote(signedIn)))
	if evaluate[bool](b, fmt.Sprintf("document.querySelector(%s) !== null", quote(user))) {
		b.click(user)
	}
	b.await(fmt.Sprintf("document.querySelector(%s) ?? document.querySelector(%s)", quote(allow), quote(signedIn)))
	if evaluate[bool](b, fmt.Sprintf("document.querySelector(%s) !== null", quote(allow))) {
		b.click(allow)
	}
	b.read(signedIn)
}
