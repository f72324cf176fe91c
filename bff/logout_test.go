package bff

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/secret"
)

func (b *browser) postLogout(query string) string {
	b.t.Helper()
	res := b.do(http.MethodPost, "/bff/logout"+query)
	var got struct {
		RedirectTo string `json:"redirect_to"`
	}
	if err := json.Unmarshal([]byte(res.body), &got); err != nil || res.StatusCode != http.StatusOK {
		b.t.Fatalf("logout: %s %s", res.Status, res.body)
	}
	return got.RedirectTo
}

// wantAtOP checks the request that a logout sends the browser to the OP with (RPL-03, 04, 05), and returns it.
func (b *browser) wantAtOP(res answer, hint bool) *url.URL {
	b.t.Helper()
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusSeeOther || to.Scheme+"://"+to.Host+to.Path != b.app.op.EndpointURL(optest.EndSessionEndpoint) {
		b.t.Fatalf("%s %s", res.Status, res.Header.Get("Location"))
	}
	if policy := res.Header.Get("Referrer-Policy"); policy != "no-referrer" { // FLOW-23
		b.t.Errorf("Referrer-Policy %q", policy)
	}
	q := to.Query()
	if q.Has("id_token_hint") != hint || q.Get("client_id") != "client-one" || len(q.Get("state")) < 22 ||
		q.Get("post_logout_redirect_uri") != b.app.URL+"/bff/logout/callback" {
		b.t.Errorf("at the OP: %v", q)
	}
	return to
}

// RPL-01, BFF-03: the session is over before the answer; the page gets no ID token, and the OP gets it all the same.
func TestPostLogout(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login()
	ticket := b.cookies(a.cookies.session)[0]
	to := b.postLogout("?returnUrl=/bye%3Fa=1%23/x//y/")
	if !strings.HasPrefix(to, "/bff/logout?sid=") {
		t.Errorf("redirect_to = %s", to)
	}
	if n := len(b.cookies(a.cookies.session)); n != 0 {
		t.Error("the session cookie is still there")
	}
	res := a.browser().get("/bff/session", "Cookie: "+ticket.Name+"="+ticket.Value)
	if !strings.Contains(res.body, `"reason":"ended"`) {
		t.Errorf("the old ticket: %s", res.body)
	}

	atOP := b.wantAtOP(b.get(to), true)
	back := a.op.Visit(atOP.String())
	if res := b.get(back.String()); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/bye?a=1#/x//y/" {
		t.Errorf("back from the OP: %s %s", res.Status, res.Header.Get("Location"))
	}
	// RPL-06: the state is worth something once.
	if res := b.get(back.String()); res.Header.Get("Location") != "/" {
		t.Errorf("back from the OP again: %s", res.Header.Get("Location"))
	}
}

