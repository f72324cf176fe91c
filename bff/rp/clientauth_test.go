package rp_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

var authMethods = []rp.ClientAuth{
	rp.ClientSecretBasic, rp.ClientSecretPost, rp.ClientSecretJWT, rp.PrivateKeyJWT, rp.TLSClientAuth,
	rp.SelfSignedTLSClientAuth,
}

// longSecret is fit for HS256 (CA-11), and awkward in a header (CA-02).
const longSecret = clientSecret + ", made longer"

// startAs makes an OP with TLS and a loaded client that is registered with a method. The OP asks for the client's
// certificate at its mtls_endpoint_aliases only.
func startAs(t *testing.T, method rp.ClientAuth, change ...func(*rp.Config, *optest.Client)) *fixture {
	t.Helper()
	f := &fixture{T: t, log: &buffer{}, clock: &clock{}}
	f.op = optest.StartTLS(t, optest.Config{Users: []optest.User{{Subject: "alice"}}, Now: f.clock.now})
	config := rp.Config{
		Issuer:      f.op.Issuer(),
		ClientID:    clientID,
		ClientAuth:  method,
		RedirectURI: redirectURI,
		Scopes:      []string{"openid", "offline_access"},
		HTTPClient:  f.op.Client(),
		Now:         f.clock.now,
		Logger:      slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	registration := optest.Client{ID: clientID, AuthMethod: string(method), RedirectURIs: []string{redirectURI}}
	switch method {
	case rp.ClientSecretBasic, rp.ClientSecretPost, rp.ClientSecretJWT:
		config.ClientSecret, registration.Secret = secret.New(longSecret), longSecret
	case rp.PrivateKeyJWT:
		key := keyFor(t, "ES256")
		config.Keys = clientKeysOf(t, key)
		registration.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}
	case rp.TLSClientAuth:
		config.HTTPClient = f.op.Client(f.op.ClientCertificate("app"))
		registration.CertificateSubject = "CN=app"
	case rp.SelfSignedTLSClientAuth:
		certificate, err := optest.SelfSignedCertificate("app")
		if err != nil {
			t.Fatal(err)
		}
		config.HTTPClient = f.op.Client(certificate)
		registration.Certificates = []*x509.Certificate{certificate.Leaf}
	}
	for _, c := range change {
		c(&config, &registration)
	}
	var err error
	if f.client, err = rp.New(config); err != nil {
		t.Fatal(err)
	}
	if err := f.op.AddClient(registration); err != nil {
		t.Fatal(err)
	}
	f.load()
	return f
}

var sharedRSAKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// keyFor makes a private key for an algorithm, with a kid of its own. RSA keys are one: it takes long to make.
func keyFor(t *testing.T, alg string) jose.JSONWebKey {
	t.Helper()
	key := jose.JSONWebKey{Algorithm: alg, KeyID: rand.Text()}
	var err error
	switch alg {
	case "ES256", "ECDH-ES":
		key.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key.Key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key.Key, err = sharedRSAKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func clientKeysOf(t *testing.T, keys ...jose.JSONWebKey) *rp.ClientKeys {
	t.Helper()
	k, err := rp.NewClientKeys(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestClientAuthentication is CA-01 to CA-05, CA-07, CA-12 and RFR-10: each method at each endpoint, as the OP sees it.
func TestClientAuthentication(t *testing.T) {
	for _, method := range authMethods {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			f := startAs(t, method)
			grant := f.login()
			grant, err := f.client.Refresh(t.Context(), grant.RefreshToken, grant.Identity)
			if err != nil {
				t.Fatal(err)
			}
			for name, ask := range f.asks(grant.AccessToken) {
				if _, err := ask(t.Context(), rp.Target{}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := f.client.Revoke(t.Context(), grant.RefreshToken, "refresh_token"); err != nil {
				t.Fatal(err)
			}
			ids := map[string]bool{}
			for endpoint, want := range map[optest.Endpoint]int{
				optest.PushedEndpoint: 1, optest.TokenEndpoint: 4, optest.RevocationEndpoint: 1,
			} {
				f.wantCount(endpoint, want)
				for _, r := range f.op.Requests(endpoint) {
					f.wantCredentials(r, method, ids)
				}
			}
			f.wantQuiet()
		})
	}
}

// wantCredentials checks that a request has the credentials of the method and no others. It collects the jti of
// assertions and wants each once.
func (f *fixture) wantCredentials(r optest.Request, method rp.ClientAuth, ids map[string]bool) {
	f.Helper()
	bad := func(format string, args ...any) {
		f.Helper()
		f.Errorf("%s: "+format, append([]any{r.Endpoint}, args...)...)
	}
	if len(r.Query) > 0 {
		bad("CA-03: the address has a query: %v", r.Query)
	}
	has := map[string]bool{"Authorization": r.Header.Get("Authorization") != "", "certificate": r.Certificate != nil}
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		has[name] = r.Form.Has(name)
	}
	want := map[rp.ClientAuth][]string{
		rp.ClientSecretBasic:       {"Authorization"},
		rp.ClientSecretPost:        {"client_secret"},
		rp.ClientSecretJWT:         {"client_assertion", "client_assertion_type"},
		rp.PrivateKeyJWT:           {"client_assertion", "client_assertion_type"},
		rp.TLSClientAuth:           {"certificate"},
		rp.SelfSignedTLSClientAuth: {"certificate"},
	}[method]
	for _, name := range want {
		if !has[name] {
			bad("CA-01: %s is missing", name)
		}
		delete(has, name)
	}
	for name, found := range has {
		if found {
			bad("CA-03: %s is there, too", name)
		}
	}
	if method != rp.ClientSecretBasic && r.Form.Get("client_id") != clientID {
		bad("client_id is %q", r.Form.Get("client_id"))
	}
	main, err := url.Parse(f.op.URL)
	if err != nil || (r.Host == main.Host) == (r.Certificate != nil) {
		bad("CA-12: arrived at %s, certificate %v", r.Host, r.Certificate != nil)
	}
	if r.Form.Has("client_assertion") {
		f.wantAssertion(r, f.op.Issuer(), ids)
	}
}

// TestRefusedOnce: whatever an OP does with the first request, there is no second, with another method or without
// (CA-01, FLOW-29, XOA-01), nor does one follow a redirect (XOA-02).
func TestRefusedOnce(t *testing.T) {
	elsewhere := trap(t)
	faults := map[string]struct {
		reply func(http.ResponseWriter, *http.Request, http.Handler)
		want  error
	}{
		"401": {answer(http.StatusUnauthorized, `{"error":"invalid_client"}`), rp.ErrInvalidClient},
		"400": {answer(http.StatusBadRequest, `{"error":"invalid_client"}`), rp.ErrInvalidClient},
		"500": {answer(http.StatusInternalServerError, ``), rp.ErrUnavailable},
		"307": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, rp.ErrUnavailable},
		"nothing": {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, rp.ErrUncertain},
	}
	for _, method := range authMethods {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			f := startAs(t, method)
			for name, fault := range faults {
				f.op.ClearFaults()
				f.op.ForgetRequests()
				f.op.Fault(
					optest.Reply(name, optest.TokenEndpoint, fault.reply),
					optest.Reply(name, optest.PushedEndpoint, fault.reply),
					optest.Reply(name, optest.RevocationEndpoint, fault.reply),
				)
				_, err := f.client.Refresh(t.Context(), secret.New("marker"), rp.Identity{})
				if !errors.Is(err, fault.want) {
					t.Errorf("%s at refresh: %v, want %v", name, err, fault.want)
				}
				if err := f.client.Revoke(t.Context(), secret.New("marker"), "refresh_token"); !errors.Is(err, fault.want) {
					t.Errorf("%s at revocation: %v, want %v", name, err, fault.want)
				}
				if _, _, err := f.client.AuthorizationURL(t.Context(), newRequest(nil)); err == nil {
					t.Errorf("%s at PAR: no error", name)
				}
				for _, e := range []optest.Endpoint{optest.TokenEndpoint, optest.PushedEndpoint, optest.RevocationEndpoint} {
					f.wantCount(e, 1)
				}
				f.wantQuiet(err)
			}
		})
	}
}

