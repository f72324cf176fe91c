package rp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	clientID     = "app"
	clientSecret = "marker-client-secret:%+/ ü"
	redirectURI  = "http://localhost/bff/callback"
	landing      = "http://localhost/bff/logout/callback"
)

// fixture is a client of ours, its OP, the time that both go by, and what the client logs.
type fixture struct {
	*testing.T
	op     *optest.Server
	client *rp.Client
	log    *buffer
	clock  *clock
}

// start makes an OP and a client that has not loaded anything yet.
func start(t *testing.T, change ...func(*optest.Config, *rp.Config)) *fixture {
	t.Helper()
	f := &fixture{T: t, log: &buffer{}, clock: &clock{}}
	opConfig := optest.Config{
		Users: []optest.User{{Subject: "alice", Claims: map[string]any{"name": "Alice", "email": "alice@example.com"}}},
		Now:   f.clock.now,

		OpaqueAccessTokens: true, // as they are to a client; a JWT would only take time
	}
	config := rp.Config{
		ClientID:              clientID,
		ClientSecret:          secret.New(clientSecret),
		RedirectURI:           redirectURI,
		PostLogoutRedirectURI: landing,
		Scopes:                []string{"openid", "profile", "email", "offline_access"},
		Now:                   f.clock.now,
		Logger:                slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&opConfig, &config)
	}
	f.op = optest.Start(t, opConfig)
	config.Issuer = f.op.Issuer()
	var err error
	if f.client, err = rp.New(config); err != nil {
		t.Fatal(err)
	}
	f.register(config)
	return f
}

// register tells the OP what the client's configuration says that it is registered with.
func (f *fixture) register(config rp.Config) {
	f.Helper()
	keys := f.client.PublicKeys()
	if err := f.op.AddClient(optest.Client{
		ID:                     clientID,
		Secret:                 config.ClientSecret.Reveal(),
		AuthMethod:             string(config.ClientAuth),
		LegacyAudience:         config.LegacyAudience,
		RedirectURIs:           []string{redirectURI},
		PostLogoutRedirectURIs: []string{landing},
		JWKS:                   &keys,
		RequestObjectAlg:       config.RequestObjectAlg,
		IDTokenAlg:             config.SigningAlg,
		UserInfoAlg:            config.UserinfoSigningAlg,
		ResponseAlg:            config.ResponseSigningAlg,
		IDTokenEncryption:      optest.Encryption(config.IDTokenEncryption),
		UserInfoEncryption:     optest.Encryption(config.UserinfoEncryption),
		ResponseEncryption:     optest.Encryption(config.ResponseEncryption),
	}); err != nil {
		f.Fatal(err)
	}
}

// startLoaded is start, and the client has loaded metadata and keys.
func startLoaded(t *testing.T, change ...func(*optest.Config, *rp.Config)) *fixture {
	t.Helper()
	f := start(t, change...)
	f.load()
	return f
}

func (f *fixture) load() {
	f.Helper()
	if err := f.client.Load(f.Context()); err != nil {
		f.Fatal(err)
	}
}

// newRequest is what bff makes for each login.
func newRequest(params url.Values) rp.AuthorizationRequest {
	return rp.AuthorizationRequest{
		State:    rand.Text(),
		Nonce:    rand.Text(),
		Verifier: secret.New(oauth2.GenerateVerifier()),
		Params:   params,
	}
}

// authorize takes a browser through the OP and returns the response.
func (f *fixture) authorize(r rp.AuthorizationRequest) url.Values {
	f.Helper()
	address, _, err := f.client.AuthorizationURL(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	return f.op.Visit(address).Query()
}

// code takes a browser through the OP and returns the code.
func (f *fixture) code(r rp.AuthorizationRequest) secret.String {
	f.Helper()
	code, err := f.respond(f.authorize(r), r.State)
	if err != nil {
		f.Fatal(err)
	}
	return code
}

// exchange does a whole login.
func (f *fixture) exchange(params url.Values) (*rp.Grant, error) {
	f.Helper()
	r := newRequest(params)
	return f.client.Exchange(f.Context(), f.code(r), r)
}

// login is an exchange that must work.
func (f *fixture) login() *rp.Grant {
	f.Helper()
	grant, err := f.exchange(nil)
	if err != nil {
		f.Fatal(err)
	}
	return grant
}

// wantCount checks how many requests an endpoint has seen.
func (f *fixture) wantCount(e optest.Endpoint, want int) {
	f.Helper()
	if got := f.op.Count(e); got != want {
		f.Errorf("%s saw %d requests, want %d", e, got, want)
	}
}

// wantQuiet checks that no secret of the OP's records is in an error text or in the log (CA-14, XOA-06).
func (f *fixture) wantQuiet(errs ...error) {
	f.Helper()
	said := f.log.String()
	for _, err := range errs {
		if err != nil {
			said += "\n" + err.Error()
		}
	}
	secrets := []string{clientSecret, url.QueryEscape(clientSecret)}
	for _, e := range []optest.Endpoint{
		optest.PushedEndpoint, optest.TokenEndpoint, optest.UserInfoEndpoint, optest.RevocationEndpoint,
	} {
		for _, r := range f.op.Requests(e) {
			for _, name := range []string{"code", "code_verifier", "refresh_token", "subject_token", "token", "client_secret", "client_assertion"} {
				secrets = append(secrets, r.Form.Get(name))
			}
			_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			secrets = append(secrets, credentials)
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(said, s) {
			f.Errorf("the secret %q was said:\n%s", s, said)
		}
	}
}

// leaveAt returns a context that ends when a request has arrived at an endpoint, which then never answers.
func (f *fixture) leaveAt(e optest.Endpoint) context.Context {
	ctx, leave := context.WithCancel(f.Context())
	f.op.Fault(optest.Reply("never answers", e, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		leave()
		<-r.Context().Done()
	}))
	return ctx
}

// clock is real time plus what a test adds.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// inProcess is a transport to a handler without a network, for tests in synctest bubbles.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// trap is a server at which nothing may arrive.
func trap(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was requested", r.Method, r.URL)
	}))
	t.Cleanup(s.Close)
	return s
}

// answer makes a reply that says the same every time.
func answer(status int, body string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// respond hands the client a response as its redirect URI receives it.
func (f *fixture) respond(params url.Values, state string) (secret.String, error) {
	f.Helper()
	r := httptest.NewRequest(http.MethodGet, "/bff/callback?"+params.Encode(), nil)
	response, err := f.client.ReadResponse(f.Context(), r)
	if err != nil {
		return secret.String{}, err
	}
	return f.client.CheckResponse(response, state)
}
