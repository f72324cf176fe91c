package bff

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// openSession is the session of the browser.
func (b *browser) openSession() *session.Session {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range b.cookies(b.app.cookies.session) {
		r.AddCookie(c)
	}
	s, err := b.app.Open(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// stepUp is what the browser is told when an upstream asks for these parameters: the login_url, or the code of a refusal.
func (b *browser) stepUp(asked map[string]string) string {
	b.t.Helper()
	p := b.app.StepUp(httptest.NewRequest(http.MethodGet, "/", nil), b.openSession(), asked)
	if p.Code != problem.StepUpRequired {
		return string(p.Code)
	}
	return b.app.URLs.LoginURL(p.Login)
}

// EXT-06, EXT-07: where another login could give what is asked for, and where not.
func TestStepUp(t *testing.T) {
	t.Parallel()
	type params = map[string]string
	for name, test := range map[string]struct {
		change func(*setup)
		age    time.Duration // of the session, with acr pwd
		asked  params
		want   string
	}{
		"another acr":          {asked: params{"acr_values": "mfa otp"}, want: "/bff/login?acr_values=mfa+otp"},
		"an acr it has":        {asked: params{"acr_values": "mfa pwd"}, want: "forbidden"},
		"part of its acr":      {asked: params{"acr_values": "pw"}, want: "/bff/login?acr_values=pw"},
		"neither":              {asked: params{}, want: "forbidden"},
		"older than max_age":   {age: 301 * time.Second, asked: params{"max_age": "300"}, want: "/bff/login?max_age=300"},
		"younger than max_age": {age: 290 * time.Second, asked: params{"max_age": "300"}, want: "forbidden"},
		"the acr, but old":     {age: 20 * time.Minute, asked: params{"acr_values": "pwd", "max_age": "60"}, want: "/bff/login?acr_values=pwd&max_age=60"},
		"young, another acr":   {asked: params{"acr_values": "mfa", "max_age": "60"}, want: "/bff/login?acr_values=mfa&max_age=60"},
		"max_age=0, later":     {age: time.Minute, asked: params{"max_age": "0"}, want: "/bff/login?max_age=0"},
		"max_age=0, at once":   {age: time.Second, asked: params{"max_age": "0"}, want: "forbidden"},
		"of several providers": {change: twoProviders, asked: params{"acr_values": "mfa"}, want: "/bff/login?acr_values=mfa&provider=one"},
		"fixed to another value": {
			change: fixed("acr_values", "pwd"), asked: params{"acr_values": "mfa"}, want: "forbidden",
		},
		"fixed to this value": {
			change: fixed("max_age", "300"), age: 20 * time.Minute, asked: params{"max_age": "300"}, want: "/bff/login?max_age=300",
		},
		"not in login_params": {
			change: loginParams("prompt", "max_age"), asked: params{"acr_values": "mfa", "max_age": "0"}, want: "forbidden",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := []func(*setup){}
			if test.change != nil {
				changes = append(changes, test.change)
			}
			a := newApp(t, changes...)
			b := a.browser()
			b.get(b.startLogin("?provider=one"))
			a.advance(test.age)
			if got := b.stepUp(test.asked); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func fixed(name, value string) func(*setup) {
	return func(o *setup) { o.RP[0].AuthorizationParams = map[string]string{name: value} }
}

func loginParams(names ...string) func(*setup) {
	return func(o *setup) { o.LoginParams = names }
}

// EXT-07: somebody who was signed in at the OP long before, and comes with a single sign-on, is asked although the session
// here is new.
func TestStepUpAfterSingleSignOn(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.browser().login()
	a.advance(5 * time.Minute)
	b := a.browser()
	b.login() // no page: the OP's own session is five minutes old
	if got := b.stepUp(map[string]string{"max_age": "60"}); got != "/bff/login?max_age=60" {
		t.Error(got)
	}
}

// EXT-08, FLOW-34: the same user comes back: a new ticket, the old one is dead, and the demand is met.
func TestStepUpOfTheSameUser(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	old := b.cookies(a.cookies.session)[0]
	asked := map[string]string{"acr_values": "mfa"}
	callback := a.op.Visit(b.get(b.stepUp(asked)).Header.Get("Location"))
	if res := b.get(callback.String()); res.Header.Get("Location") != "/bff/landing" {
		t.Fatalf("%s %s", res.Status, res.Header.Get("Location"))
	}
	if fresh := b.cookies(a.cookies.session)[0]; fresh.Value == old.Value {
		t.Error("the ticket is the old one")
	}
	if res := a.browser().get("/bff/session", "Cookie: "+old.Name+"="+old.Value); !strings.Contains(res.body, `"reason":"ended"`) {
		t.Errorf("the old ticket: %s", res.body)
	}
	if got := b.stepUp(asked); got != "forbidden" { // an upstream that still asks is told that it is futile
		t.Errorf("asked again: %s", got)
	}
}

// EXT-08: another user comes back. Nobody is signed in afterwards, and the OP takes its tokens back.
func TestStepUpOfAnotherUser(t *testing.T) {
	t.Parallel()
	for _, sameSite := range []http.SameSite{http.SameSiteStrictMode, http.SameSiteLaxMode} {
		for query, refused := range map[string]bool{"?acr_values=mfa": true, "?max_age=0": true, "?prompt=login": false} {
			a := newApp(t, func(o *setup) { o.SameSite = sameSite })
			b := a.browser()
			b.login()
			old := b.cookies(a.cookies.session)[0]
			address := b.authorize(query)
			a.op.SignIn("bob")
			callback := a.op.Visit(address).String()
			if sameSite == http.SameSiteStrictMode { // the callback does not see the session
				flow := b.cookies(a.cookies.flow)[0]
				b = a.browser()
				b.setCookie(flow)
			}
			res := b.get(callback)
			if !refused { // an ordinary login may be another user's
				if res.Header.Get("Location") != "/bff/landing" {
					t.Errorf("%s: %s %s", query, res.Status, res.Header.Get("Location"))
				}
				continue
			}
			b.wantFailed(res)
			if !strings.Contains(strings.Join(res.Header.Values("Set-Cookie"), "\n"), a.cookies.session+"=; Path=/; Max-Age=0") {
				t.Errorf("%s: the cookie of the session stays: %q", query, res.Header.Values("Set-Cookie"))
			}
			if res := a.browser().get("/bff/session", "Cookie: "+old.Name+"="+old.Value); !strings.Contains(res.body, `"reason":"ended"`) {
				t.Errorf("%s: the old session: %s", query, res.body)
			}
			for _, user := range []string{"alice", "bob"} {
				if ids, err := a.store.Find(t.Context(), session.SubjectIndex(a.op.Issuer(), user)); err != nil || len(ids) != 0 {
					t.Errorf("%s: sessions of %s: %v %v", query, user, ids, err)
				}
			}
			if n := a.op.Count(optest.RevocationEndpoint); n != 1 {
				t.Errorf("%s: %d revocations", query, n)
			}
			if page := b.get("/bff/error"); !strings.Contains(page.body, "Another user") || page.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %s\n%s", query, page.Status, page.body)
			}
		}
	}
}

// A login with another provider is a step-up of nobody, and neither is one without a session.
func TestLoginThatIsNoStepUp(t *testing.T) {
	t.Parallel()
	a := newApp(t, twoProviders)
	b := a.browser()
	b.get(b.startLogin("?provider=one&max_age=0"))
	a.op.SignIn("bob")
	if res := b.get(b.startLogin("?provider=two&max_age=0")); res.Header.Get("Location") != "/bff/landing" || b.session().Provider != "two" {
		t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
	}
}

// A store that cannot say who is signed in cannot begin a step-up either: whoever came back could not be compared.
func TestStepUpWithoutStore(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	a.store.blind.Store(true)
	r := httptest.NewRequest(http.MethodGet, "/bff/login?max_age=0", nil)
	r.AddCookie(b.cookies(a.cookies.session)[0])
	rec := httptest.NewRecorder()
	if err := a.Login(rec, r); !errors.Is(err, session.ErrStoreUnavailable) || len(rec.Result().Cookies()) != 0 {
		t.Errorf("%v, cookies %v", err, rec.Result().Cookies())
	}
}

// EXT-07, IDT-16, IDT-17: an OP that does not deliver ends the round on the error page. The session from before stays, and
// the next try asks for the same.
func TestStepUpThatIsNotDelivered(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	callback := b.startLogin("?acr_values=mfa&returnUrl=/transfer")
	a.op.Fault(optest.IDTokenClaim("acr", "pwd"))
	if res := b.get(callback); res.Header.Get("Location") != "/bff/error" {
		t.Fatalf("%s %s", res.Status, res.Header.Get("Location"))
	}
	if !b.session().Authenticated {
		t.Error("the session is gone")
	}
	page := b.get("/bff/error")
	for _, want := range []string{`name="acr_values" value="mfa"`, `name="returnUrl" value="/transfer"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s:\n%s", want, page.body)
		}
	}
}

// The longest parameters that fit the cookie of a flow fit that of the error page, too.
func TestErrorPageOfTheLongestLogin(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	acr := strings.Repeat("x", 512)
	res := answer{}
	for n := maxReturnURL; res.Response == nil || res.StatusCode != http.StatusFound; n -= 4 {
		res = b.get("/bff/login?acr_values=" + acr + "&max_age=0&returnUrl=/" + strings.Repeat("y", n-1))
	}
	b.wantFailed(b.get(a.op.Visit(res.Header.Get("Location")).String())) // no OP has that acr
	if page := b.get("/bff/error"); !strings.Contains(page.body, acr) {
		t.Errorf("%s\n%s", page.Status, page.body)
	}
}
