package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

// wantSignIn goes through a login and reads the session.
func (g *replica) wantSignIn() {
	g.t.Helper()
	c := g.client()
	start := c.send("GET", "/bff/login")
	if start.StatusCode != http.StatusFound {
		g.t.Fatalf("login: %s %s", start.Status, start.body)
	}
	if back := c.deliver(start.Header.Get("Location")); back.Header.Get("Location") != "/bff/landing" {
		g.t.Fatalf("callback: %s %s\n%s", back.Status, back.Header.Get("Location"), g.log.String())
	}
	if res := c.send("GET", "/api/orders", csrf); res.StatusCode != http.StatusOK {
		g.t.Errorf("a call: %s %s", res.Status, res.body)
	}
}

// clientKeys writes a key for signing and one for decryption.
func clientKeys(t *testing.T) (file string) {
	t.Helper()
	sign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	decrypt, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: sign, KeyID: "sign", Algorithm: "ES256", Use: "sig"},
		{Key: decrypt, KeyID: "decrypt", Algorithm: "RSA-OAEP-256", Use: "enc"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "client.jwk")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Every key of a provider's configuration reaches the OP, which refuses whatever is not as registered. The OP takes our
// public keys from where we publish them (CA-09).
func TestProviderWithKeys(t *testing.T) {
	t.Parallel()
	const api, details = "https://api.example.com", `[{"type":"payment_initiation","limit":100}]`
	encrypted := optest.Encryption{Alg: "RSA-OAEP-256", Enc: "A256GCM"}
	g := newReplica(t, func(g *replica, c *Config) {
		g.op = optest.Start(t, optest.Config{
			Clients: []optest.Client{{
				ID: "app", AuthMethod: optest.PrivateKeyJWT, JWKSURI: g.url + "/bff/jwks.json",
				RedirectURIs: []string{g.url + "/bff/callback"}, RequirePushedRequests: true, RequestObjectAlg: "ES256",
				IDTokenAlg: "ES384", UserInfoAlg: "RS256", ResponseAlg: "PS256",
				IDTokenEncryption: encrypted, UserInfoEncryption: encrypted, ResponseEncryption: encrypted,
			}},
			Users: []optest.User{{Subject: "alice"}},
		})
		encryption := rp.Encryption{Alg: encrypted.Alg, Enc: encrypted.Enc}
		p := &c.Providers[0]
		p.Issuer, p.ClientAuth, p.ClientSecret, p.ClientKeyFile = g.op.Issuer(), "private_key_jwt", secret.String{}, clientKeys(t)
		p.PushedRequests, p.RequestObjectSigningAlg, p.ResponseMode = "required", "ES256", "form_post.jwt"
		p.IDTokenSigningAlg, p.UserinfoSigningAlg, p.ResponseSigningAlg, p.Userinfo = "ES384", "RS256", "PS256", "required"
		p.IDTokenEncryption, p.UserinfoEncryption, p.ResponseEncryption = encryption, encryption, encryption
		p.Resource, p.AuthorizationDetails = []string{api}, json.RawMessage(details)
	}).ready()
	g.wantSignIn()

	pushed := g.op.Requests(optest.PushedEndpoint)
	if len(pushed) != 1 {
		t.Fatalf("%d pushed requests", len(pushed))
	}
	claims := payload(t, pushed[0].Form.Get("request"))
	if got, _ := json.Marshal(claims["resource"]); string(got) != `"`+api+`"` && string(got) != `["`+api+`"]` {
		t.Errorf("resource: %s", got)
	}
	if got, _ := json.Marshal(claims["authorization_details"]); string(got) != `[{"limit":100,"type":"payment_initiation"}]` {
		t.Errorf("authorization_details: %s", got)
	}
	for _, r := range g.op.Requests(optest.TokenEndpoint) {
		if got := payload(t, r.Form.Get("client_assertion"))["aud"]; got != g.op.Issuer() { // CA-05
			t.Errorf("the audience of an assertion is %v", got)
		}
	}
}

// CA-06: the audience that old OPs want is asked for by the configuration alone.
func TestProviderWithLegacyAudience(t *testing.T) {
	t.Parallel()
	g := newReplica(t, func(g *replica, c *Config) {
		g.op = optest.Start(t, optest.Config{
			Clients: []optest.Client{{
				ID: "app", AuthMethod: optest.PrivateKeyJWT, JWKSURI: g.url + "/bff/jwks.json", LegacyAudience: true,
				RedirectURIs: []string{g.url + "/bff/callback"},
			}},
			Users: []optest.User{{Subject: "alice"}},
		})
		p := &c.Providers[0]
		p.Issuer, p.ClientAuth, p.ClientSecret, p.ClientKeyFile = g.op.Issuer(), "private_key_jwt", secret.String{}, clientKeys(t)
		p.AssertionAudience, p.PushedRequests = "token_endpoint", "off"
	}).ready()
	g.client().signIn()
	requests := g.op.Requests(optest.TokenEndpoint)
	if len(requests) != 1 {
		t.Fatalf("%d token requests", len(requests))
	}
	if got := payload(t, requests[0].Form.Get("client_assertion"))["aud"]; got != g.op.EndpointURL(optest.TokenEndpoint) {
		t.Errorf("the audience of the assertion is %v", got)
	}
	if n := g.op.Count(optest.PushedEndpoint); n != 0 { // PAR-01
		t.Errorf("%d pushed requests", n)
	}
}

// CA-12: the OP knows us by the certificate that the configuration names, at the endpoints for certificates.
func TestProviderWithCertificate(t *testing.T) {
	t.Parallel()
	g := newReplica(t, func(g *replica, c *Config) {
		g.op = optest.StartTLS(t, optest.Config{
			Clients: []optest.Client{{
				ID: "app", AuthMethod: optest.TLSClientAuth, CertificateSubject: "CN=app",
				RedirectURIs: []string{g.url + "/bff/callback"},
			}},
			Users: []optest.User{{Subject: "alice"}},
		})
		folder := t.TempDir()
		file := func(name string, data []byte) string {
			name = filepath.Join(folder, name)
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
		cert, key := optest.EncodeCertificate(g.op.ClientCertificate("app"))
		p := &c.Providers[0]
		p.Issuer, p.ClientAuth, p.ClientSecret, p.CAFile = g.op.Issuer(), "tls_client_auth", secret.String{}, file("ca.pem", g.op.CA)
		p.ClientCertFile, p.ClientKeyFile = file("client.crt", cert), file("client.key", key)
	}).ready()
	g.wantSignIn()
	for _, r := range g.op.Requests(optest.TokenEndpoint) {
		if r.Certificate == nil || r.Certificate.Subject.CommonName != "app" {
			t.Error("a token request without our certificate")
		}
	}
}

// payload returns the claims of a JWT that somebody else has verified.
func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
