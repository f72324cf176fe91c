package bff

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func clearStorage(o *setup) { o.ClearSiteData = []string{"storage"} }

// RPL-11: every step of a logout that has ended a session says what to clear; the last one says all of it. Until then
// the browser needs the logout's cookie and its page.
func TestLogoutClearsSiteData(t *testing.T) {
	t.Parallel()
	const some, all = `"cache", "storage"`, `"cache", "storage", "cookies", "executionContexts", "*"`
	a := newApp(t, func(o *setup) { o.ClearSiteData = []string{"cache", "storage", "cookies", "executionContexts", "*"} })
	for _, byNavigation := range []bool{false, true} {
		b := a.browser()
		b.login()
		to := b.session().LogoutURL
		if byNavigation {
			res := b.get(to)
			wantClear(t, res, some)
			to = res.Header.Get("Location")
		} else {
			res := b.do(http.MethodPost, "/bff/logout")
			wantClear(t, res, some)
			res = b.get("/bff/logout?sid=" + between(res.body, "sid=", `"`))
			wantClear(t, res, "")
			to = res.Header.Get("Location")
		}
		wantClear(t, b.get(a.op.Visit(to).String()), all)
	}

	a.op.Fault(optest.MetadataNoEndSession)
	if err := a.Providers[0].Client.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := a.browser()
	b.login()
	b.get(b.postLogout(""))
	wantClear(t, b.get("/bff/landing"), all)
	wantClear(t, b.get("/bff/landing"), "")
}

// RPL-11: nothing is cleared because another site sent the browser here, nor after a login, nor where the
// configuration lists nothing.
func TestNothingElseClearsSiteData(t *testing.T) {
	t.Parallel()
	a := newApp(t, clearStorage)
	for _, site := range []string{"cross-site", "same-site", "none", ""} {
		b := a.browser()
		headers := []string{"Sec-Fetch-Site: " + site}
		if site == "" {
			headers = nil
		}
		for _, path := range []string{
			"/bff/logout", "/bff/logout?sid=x", "/bff/landing", "/bff/logout/callback", "/bff/logout/callback?state=x",
			"/bff/landing",
		} {
			wantClear(t, b.get(path, headers...), "")
		}
	}
	b := a.browser()
	b.login()
	wantClear(t, b.get("/bff/landing"), "")
	wantClear(t, b.get("/bff/logout?sid=wrong"), "")

	b = newApp(t).browser()
	b.login()
	wantClear(t, b.do(http.MethodPost, "/bff/logout"), "")
}

func wantClear(t *testing.T, res answer, want string) {
	t.Helper()
	if got := res.Header.Get("Clear-Site-Data"); got != want {
		t.Errorf("%s %s: Clear-Site-Data %s, want %s", res.Request.Method, res.Request.URL.Path, got, want)
	}
}

// between is what stands in text after one string and before the next.
func between(text, after, before string) string {
	_, rest, _ := strings.Cut(text, after)
	found, _, _ := strings.Cut(rest, before)
	return found
}
