package optest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// A test of a relying party, here one made of x/oauth2 and go-oidc: the OP names another issuer in its ID tokens, and
// the login has to fail after one token request.
func ExampleStart() {
	const callback = "http://localhost/callback"
	test := func(t optest.TB) { // in a test: t *testing.T
		op := optest.Start(t, optest.Config{
			Clients: []optest.Client{{ID: "app", Secret: "s", RedirectURIs: []string{callback}}},
			Users:   []optest.User{{Subject: "alice", Claims: map[string]any{"name": "Alice"}}},
		})
		op.Fault(optest.WrongIssuer)

		ctx := context.Background()
		provider, err := oidc.NewProvider(ctx, op.Issuer())
		if err != nil {
			t.Fatal(err)
		}
		client := oauth2.Config{
			ClientID: "app", ClientSecret: "s", Endpoint: provider.Endpoint(), RedirectURL: callback,
			Scopes: []string{"openid"},
		}
		verifier := oauth2.GenerateVerifier()
		response := op.Visit(client.AuthCodeURL(rand.Text(), oauth2.S256ChallengeOption(verifier))).Query()
		token, err := client.Exchange(ctx, response.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		idToken, _ := token.Extra("id_token").(string)
		_, err = provider.Verifier(&oidc.Config{ClientID: "app"}).Verify(ctx, idToken)
		fmt.Println("refused:", err != nil)
		fmt.Println("token requests:", op.Count(optest.TokenEndpoint))
	}
	run(test)
	// Output:
	// refused: true
	// token requests: 1
}

// A login with a pushed request and private_key_jwt: what a client does, step by step.
func ExampleServer_Authorize() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	private := jose.JSONWebKey{Key: key, KeyID: "key-1", Algorithm: "ES256", Use: "sig"}
	const callback = "http://localhost/callback"
	login := func(t optest.TB) {
		op := optest.Start(t, optest.Config{
			Clients: []optest.Client{{
				ID:                    "app",
				AuthMethod:            optest.PrivateKeyJWT,
				JWKS:                  &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}},
				RedirectURIs:          []string{callback},
				RequirePushedRequests: true,
			}},
			Users: []optest.User{{Subject: "alice"}},
		})
		verifier := rand.Text() + rand.Text()
		challenge := sha256.Sum256([]byte(verifier))

		pushed := post(t, op.EndpointURL(optest.PushedEndpoint), authenticated(t, op, private, url.Values{
			"response_type":         {"code"},
			"client_id":             {"app"},
			"redirect_uri":          {callback},
			"scope":                 {"openid"},
			"state":                 {rand.Text()},
			"nonce":                 {rand.Text()},
			"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
			"code_challenge_method": {"S256"},
		}))
		answer := op.Authorize(op.EndpointURL(optest.AuthorizationEndpoint) + "?" + url.Values{
			"client_id":   {"app"},
			"request_uri": {pushed["request_uri"].(string)},
		}.Encode())
		tokens := post(t, op.EndpointURL(optest.TokenEndpoint), authenticated(t, op, private, url.Values{
			"grant_type":    {"authorization_code"},
			"code":          {answer.Parameters().Get("code")},
			"redirect_uri":  {callback},
			"code_verifier": {verifier},
		}))
		fmt.Println(tokens["token_type"], tokens["scope"])
	}
	run(login)
	// Output: Bearer openid
}

// authenticated adds a new client assertion to a request: one is never used twice.
func authenticated(t optest.TB, op *optest.Server, key jose.JSONWebKey, form url.Values) url.Values {
	options := (&jose.SignerOptions{}).WithType("client-authentication+jwt")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	assertion, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": "app", "sub": "app", "aud": op.Issuer(), "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return form
}

// post sends a form and reads the JSON of the answer.
func post(t optest.TB, address string, form url.Values) map[string]any {
	resp, err := http.PostForm(address, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// A program is a TB too: what tests clean up at their end it cleans up at its own.
type program struct{ cleanups []func() }

func (*program) Helper()                                {}
func (p *program) Cleanup(f func())                     { p.cleanups = append(p.cleanups, f) }
func (*program) Fatal(arguments ...any)                 { log.Fatal(arguments...) }
func (*program) Fatalf(format string, arguments ...any) { log.Fatalf(format, arguments...) }

func run(main func(optest.TB)) {
	p := &program{}
	main(p)
	for _, cleanup := range slices.Backward(p.cleanups) {
		cleanup()
	}
}

// A client with a certificate: the token endpoint that takes it is an alias.
func ExampleStartTLS() {
	_ = func(t *testing.T) {
		op := optest.StartTLS(t, optest.Config{
			Clients: []optest.Client{{
				ID: "app", AuthMethod: optest.TLSClientAuth, CertificateSubject: "CN=app",
				RedirectURIs: []string{"https://localhost/callback"},
			}},
			Users: []optest.User{{Subject: "alice"}},
		})
		certificate, key := optest.EncodeCertificate(op.ClientCertificate("app"))
		_, _ = certificate, key // write them to files for the client, and op.CA for it to trust

		// ... a login ...

		for _, request := range op.Requests(optest.TokenEndpoint) {
			if request.Certificate == nil {
				t.Errorf("a token request without certificate, at %s", request.Host)
			}
		}
	}
}

// A test of a back-channel logout endpoint: a token without events is no logout token.
func ExampleOP_EndSessions() {
	_ = func(t *testing.T) {
		op := optest.Start(t, optest.Config{
			Clients: []optest.Client{{
				ID: "app", Secret: "s", RedirectURIs: []string{"http://localhost/callback"},
				BackchannelLogoutURI: "http://localhost/backchannel",
			}},
			Users: []optest.User{{Subject: "alice"}},
		})

		// ... a login ...

		op.Fault(optest.LogoutNoEvents)
		for _, delivery := range op.EndSessions("alice") {
			if delivery.Status != http.StatusBadRequest {
				t.Errorf("%s answers %d %v, want 400", delivery.ClientID, delivery.Status, delivery.Err)
			}
		}
	}
}

// An OP for a demonstration, with pages.
func ExampleNew() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	op, err := optest.New(optest.Config{
		Issuer:  "http://" + listener.Addr().String(),
		Clients: []optest.Client{{ID: "app", Secret: "s", RedirectURIs: []string{"http://localhost:8080/callback"}}},
		Users:   []optest.User{{Subject: "alice"}, {Subject: "bob"}},
		Pages:   optest.PlainPages{},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, op))
}

// A fault that the package does not know.
func ExampleEditIDToken() {
	_ = optest.EditIDToken("groups as one string", func(t *optest.JWT) {
		t.Claims["groups"] = "admin,staff"
	})
}
