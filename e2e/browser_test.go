package e2e_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const pageTime = 20 * time.Second // for whatever a person would wait for

// tab is a tab of a Chromium with an empty profile.
type tab struct {
	t     *testing.T
	ctx   context.Context
	shots string // folder for screenshots, named after the test
}

// startBrowser starts a Chromium and returns its first tab. Screenshots go into SCREENSHOTS if that is set, else into
// e2e/screenshots.
func startBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program(t, "chromium", "chromium-browser", "google-chrome")),
		chromedp.NoSandbox, // root, as in a container, has none; every page that is opened is ours
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1100, 1080),
		chromedp.WSURLReadTimeout(startTime),
	)
	options = append(options, more...)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	shots := filepath.Join(cmp.Or(os.Getenv("SCREENSHOTS"), "screenshots"), t.Name())
	t.Cleanup(func() {
		closeBrowser()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil { // without a deadline, which would be the browser's
		t.Fatal(err)
	}
	return &tab{t, ctx, shots}
}

// newTab opens another tab of the same browser.
func (b *tab) newTab() *tab {
	b.t.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx)
	b.t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil {
		b.t.Fatal(err)
	}
	return &tab{b.t, ctx, b.shots}
}

// do runs an action, for as long as a person would wait, and returns its value.
func do[T any](b *tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTime)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.fail(what + ": " + err.Error())
	}
	return value
}

// open goes to an address, as if it was typed.
func (b *tab) open(address string) {
	b.t.Helper()
	do(b, "opening "+address, chromedp.Navigate(address))
}

// await polls a JavaScript expression until it is true, across navigations.
func (b *tab) await(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		// Between two documents there is nothing to ask; that is what polling is for.
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")")); ok && err == nil {
			return
		}
		select {
		case <-ctx.Done():
			b.fail("waited " + pageTime.String() + " for " + expression)
		case <-tick.C:
		}
	}
}

// fail ends the test with what the tab shows.
func (b *tab) fail(problem string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Location())
	shown, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.innerText"))
	b.t.Fatalf("%s\nat %s, which shows:\n%s", problem, where, shown)
}

// see waits until an element is there and visible.
func (b *tab) see(selector string) {
	b.t.Helper()
	b.await(fmt.Sprintf("document.querySelector(%s)?.checkVisibility()", quote(selector)))
}

// read waits for an element that has text, and returns the text.
func (b *tab) read(selector string) string {
	b.t.Helper()
	b.await(fmt.Sprintf("document.querySelector(%s)?.innerText", quote(selector)))
	return evaluate[string](b, fmt.Sprintf("document.querySelector(%s).innerText", quote(selector)))
}

// click waits for an element and clicks it with the mouse.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.see(selector)
	do(b, "clicking "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// location is the address that the tab shows.
func (b *tab) location() string {
	b.t.Helper()
	return evaluate[string](b, "location.href")
}

// awaitPage waits for a page at an address that begins like this, fully loaded.
func (b *tab) awaitPage(prefix string) {
	b.t.Helper()
	// The landing page goes on by itself, and takes with it what a test begins there.
	b.await(fmt.Sprintf("location.href.startsWith(%s) && location.pathname !== '/bff/landing' && document.readyState === 'complete'",
		quote(prefix)))
}

// screenshot keeps what the tab shows.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	image := do(b, "a screenshot", chromedp.CaptureScreenshot())
	if err := os.MkdirAll(b.shots, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// isOwnCookie tells the gateway's cookies from others.
func isOwnCookie(c *network.Cookie) bool { return strings.Contains(c.Name, "cloakroom") }

// cookies are those that the browser sends to the page's address, HttpOnly ones too.
func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	get := func(ctx context.Context, t *chromedp.Target) (network.GetCookiesResult, error) {
		return cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
	}
	return do(b, "the cookies", get).Cookies
}

// visibleToScripts is everything that a script of the page's origin can get hold of: what it is told, what is stored,
// what it can fetch with all readable headers, and the addresses of all that was loaded.
func (b *tab) visibleToScripts(fetched ...string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`(async () => {
		const seen = [document.documentElement.outerHTML, document.cookie, location.href, document.referrer,
			JSON.stringify({...localStorage}), JSON.stringify({...sessionStorage}), JSON.stringify(history.state),
			...(await indexedDB.databases()).map((db) => db.name), ...await caches.keys(),
			...performance.getEntries().map((entry) => entry.name)];
		for (const path of %s) {
			const response = await fetch(path, {headers: {'X-CSRF': '1'}});
			seen.push(response.url, JSON.stringify([...response.headers]), await response.text());
		}
		return seen.join('\n');
	})()`, quote(fetched)))
}

// fetched is an answer that a script in the page got.
type fetched struct {
	Status int
	Body   map[string]any
}

// fetchIn calls the application as a script in the tab's page does.
func fetchIn(b *tab, method, path string) fetched {
	b.t.Helper()
	return evaluate[fetched](b, `fetch(`+quote(path)+`, {method: `+quote(method)+`, headers: {'X-CSRF': '1'}})
		.then(async (response) => ({Status: response.status, Body: await response.json()}))`)
}

// evaluate runs JavaScript in the page, and waits if it is a promise.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	return do(b, strings.TrimSpace(expression), chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// quote writes a value as JavaScript.
func quote(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings and lists of strings always have a JSON form
	}
	return string(text)
}
