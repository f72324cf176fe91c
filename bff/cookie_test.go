package bff

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func cookiesOf(t *testing.T, public string, sameSite http.SameSite) cookies {
	t.Helper()
	u, err := url.Parse(public)
	if err != nil {
		t.Fatal(err)
	}
	return newCookies(u, sameSite)
}

func setCookies(write func(w http.ResponseWriter)) []string {
	rec := httptest.NewRecorder()
	write(rec)
	return rec.Header().Values("Set-Cookie")
}

// BFF-04 to 08, CK-01, CK-02, CK-06, CK-11, FPM-02, FPM-05: every cookie, at setting and at deletion, to the letter.
func TestCookieAttributes(t *testing.T) {
	for _, test := range []struct {
		public   string
		sameSite http.SameSite
		want     []string
	}{
		{"https://app.example.com", http.SameSiteStrictMode, []string{
			"__Host-Http-cloakroom=T; Path=/; HttpOnly; Secure; SameSite=Strict",
			"__Host-Http-cloakroom=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
			"__Host-Http-cloakroom-logout=L; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-logout=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-flow-1=F; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-flow-1=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-flow-post-1=F; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=None",
			"__Host-Http-cloakroom-flow-post-1=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None",
		}},
		{"https://app.example.com", http.SameSiteLaxMode, []string{
			"__Host-Http-cloakroom=T; Path=/; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-logout=L; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-logout=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-flow-1=F; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-flow-1=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-cloakroom-flow-post-1=F; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=None",
			"__Host-Http-cloakroom-flow-post-1=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None",
		}},
		{"http://localhost:8080", http.SameSiteStrictMode, []string{
			"cloakroom-8080=T; Path=/; HttpOnly; SameSite=Strict",
			"cloakroom-8080=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
			"cloakroom-logout-8080=L; Path=/; Max-Age=600; HttpOnly; SameSite=Lax",
			"cloakroom-logout-8080=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
			"cloakroom-flow-1-8080=F; Path=/; Max-Age=600; HttpOnly; SameSite=Lax",
			"cloakroom-flow-1-8080=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
			"cloakroom-flow-post-1-8080=F; Path=/; Max-Age=600; HttpOnly; SameSite=Lax",
			"cloakroom-flow-post-1-8080=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
		}},
	} {
		c := cookiesOf(t, test.public, test.sameSite)
		got := setCookies(func(w http.ResponseWriter) {
			c.setSession(w, "T")
			c.clear(w, c.session)
			c.setShort(w, c.logout, "L", 10*time.Minute)
			c.clear(w, c.logout)
			for _, flow := range []string{c.flow + "1" + c.suffix, c.posted + "1" + c.suffix} {
				c.setShort(w, flow, "F", 10*time.Minute)
				c.clear(w, flow)
			}
		})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.public, diff)
		}
	}
}

// BFF-15, PX-23: the proxy asks which cookies are ours.
func TestOwnCookie(t *testing.T) {
	production := cookiesOf(t, "https://app.example.com", http.SameSiteStrictMode)
	for name, want := range map[string]bool{
		"__Host-Http-cloakroom": true, "__host-http-CLOAKROOM": true, "__Host-Http-cloakroom-flow-abc": true,
		"__Host-Http-cloakroom-logout": true, "__Host-Http-cloakroom-flash": true,
		"__Host-Http-other": false, "cloakroom": false, "theme": false, "": false,
	} {
		if got := production.own(name); got != want {
			t.Errorf("production: own(%q) = %v", name, got)
		}
	}
	development := cookiesOf(t, "http://localhost:8080", http.SameSiteStrictMode)
	for name, want := range map[string]bool{
		"cloakroom-8080": true, "cloakroom-flow-abc-8080": true, "cloakroom-8081": true, "theme": false,
	} {
		if got := development.own(name); got != want {
			t.Errorf("development: own(%q) = %v", name, got)
		}
	}
}

// CK-03, CK-04, SES-11: only one cookie of exactly our name, holding a ticket, names a session.
func TestTicketOfRequest(t *testing.T) {
	a := newApp(t)
	b := a.browser()
	b.login()
	name, ticket := a.cookies.session, b.cookies(a.cookies.session)[0].Value
	for header, want := range map[string]bool{
		name + "=" + ticket:                                  true,
		"theme=dark; " + name + "=" + ticket:                 true,
		name + "=" + ticket + "; " + name + "=" + ticket:     false,
		name + "=x; " + name + "=" + ticket:                  false,
		"\u2000" + name + "=" + ticket:                       false,
		"=" + name + "=" + ticket:                            false,
		"Cloakroom" + name[len("cloakroom"):] + "=" + ticket: false,
		name + "=" + ticket + "A":                            false,
		name + "=":                                           false,
		name + "=" + "../../" + ticket[6:]:                   false,
	} {
		res := a.browser().get("/bff/session", "Cookie: "+header)
		if got := res.body[:len(`{"authenticated":true`)] == `{"authenticated":true`; got != want {
			t.Errorf("Cookie %q: signed in is %v, want %v (%s)", header, got, want, res.body)
		}
	}
}
