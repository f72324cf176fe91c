package bff

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

func framed(o *setup) { o.Frontchannel = true }

// frame loads the frontchannel_logout_uri as a frame of the OP's page does, on another site and without cookies.
func (a *app) frame(nameValues ...string) answer {
	a.t.Helper()
	query := url.Values{}
	for i := 0; i < len(nameValues); i += 2 {
		query.Add(nameValues[i], nameValues[i+1])
	}
	return a.browser().get("/bff/frontchannel-logout?"+query.Encode(),
		"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe")
}

// TestFrontchannelLogout is FCL-01, FCL-04 and FCL-05: iss and sid end what they name without a cookie, and the answer is
// the same for a sid that nobody has.
func TestFrontchannelLogout(t *testing.T) {
	t.Parallel()
	var good []bool
	a := newApp(t, framed, func(o *setup) {
		o.AdmitLogoutToken = func(*http.Request) (func(bool), error) {
			return func(g bool) { good = append(good, g) }, nil
		}
	})
	one, another := a.visitor("alice", "s1"), a.visitor("alice", "s2")
	known := a.frame("iss", a.op.Issuer(), "sid", "s1", "session_state", "ignored")
	if a.isOpen(one) || !a.isOpen(another) {
		t.Errorf("open: %v, want false; another: %v, want true", a.isOpen(one), a.isOpen(another))
	}
	unknown := a.frame("iss", a.op.Issuer(), "sid", "s9")
	known.Header.Del("Date")
	unknown.Header.Del("Date")
	if known.StatusCode != http.StatusOK || known.StatusCode != unknown.StatusCode || known.body != unknown.body ||
		len(known.Header) != len(unknown.Header) {
		t.Errorf("known %s %v\n%s\nunknown %s %v\n%s",
			known.Status, known.Header, known.body, unknown.Status, unknown.Header, unknown.body)
	}
	for name, values := range known.Header {
		if !slices.Equal(values, unknown.Header[name]) {
			t.Errorf("%s: %v or %v", name, values, unknown.Header[name])
		}
	}
	if !slices.Equal(good, []bool{true, false}) { // a guess counts
		t.Errorf("admission was told %v", good)
	}
}

// FCL-03: the OP's pages, and no others, may frame the answer.
func TestFrontchannelHeaders(t *testing.T) {
	t.Parallel()
	other, change := twoOPs(t)
	a := newApp(t, change, framed, func(o *setup) {
		other().Fault(optest.Metadata("end_session_endpoint", "https://login.example.com/end"))
	})
	for _, tt := range []struct{ issuer, ancestors string }{
		{a.op.Issuer(), a.op.Issuer()},
		{other().Issuer(), other().Issuer() + " https://login.example.com"},
	} {
		res := a.frame("iss", tt.issuer, "sid", "s1")
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "", "Set-Cookie": "",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors " + tt.ancestors, "Referrer-Policy": "no-referrer",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if len(res.body) > 200 || strings.Contains(res.body, "<script") {
			t.Errorf("the page: %s", res.body)
		}
	}
}

// A host that a Content-Security-Policy reads as something else is left out of it.
func TestSourceOf(t *testing.T) {
	for address, want := range map[string]string{
		"https://op.example.com":            "https://op.example.com",
		"https://op.example.com:8443/a?b":   "https://op.example.com:8443",
		"http://[::1]:8080/realm":           "http://[::1]:8080",
		"https://user@op.example.com/":      "https://op.example.com",
		"https://*.example.com/":            "",
		"https://op;script-src/":            "",
		"https://a,b/":                      "",
		"":                                  "",
		"https://op.example.com%20*/":       "",
		"https://op.example.com/;frame-src": "https://op.example.com",
	} {
		if got := sourceOf(address); got != want {
			t.Errorf("sourceOf(%q) = %q, want %q", address, got, want)
		}
	}
}

