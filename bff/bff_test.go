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

// brokenStore is a store in memory that can be made to fail.
type brokenStore struct {
	session.Store
	broken atomic.Bool // Create fails
	blind  atomic.Bool // Load fails
}

func (s *brokenStore) Load(ctx context.Context, id session.ID) (session.Record, time.Time, error) {
	if s.blind.Load() {
		return session.Record{}, time.Time{}, errors.New("the store is down")
	}
	return s.Store.Load(ctx, id)
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

// setup is what a test may change before its app starts.
type setup struct {
	Options
	OP          optest.Config
	RP          []rp.Config // of the providers, which are called one, two; without an issuer it is OP's
	LoginParams []string    // of all of them
}

var names = []string{"one", "two"}

func newApp(t *testing.T, changes ...func(*setup)) *app {
	t.Helper()
	a := &app{t: t, store: &brokenStore{Store: memstore.New()}}
	mux := http.NewServeMux()
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	public, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	ring := session.NewKeyRing()
	o := &setup{
		Options: Options{
			URLs: URLs{Public: public, BasePath: "/bff"}, Keys: ring,
			SameSite: http.SameSiteStrictMode, Claims: []string{"sub", "name", "email", "groups"},
			PostLogoutReturnURL: "/", IDTokenHint: true,
			Now: a.now, Logger: slog.New(slog.DiscardHandler),
			OnLoginFailed: func(_ *http.Request, _ string, code problem.Code, _ error) {
				a.mu.Lock()
				defer a.mu.Unlock()
				a.fails = append(a.fails, code)
			},
		},
		OP: optest.Config{
			Users: []optest.User{{Subject: "alice", Claims: map[string]any{
				"name": "Alice", "email": "alice@example.com", "phone_number": "12345", "groups": []string{"a", "b"},
			}}, {Subject: "bob"}},
			Now: a.now,
		},
		LoginParams: []string{"login_hint", "prompt", "ui_locales", "acr_values", "max_age"},
	}
	o.addProvider(rp.ClientSecretBasic)
	for _, change := range changes {
		change(o)
	}
	a.op = optest.Start(t, o.OP)
	for i, cfg := range o.RP {
		if cfg.Issuer == "" {
			cfg.Issuer = a.op.Issuer()
		}
		cfg.Now = a.now
		client, err := rp.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.Providers = append(o.Providers, Provider{Name: names[i], Client: client, LoginParams: o.LoginParams})
	}
	o.Sessions = session.NewManager(a.store, ring, session.Options{
		IdleTimeout: 30 * time.Minute, Lifetime: 12 * time.Hour, RefreshBefore: time.Minute,
		Refresher: NewRefresher(o.Providers), RevokeTokens: true, Now: a.now,
	})
	t.Cleanup(func() { _ = o.Sessions.Close(t.Context()) })
	a.Handler = New(o.Options)

	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /bff/login": a.Login, "GET /bff/callback": a.Callback, "GET /bff/callback/{provider}": a.Callback,
		"POST /bff/callback": a.Callback, "POST /bff/callback/{provider}": a.Callback,
		"GET /bff/login/initiate": a.Initiate, "POST /bff/login/initiate": a.Initiate,
		"GET /bff/landing": a.Landing, "GET /bff/error": a.ErrorPage, "GET /bff/session": a.Session,
		"POST /bff/session/extend": a.Extend, "POST /bff/session/refresh": a.RefreshSession, "GET /bff/events": a.Events,
		"GET /bff/user": a.User, "POST /bff/logout": a.PostLogout,
		"GET /bff/logout": a.Logout, "GET /bff/logout/callback": a.LogoutCallback, "GET /bff/jwks.json": a.JWKS,
		"GET /bff/sessions": a.ListSessions, "DELETE /bff/sessions": a.EndSessions, "DELETE /bff/sessions/{id}": a.EndSession,
		"POST /bff/backchannel-logout": a.BackchannelLogout, "GET /bff/frontchannel-logout": a.FrontchannelLogout,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { write(w, h(w, r)) })
	}
	return a
}

