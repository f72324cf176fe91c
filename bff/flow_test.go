package bff

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// FLOW-41, pains.md 6: tabs do not know of each other, and each comes back to its own page.
func TestFlowsOfSeveralTabs(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	var callbacks []string
	for _, page := range []string{"/1", "/2", "/3", "/4", "/5"} {
		callbacks = append(callbacks, b.startLogin("?returnUrl="+page))
	}
	landings := map[string]string{}
	for i := len(callbacks) - 1; i >= 0; i-- {
		res := b.get(callbacks[i])
		landings["/"+string(rune('1'+i))] = res.Header.Get("Location")
	}
	for page, landing := range landings { // all callbacks came back before any landing page was loaded
		if res := b.get(landing); !strings.Contains(res.body, `content="0; url=`+page+`"`) {
			t.Errorf("the tab for %s landed at %s:\n%s", page, landing, res.body)
		}
	}
	if left := b.cookies(a.cookies.flow); len(left) != 0 {
		t.Errorf("%d flow cookies are left", len(left))
	}
	if !b.session().Authenticated {
		t.Error("nobody is signed in")
	}
}

// FLOW-41, CK-05: a thousand beginnings leave a bounded number of cookies, and the newest still works.
func TestFlowsAreBounded(t *testing.T) {
	b := newApp(t).browser()
	long := "?returnUrl=/" + strings.Repeat("a", maxReturnURL-1)
	var callback string
	for i := range 1000 {
		query := ""
		if i%3 != 0 {
			query = long
		}
		res := b.get("/bff/login" + query)
		callback = res.Header.Get("Location")
	}
	size := 0
	cookies := b.cookies(b.app.cookies.flow)
	for _, c := range cookies {
		size += len(c.Name) + len(c.Value) + 3
		if len(c.Name)+len(c.Value) > 4096 {
			t.Errorf("a cookie of %d octets", len(c.Name)+len(c.Value))
		}
	}
	if len(cookies) == 0 || len(cookies) > maxFlows || size > 8<<10 {
		t.Errorf("%d cookies of %d octets", len(cookies), size)
	}
	if res := b.get(b.app.op.Visit(callback).String()); !strings.HasPrefix(res.Header.Get("Location"), "/bff/landing") {
		t.Errorf("the newest flow: %s %s", res.Status, res.Header.Get("Location"))
	}
}

// FLOW-41: small flows are bounded by their number, and the oldest go first.
func TestOldestFlowsGo(t *testing.T) {
	b := newApp(t).browser()
	var callbacks []string
	for range maxFlows + 2 {
		callbacks = append(callbacks, b.startLogin(""))
		b.app.advance(time.Millisecond)
	}
	if n := len(b.cookies(b.app.cookies.flow)); n != maxFlows {
		t.Errorf("%d flows, want %d", n, maxFlows)
	}
	for i, callback := range callbacks {
		landed := strings.HasPrefix(b.get(callback).Header.Get("Location"), "/bff/landing")
		if want := i >= 2; landed != want {
			t.Errorf("flow %d of %d is there: %v, want %v", i+1, len(callbacks), landed, want)
		}
	}
}

// FLOW-06: of fifty callbacks with the same state one reaches the token endpoint.
func TestFlowIsUsedOnce(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.startLogin("")
	before := b.cookies("")
	var wg sync.WaitGroup
	var mu sync.Mutex
	landed := 0
	for range 50 {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, callback, nil)
			for _, c := range before {
				req.AddCookie(c)
			}
			res, err := (&http.Client{CheckRedirect: b.http.CheckRedirect}).Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			switch to := res.Header.Get("Location"); to {
			case "/bff/landing":
				landed++
			case "/bff/error":
			default:
				t.Errorf("%s %s", res.Status, to)
			}
		})
	}
	wg.Wait()
	if n := a.op.Count(optest.TokenEndpoint); landed != 1 || n != 1 {
		t.Errorf("%d callbacks made a session with %d token requests, want 1 with 1", landed, n)
	}
}

// FLOW-04: the callback URL of one browser is worth nothing in another.
func TestFlowBelongsToItsBrowser(t *testing.T) {
	a := newApp(t)
	attacker, victim := a.browser(), a.browser()
	callback := attacker.startLogin("")
	victim.startLogin("")
	if res := victim.get(callback); res.Header.Get("Location") != "/bff/error" {
		t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
	victim.wantAnonymous("none")
	if n := a.op.Count(optest.TokenEndpoint); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

// FLOW-42: ten minutes, and then a page that says so.
func TestFlowExpires(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	callback := b.startLogin("")
	a.advance(10*time.Minute + time.Second)
	u, _ := url.Parse(a.URL)
	b.http.Jar.SetCookies(u, b.cookies("")) // as a browser whose clock stands still
	if res := b.get(callback); res.Header.Get("Location") != "/bff/error" {
		t.Fatalf("%s %s", res.Status, res.Header.Get("Location"))
	}
	if res := b.get("/bff/error"); res.StatusCode != http.StatusBadRequest || !strings.Contains(res.body, "ten minutes ago") {
		t.Errorf("%s\n%s", res.Status, res.body)
	}
	if n := a.op.Count(optest.TokenEndpoint); n != 0 {
		t.Errorf("%d token requests", n)
	}
}