// RPL-02: an OP without an end_session_endpoint is signed out of here only.
func TestLogoutWithoutEndSessionEndpoint(t *testing.T) {
	a := newApp(t)
	a.op.Fault(optest.MetadataNoEndSession)
	if err := a.Providers[0].Client.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := a.browser()
	b.login()
	if res := b.get(b.session().LogoutURL + "&returnUrl=/bye"); res.Header.Get("Location") != "/bff/landing" {
		t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
	if page := b.get("/bff/landing"); !strings.Contains(page.body, `url=/bye"`) {
		t.Error(page.body)
	}
	b.wantAnonymous("none")
}

// RPL-09: signing out without a session is no error.
func TestPostLogoutTwice(t *testing.T) {
	b := newApp(t).browser()
	b.login()
	b.postLogout("")
	b.wantAtOP(b.get(b.postLogout("")), false)
}

// RPL-08: the navigation needs the sid of this very session.
func TestLogoutBySid(t *testing.T) {
	a := newApp(t)
	b, other := a.browser(), a.browser()
	b.login()
	other.login()
	for name, query := range map[string]string{
		"none": "", "empty": "?sid=", "wrong": "?sid=AAAAAAAAAAAAAAAAAAAAAA",
		"another session's": strings.TrimPrefix(other.session().LogoutURL, "/bff/logout"),
	} {
		if res := b.get("/bff/logout" + query); res.StatusCode != http.StatusBadRequest || strings.TrimSpace(res.body) != "bad_request" {
			t.Errorf("sid %s: %s %s", name, res.Status, res.body)
		}
		if !b.session().Authenticated {
			t.Fatalf("sid %s ended the session", name)
		}
	}
	b.wantAtOP(b.get(b.session().LogoutURL), true)
	b.wantAnonymous("none")
	if !other.session().Authenticated {
		t.Error("the other session is gone too")
	}
}

// BFF-03: a script that fetches the address, rather than going there, gets nothing of it and ends nothing.
func TestLogoutIsANavigation(t *testing.T) {
	b := newApp(t).browser()
	b.login()
	for _, mode := range []string{"cors", "no-cors", "same-origin"} {
		res := b.get(b.session().LogoutURL, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: "+mode)
		if res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" || !b.session().Authenticated {
			t.Errorf("%s: %s, Location %q", mode, res.Status, res.Header.Get("Location"))
		}
	}
	b.wantAtOP(b.get(b.session().LogoutURL, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate"), true)
}

// RPL-01, RPL-02: whatever is wrong with the OP, the user is signed out here, and sees a page that says so.
func TestLogoutWithoutOP(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(a *app){
		"down since the login":        func(a *app) { a.op.Close() },
		"not known since a restart":   func(a *app) { a.Providers[0].Client = unloaded(t, a) },
		"gone from the configuration": func(a *app) { a.Providers[0].Name = "another" },
	} {
		a := newApp(t)
		b := a.browser()
		b.login()
		breakIt(a)
		res := b.get(b.session().LogoutURL)
		if name == "down since the login" { // which nobody can know before the browser is there
			b.wantAtOP(res, true)
		} else if page := b.get(res.Header.Get("Location")); !strings.Contains(page.body, "You are signed out") {
			t.Errorf("%s: %s %s %s", name, res.Status, res.Header.Get("Location"), page.body)
		}
		b.wantAnonymous("none")
	}
}

// unloaded is a client that has not reached its OP.
func unloaded(t *testing.T, a *app) *rp.Client {
	t.Helper()
	client, err := rp.New(rp.Config{
		Issuer: a.op.Issuer(), ClientID: "client-one", ClientAuth: rp.ClientSecretBasic, ClientSecret: secret.New("secret"),
		RedirectURI: a.URLs.Callback("one", true), PostLogoutRedirectURI: a.URLs.LogoutCallback(), Scopes: []string{"openid"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// RPL-10, EXT-04: the refresh token goes back to the OP.
func TestLogoutRevokes(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login()
	b.postLogout("")
	poll(t, "the revocation", func() bool { return a.op.Count(optest.RevocationEndpoint) > 0 })
	revoked := a.op.Requests(optest.RevocationEndpoint)
	if len(revoked) != 1 || revoked[0].Form.Get("token_type_hint") != "refresh_token" || revoked[0].Form.Get("token") == "" {
		t.Errorf("revocation requests: %+v", revoked)
	}
}

// RPL-10: a revocation endpoint that hangs, or fails, keeps nobody from signing out.
func TestLogoutDoesNotWaitForRevocation(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	for name, fault := range map[string]optest.Fault{
		"hangs": optest.Hold(optest.RevocationEndpoint, release),
		"503":   optest.Status(optest.RevocationEndpoint, http.StatusServiceUnavailable),
	} {
		a := newApp(t)
		b := a.browser()
		b.login()
		a.op.Fault(fault)
		begun := time.Now()
		b.wantAtOP(b.get(b.postLogout("")), true)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s: the logout took %v", name, took)
		}
		b.wantAnonymous("none")
	}
	close(release)
}

// Without a session only our own pages may send the browser on to the OP. Another site does not get there by way of
// our landing page either, whose navigation would be our own, and nobody is told that a session is over which may not be.
func TestLogoutWithoutSession(t *testing.T) {
	for site, toOP := range map[string]bool{"same-origin": true, "same-site": false, "cross-site": false, "none": false, "": false} {
		next, title := "/bye", "You are signed out"
		if site == "same-site" || site == "cross-site" {
			next, title = "/", "One moment"
		}
		b := newApp(t).browser()
		var headers []string
		if site != "" {
			headers = []string{"Sec-Fetch-Site: " + site}
		}
		res := b.get("/bff/logout?returnUrl=/bye", headers...)
		if toOP {
			b.wantAtOP(res, false)
			continue
		}
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/bff/landing" {
			t.Errorf("%q: %s %s", site, res.Status, res.Header.Get("Location"))
		}
		if page := b.get("/bff/landing"); !strings.Contains(page.body, title) || !strings.Contains(page.body, `url=`+next+`"`) {
			t.Errorf("%q: %s", site, page.body)
		}
	}
}

// The pending logout of one browser sends no other browser to the OP with its ID token.
func TestPendingLogoutBelongsToItsBrowser(t *testing.T) {
	a := newApp(t)
	b, other := a.browser(), a.browser()
	b.login()
	to := b.postLogout("")
	if res := other.get(to); res.Header.Get("Location") != "/bff/landing" {
		t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
	if res := b.get("/bff/logout?sid=AAAAAAAAAAAAAAAAAAAAAA"); res.Header.Get("Location") != "/bff/landing" {
		t.Errorf("with a wrong sid: %s %s", res.Status, res.Header.Get("Location"))
	}
}

// The ID token goes to the OP once; after that the cookie does not hold it any more.
func TestPendingLogoutIsUsedOnce(t *testing.T) {
	b := newApp(t).browser()
	b.login()
	to := b.postLogout("")
	b.wantAtOP(b.get(to), true)
	var pending logout
	cookie := b.cookies(b.app.cookies.logout)[0]
	if err := b.app.sealer.open(cookie.Name, cookie.Value, &pending, b.app.now()); err != nil || pending.State == "" || pending.Hint != "" {
		t.Errorf("the cookie holds an ID token: %v, %v", pending.Hint != "", err)
	}
	for _, again := range []string{to, "/bff/logout", "/bff/logout?sid="} {
		if res := b.get(again, "Sec-Fetch-Site: cross-site"); res.Header.Get("Location") != "/bff/landing" {
			t.Errorf("a second time, %s: %s %s", again, res.Status, res.Header.Get("Location"))
		}
	}
}

// RPL-03: the hint can be turned off.
func TestLogoutWithoutHint(t *testing.T) {
	for _, post := range []bool{true, false} {
		b := newApp(t, func(o *setup) { o.IDTokenHint = false }).browser()
		b.login()
		to := b.session().LogoutURL
		if post {
			to = b.postLogout("")
		}
		b.wantAtOP(b.get(to), false)
	}
}

// An ID token that no cookie can hold is left out; signing out works all the same.
func TestPostLogoutWithLargeIDToken(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	a.op.Fault(optest.EditIDToken("padded ID token", func(t *optest.JWT) { t.Claims["padding"] = strings.Repeat("x", 4000) }))
	b.login()
	b.wantAtOP(b.get(b.postLogout("")), false)
}

// FLOW-18 again, at logout.
func TestLogoutRefusesReturnURL(t *testing.T) {
	b := newApp(t).browser()
	b.login()
	for _, res := range []answer{
		b.do(http.MethodPost, "/bff/logout?returnUrl=//evil.example"),
		b.get("/bff/logout?returnUrl=//evil.example&sid=" + strings.TrimPrefix(b.session().LogoutURL, "/bff/logout?sid=")),
	} {
		if res.StatusCode != http.StatusBadRequest || strings.TrimSpace(res.body) != "bad_return_url" {
			t.Errorf("%s %s", res.Status, res.body)
		}
	}
	if !b.session().Authenticated {
		t.Error("a refused logout ended the session")
	}
}

// RPL-06: a missing or foreign state changes nothing but where the browser goes.
func TestLogoutCallbackState(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "?state=", "?state=AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		b := newApp(t, clearStorage).browser()
		b.login()
		b.get(b.postLogout("?returnUrl=/bye"))
		res := b.get("/bff/logout/callback" + query)
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" ||
			res.Header.Get("Clear-Site-Data") != "" {
			t.Errorf("%q: %s %v", query, res.Status, res.Header)
		}
	}
}

// RPL-06: a state is good once, also with a copy of its cookie, and only with it.
func TestLogoutStateIsSpent(t *testing.T) {
	t.Parallel()
	a := newApp(t, clearStorage)
	b := a.browser()
	b.login()
	atOP := b.wantAtOP(b.get(b.postLogout("?returnUrl=/bye")), true)
	copied := b.cookies(a.cookies.logout)[0]
	back := a.op.Visit(atOP.String()).String()

	if res := a.browser().get(back); res.Header.Get("Location") != "/" {
		t.Errorf("in another browser: %s", res.Header.Get("Location"))
	}
	if res := b.get(back); res.Header.Get("Location") != "/bye" {
		t.Errorf("back from the OP: %s", res.Header.Get("Location"))
	}
	b.setCookie(copied)
	if res := b.get(back); res.Header.Get("Location") != "/" || res.Header.Get("Clear-Site-Data") != "" {
		t.Errorf("with the cookie again: %v", res.Header)
	}
}

// SES-08: no step of a logout leads into a login while the session at the OP lives on, as it does here, and the
// application's page finds nobody signed in.
func TestNoLoginFollowsLogout(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	a.op.Fault(optest.MetadataNoEndSession)
	if err := a.Providers[0].Client.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := a.op.Count(optest.AuthorizationEndpoint)
	res := b.get(b.postLogout(""))
	page := b.get(res.Header.Get("Location"))
	if !strings.Contains(page.body, `url=/"`) || strings.Contains(page.body, "/bff/login") {
		t.Errorf("the landing page: %s", page.body)
	}
	b.wantAnonymous("none")
	if n := a.op.Count(optest.AuthorizationEndpoint); n != asked {
		t.Errorf("%d authorization requests since", n-asked)
	}
}

// The session has ended on the other replicas, too, before the answer (RPL-01).
func TestLogoutEndsEverywhere(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	other := a.replica()
	ticket := b.ticket()
	if _, err := other.Open(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	b.postLogout("")
	if _, err := other.Open(t.Context(), ticket); session.Cause(err) != session.ReasonLogout {
		t.Errorf("on another replica: %v", err)
	}
}