// addProvider registers one more client at OP.
func (o *setup) addProvider(auth rp.ClientAuth) {
	name := names[len(o.RP)]
	redirectURI := o.URLs.Callback(name, name == "one")
	o.OP.Clients = append(o.OP.Clients, optest.Client{
		ID: "client-" + name, Secret: "secret-of-" + name, AuthMethod: string(auth),
		RedirectURIs: []string{redirectURI}, PostLogoutRedirectURIs: []string{o.URLs.LogoutCallback()},
	})
	o.RP = append(o.RP, rp.Config{
		ClientID: "client-" + name, ClientAuth: auth, ClientSecret: secret.New("secret-of-" + name),
		RedirectURI: redirectURI, PostLogoutRedirectURI: o.URLs.LogoutCallback(),
		Scopes:         []string{"openid", "profile", "email", "offline_access"},
		PushedRequests: rp.PushedOff, // so that requests can be read off the browser's address
		HTTPClient:     &http.Client{Transport: &http.Transport{}},
	})
}

func twoProviders(o *setup) { o.addProvider(rp.ClientSecretPost) }

// twoOPs has the second provider at an OP of its own, which is returned.
func twoOPs(t *testing.T) (other func() *optest.Server, change func(*setup)) {
	var op *optest.Server
	return func() *optest.Server { return op }, func(o *setup) {
		twoProviders(o)
		cfg := o.OP
		cfg.Clients = o.OP.Clients[1:]
		op = optest.Start(t, cfg)
		o.RP[1].Issuer = op.Issuer()
	}
}

func responseMode(mode rp.ResponseMode) func(*setup) {
	return func(o *setup) {
		for i := range o.RP {
			o.RP[i].ResponseMode = mode
		}
	}
}

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
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return b.send(req)
}

// post sends a form as another site's page does.
func (b *browser) post(address string, form url.Values) answer {
	b.t.Helper()
	target, err := url.Parse(b.app.URL + address)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(optest.Answer{URL: target, Form: form})
}

// follow takes an authorization response to the app.
func (b *browser) follow(response optest.Answer) answer {
	b.t.Helper()
	req, err := response.NewRequest()
	if err != nil {
		b.t.Fatal(err)
	}
	return b.send(req)
}

func (b *browser) send(req *http.Request) answer {
	b.t.Helper()
	res, err := b.http.Do(req.WithContext(b.t.Context()))
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

// authorize begins a login and returns the address at the OP.
func (b *browser) authorize(query string) string {
	b.t.Helper()
	res := b.get("/bff/login" + query)
	if res.StatusCode != http.StatusFound {
		b.t.Fatalf("login: %s %s", res.Status, res.body)
	}
	return res.Header.Get("Location")
}

// startLogin returns the callback URL that the OP sends the browser to.
func (b *browser) startLogin(query string) string {
	b.t.Helper()
	return b.app.op.Visit(b.authorize(query)).String()
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

// wantFailed checks that a callback led to the error page, and nobody is signed in.
func (b *browser) wantFailed(res answer) {
	b.t.Helper()
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(res.Header.Get("Location"), "/bff/error") {
		b.t.Errorf("callback: %s to %s", res.Status, res.Header.Get("Location"))
	}
	if b.session().Authenticated {
		b.t.Error("somebody is signed in")
	}
}

func (b *browser) wantAnonymous(reason string) {
	b.t.Helper()
	if s := b.session(); s.Authenticated || s.Reason != reason || s.LoginURL != "/bff/login" {
		b.t.Errorf("session = %+v; want anonymous because %q", s, reason)
	}
}

func (b *browser) setCookie(c *http.Cookie) {
	u, _ := url.Parse(b.app.URL)
	b.http.Jar.SetCookies(u, []*http.Cookie{c})
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
