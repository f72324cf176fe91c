package bff

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

// app is a gateway with endpoints only, a real OP and a real store in memory. Its clock can be moved.
type app struct {
	*httptest.Server
	*Handler
	t     *testing.T
	op    *optest.Server
	store *brokenStore
	mu    sync.Mutex
	ahead time.Duration
	fails []problem.Code // what OnLoginFailed heard
}

// brokenStore is a store in memory that can be made to lose what it is told to create.
type brokenStore struct {
	session.Store
	broken atomic.Bool
}

func (s *brokenStore) Create(ctx context.Context, rec session.Record, terms session.Terms) error {
	if s.broken.Load() {
		return errors.New("the store is down")
	}
	return s.Store.Create(ctx, rec, terms)
}

func (a *app) now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Add(a.ahead)
}

func (a *app) advance(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ahead += d
}

func newApp(t *testing.T, changes ...func(*Options)) *app {
	t.Helper()
	a := &app{t: t, store: &brokenStore{Store: memstore.New()}}
	mux := http.NewServeMux()
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	public, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	urls := URLs{Public: public, BasePath: "/bff"}
	a.op = optest.Start(t, optest.Config{
		Clients: []optest.Client{
			{
				ID: "app", Secret: "the-client-secret", AuthMethod: "client_secret_basic",
				RedirectURIs: []string{urls.Callback("one", true)}, PostLogoutRedirectURIs: []string{urls.LogoutCallback()},
			},
			{
				ID: "second", Secret: "the-second-secret", AuthMethod: "client_secret_post",
				RedirectURIs: []string{urls.Callback("two", false)}, PostLogoutRedirectURIs: []string{urls.LogoutCallback()},
			},
		},
		Users: []optest.User{{Subject: "alice", Claims: map[string]any{
			"name": "Alice", "email": "alice@example.com", "phone_number": "12345", "groups": []string{"a", "b"},
		}}},
		Now: a.now,
	})
	client := func(id, clientSecret string, auth rp.ClientAuth, redirect string) *rp.Client {
		c, err := rp.New(rp.Config{
			Issuer: a.op.Issuer(), ClientID: id, ClientAuth: auth, ClientSecret: secret.New(clientSecret),
			RedirectURI: redirect, PostLogoutRedirectURI: urls.LogoutCallback(),
			Scopes: []string{"openid", "profile", "email", "offline_access"}, SigningAlg: "RS256", Userinfo: rp.UserinfoAuto,
			HTTPClient: &http.Client{Transport: &http.Transport{}}, Now: a.now, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c
	}
	providers := Providers{{
		Name: "one", LoginParams: []string{"login_hint", "prompt", "ui_locales", "acr_values", "max_age"},
		Client: client("app", "the-client-secret", rp.ClientSecretBasic, urls.Callback("one", true)),
	}}
	ring := session.NewKeyRing()
	o := Options{
		URLs: urls, Providers: providers, Keys: ring,
		SameSite: http.SameSiteStrictMode, Claims: []string{"sub", "name", "email", "groups"},
		PostLogoutReturnURL: "/", IDTokenHint: true,
		Now: a.now, Logger: slog.New(slog.DiscardHandler),
		OnLoginFailed: func(_ *http.Request, _ string, code problem.Code, _ error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.fails = append(a.fails, code)
		},
	}
	for _, change := range changes {
		change(&o)
	}
	if len(o.Providers) == 0 { // twoProviders
		o.Providers = append(providers, Provider{
			Name: "two", Client: client("second", "the-second-secret", rp.ClientSecretPost, urls.Callback("two", false)),
		})
	}
	o.Sessions = session.NewManager(a.store, ring, session.Options{
		IdleTimeout: 30 * time.Minute, Lifetime: 12 * time.Hour, RefreshBefore: time.Minute,
		Refresher: NewRefresher(o.Providers), RevokeTokens: true, Now: a.now,
	})
	t.Cleanup(func() { _ = o.Sessions.Close(t.Context()) })
	a.Handler = New(o)

	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /bff/login": a.Login, "GET /bff/callback": a.Callback, "GET /bff/callback/{provider}": a.Callback,
		"GET /bff/landing": a.Landing, "GET /bff/error": a.ErrorPage, "GET /bff/session": a.Session,
		"POST /bff/session/extend": a.Extend, "GET /bff/user": a.User, "POST /bff/logout": a.PostLogout,
		"GET /bff/logout": a.Logout, "GET /bff/logout/callback": a.LogoutCallback, "GET /bff/jwks.json": a.JWKS,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { write(w, h(w, r)) })
	}
	return a
}

func twoProviders(o *Options) { o.Providers = nil }

// write stands in for the gateway's writer of errors.
func write(w http.ResponseWriter, err error) {
	var p *problem.Error
	switch {
	case err == nil:
	case errors.As(err, &p):
		http.Error(w, string(p.Code), p.Code.Status())
	default:
		http.Error(w, err.Error(), http.StatusTeapot)
	}
}

// browser keeps cookies and follows no redirect by itself.
type browser struct {
	t    *testing.T
	app  *app
	http *http.Client
}

func (a *app) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{a.t, a, &http.Client{
		Jar: jar, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type answer struct {
	*http.Response
	body string
}

// do sends a request. An address that begins with a slash is the app's; headers are "Name: value".
func (b *browser) do(method, address string, headers ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.app.URL + address
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res, string(body)}
}

func (b *browser) get(address string, headers ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, address, headers...)
}

// startLogin returns the callback URL that the OP sends the browser to.
func (b *browser) startLogin(query string) string {
	b.t.Helper()
	res := b.get("/bff/login" + query)
	if res.StatusCode != http.StatusFound {
		b.t.Fatalf("login: %s %s", res.Status, res.body)
	}
	return b.app.op.Visit(res.Header.Get("Location")).String()
}

// login signs alice in.
func (b *browser) login() {
	b.t.Helper()
	if res := b.get(b.startLogin("")); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/bff/landing" {
		b.t.Fatalf("callback: %s to %s", res.Status, res.Header.Get("Location"))
	}
}

func (b *browser) session() (s sessionAnswer) {
	b.t.Helper()
	res := b.get("/bff/session")
	if err := json.Unmarshal([]byte(res.body), &s); res.StatusCode != http.StatusOK || err != nil {
		b.t.Fatalf("session: %s %s %v", res.Status, res.body, err)
	}
	return s
}

func (b *browser) wantAnonymous(reason string) {
	b.t.Helper()
	if s := b.session(); s.Authenticated || s.Reason != reason || s.LoginURL != "/bff/login" {
		b.t.Errorf("session = %+v; want anonymous because %q", s, reason)
	}
}

func (b *browser) cookies(prefix string) (found []*http.Cookie) {
	u, _ := url.Parse(b.app.URL)
	for _, c := range b.http.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, prefix) {
			found = append(found, c)
		}
	}
	return found
}