// TestClientAuthConfiguration: New refuses a method without what it needs.
func TestClientAuthConfiguration(t *testing.T) {
	t.Parallel()
	k := clientKeysOf(t, keyFor(t, "ES256"))
	encryption := keyFor(t, "ECDH-ES")
	encryption.Use = "enc"
	for _, tt := range []struct {
		name   string
		change func(*rp.Config)
		want   string // "" when it is good
	}{
		{"private_key_jwt", func(c *rp.Config) { c.ClientAuth, c.Keys = rp.PrivateKeyJWT, k }, ""},
		{"CA-06", func(c *rp.Config) { c.ClientAuth, c.Keys, c.LegacyAudience = rp.PrivateKeyJWT, k, true }, ""},
		{"CA-11", func(c *rp.Config) {
			c.ClientAuth, c.ClientSecret = rp.ClientSecretJWT, secret.New(strings.Repeat("s", 32))
		}, ""},
		{"tls_client_auth", func(c *rp.Config) { c.ClientAuth, c.HTTPClient = rp.TLSClientAuth, &http.Client{} }, ""},
		{"unknown method", func(c *rp.Config) { c.ClientAuth = "none" }, "client_auth must be"},
		{"basic without secret", func(c *rp.Config) { c.ClientSecret = secret.String{} }, "client_secret is missing"},
		{"post without secret", func(c *rp.Config) {
			c.ClientAuth, c.ClientSecret = rp.ClientSecretPost, secret.String{}
		}, "client_secret is missing"},
		{"CA-11 short secret", func(c *rp.Config) {
			c.ClientAuth, c.ClientSecret = rp.ClientSecretJWT, secret.New(strings.Repeat("s", 31))
		}, "at least 32 octets"},
		{"private_key_jwt without keys", func(c *rp.Config) { c.ClientAuth = rp.PrivateKeyJWT }, "no key for signing"},
		{"private_key_jwt with a key for encryption", func(c *rp.Config) {
			c.ClientAuth, c.Keys = rp.PrivateKeyJWT, clientKeysOf(t, encryption)
		}, "no key for signing"},
		{"tls_client_auth without transport", func(c *rp.Config) { c.ClientAuth = rp.TLSClientAuth }, "no certificate to show"},
		{"self_signed_tls_client_auth at http", func(c *rp.Config) {
			c.ClientAuth, c.HTTPClient, c.Issuer = rp.SelfSignedTLSClientAuth, &http.Client{}, "http://localhost"
		}, "needs an https issuer"},
		{"CA-06 without assertion", func(c *rp.Config) { c.LegacyAudience = true }, "client_assertion_audience is for"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantNew(t, tt.change, tt.want)
		})
	}
}