// What names no session for sure ends none, and does not pretend to (FCL-01, FCL-04).
func TestFrontchannelRefuses(t *testing.T) {
	t.Parallel()
	a := newApp(t, framed)
	s := a.visitor("alice", "s1")
	iss := a.op.Issuer()
	for name, query := range map[string][]string{
		"neither":     nil,
		"no sid":      {"iss", iss},
		"no iss":      {"sid", "s1"},
		"empty sid":   {"iss", iss, "sid", ""},
		"two of sid":  {"iss", iss, "sid", "s1", "sid", "s1"},
		"two of iss":  {"iss", iss, "iss", iss, "sid", "s1"},
		"another iss": {"iss", "https://op.invalid", "sid", "s1"},
		"iss and /":   {"iss", iss + "/", "sid", "s1"},
	} {
		res := a.frame(query...)
		if res.StatusCode != http.StatusBadRequest || strings.Contains(res.body, "op.invalid") || !a.isOpen(s) {
			t.Errorf("%s: %s %s, open %v", name, res.Status, res.body, a.isOpen(s))
		}
	}
}

// FCL-06: it is off, until somebody turns it on.
func TestFrontchannelIsOff(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	s := a.visitor("alice", "s1")
	if res := a.frame("iss", a.op.Issuer(), "sid", "s1"); res.StatusCode != http.StatusNotFound || !a.isOpen(s) {
		t.Errorf("%s, open %v", res.Status, a.isOpen(s))
	}
}

// A store that fails is not a 200, and who guesses too much is not heard (FCL-05).
func TestFrontchannelFailures(t *testing.T) {
	t.Parallel()
	admit := true
	a := newApp(t, framed, func(o *setup) {
		o.AdmitLogoutToken = func(*http.Request) (func(bool), error) {
			if !admit {
				return nil, problem.New(problem.TooManyRequests, "")
			}
			return func(good bool) {
				if !good {
					t.Error("a failure of the store counts as a guess")
				}
			}, nil
		}
	})
	s := a.visitor("alice", "s1")
	store := &faultyStore{Store: a.store.Store}
	a.store.Store = store
	store.down.Store(true)
	if res := a.frame("iss", a.op.Issuer(), "sid", "s1"); res.StatusCode == http.StatusOK {
		t.Errorf("without a store: %s", res.Status)
	}
	store.down.Store(false)
	admit = false
	if res := a.frame("iss", a.op.Issuer(), "sid", "s1"); res.StatusCode != http.StatusTooManyRequests || !a.isOpen(s) {
		t.Errorf("not admitted: %s, open %v", res.Status, a.isOpen(s))
	}
	admit = true
	if res := a.frame("iss", a.op.Issuer(), "sid", "s1"); res.StatusCode != http.StatusOK || a.isOpen(s) {
		t.Errorf("with the store: %s, open %v", res.Status, a.isOpen(s))
	}
}

// buryingStore counts what it is told to remember of logouts.
type buryingStore struct {
	session.Store
	buried atomic.Int64
}

func (s *buryingStore) Bury(ctx context.Context, index session.Index, at time.Time, keep time.Duration) error {
	s.buried.Add(1)
	return s.Store.Bury(ctx, index, at, keep)
}

// A sid that somebody has made up leaves nothing behind in the store, where it would stay for an hour (FCL-05).
func TestFrontchannelRemembersNoGuesses(t *testing.T) {
	t.Parallel()
	a := newApp(t, framed)
	s := a.visitor("alice", "s1")
	store := &buryingStore{Store: a.store.Store}
	a.store.Store = store
	for range 3 {
		a.frame("iss", a.op.Issuer(), "sid", rand.Text())
	}
	if n := store.buried.Load(); n != 0 {
		t.Errorf("%d guesses are remembered", n)
	}
	a.frame("iss", a.op.Issuer(), "sid", "s1")
	if n := store.buried.Load(); n != 1 || a.isOpen(s) {
		t.Errorf("%d logouts are remembered, want 1; open %v", n, a.isOpen(s))
	}
}

// An OP whose metadata are not there yet can sign out all the same: of it the issuer alone is known.
func TestFrontchannelBeforeMetadata(t *testing.T) {
	t.Parallel()
	client, err := rp.New(rp.Config{
		Issuer: "https://op.example.com", ClientID: "app", ClientAuth: rp.ClientSecretBasic, ClientSecret: secret.New("s"),
		RedirectURI: "https://app.example.com/cb", Scopes: []string{"openid"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := framers(Providers{{Client: client}, {Client: client}}), "https://op.example.com"; got != want {
		t.Errorf("framers: %q, want %q", got, want)
	}
}
