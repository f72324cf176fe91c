package e2e_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// panvaFeatures turns on what is off in TestPanva.
const panvaFeatures = `FEATURES={
	"pushedAuthorizationRequests": {"enabled": true},
	"requestObjects": {"enabled": true},
	"jwtResponseModes": {"enabled": true},
	"encryption": {"enabled": true}
}`

// panvaProvider is what every application says about oidc-provider: it grants offline_access only where the user was
// asked (OpenID Connect Core §11), and its access tokens are not for its userinfo endpoint.
const panvaProvider = `
scopes: [openid, profile, email, offline_access, "orders:read"]
authorization_params: {prompt: consent}
userinfo: off
`

// TestPanvaModes is a visit with oidc-provider for each way in which the application can be registered.
func TestPanvaModes(t *testing.T) {
	t.Parallel()
	const (
		withPAR = "pushed_authorization_requests: required\n"
		withKey = "client_auth: private_key_jwt\n"
	)
	for _, test := range []struct {
		name     string
		rows     []string
		provider string
		client   metadata
		jwksURI  bool // the OP fetches the client's keys; else they are part of the registration
		saw      []string
	}{
		{
			name: "PAR, private_key_jwt, query.jwt", rows: []string{pushed, privateKeyJWT, queryJWT, jwksURI},
			provider: withPAR + withKey + "response_mode: query.jwt", jwksURI: true,
			client: metadata{"require_pushed_authorization_requests": true},
			saw: []string{
				"pushed auth=private_key_jwt object=false", "authorized mode=query.jwt pushed=true",
				"granted grant=authorization_code auth=private_key_jwt", "granted grant=refresh_token auth=private_key_jwt",
			},
		},
		{
			name: "PAR, private_key_jwt, form_post.jwt", rows: []string{pushed, privateKeyJWT, formPostJWT},
			provider: withPAR + withKey + "response_mode: form_post.jwt\nauthorization_signing_alg: PS256",
			client:   metadata{"authorization_signed_response_alg": "PS256"},
			saw:      []string{"pushed auth=private_key_jwt object=false", "authorized mode=form_post.jwt pushed=true"},
		},
		{
			name: "PAR, private_key_jwt, form_post", rows: []string{pushed, privateKeyJWT, formPost, issParameter},
			provider: withPAR + withKey + "response_mode: form_post",
			saw:      []string{"pushed auth=private_key_jwt object=false", "authorized mode=form_post pushed=true"},
		},
		{
			name: "request object in PAR", rows: []string{pushed, privateKeyJWT, requestObject, issParameter},
			provider: withPAR + withKey + "request_object_signing_alg: ES256",
			client:   metadata{"request_object_signing_alg": "ES256", "require_signed_request_object": true},
			saw:      []string{"pushed auth=private_key_jwt object=true", "granted grant=authorization_code auth=private_key_jwt"},
		},
		{
			name: "encrypted ID token", rows: []string{pushed, privateKeyJWT, encrypted},
			provider: withKey + "id_token_encryption_alg: ECDH-ES\nid_token_encryption_enc: A256GCM",
			client: metadata{
				"id_token_encrypted_response_alg": "ECDH-ES", "id_token_encrypted_response_enc": "A256GCM",
			},
			saw: []string{"pushed auth=private_key_jwt object=false"},
		},
		{
			name: "client_secret_jwt, PAR where it is offered", rows: []string{pushed, secretJWT, issParameter},
			provider: "client_auth: client_secret_jwt",
			client:   metadata{"token_endpoint_auth_method": "client_secret_jwt"},
			saw:      []string{"pushed auth=client_secret_jwt object=false", "granted grant=refresh_token auth=client_secret_jwt"},
		},
		{
			name: "client_secret_post, jwt", rows: []string{secretPost, queryJWT},
			provider: "client_auth: client_secret_post\npushed_authorization_requests: off\nresponse_mode: jwt",
			client:   metadata{"token_endpoint_auth_method": "client_secret_post"},
			saw:      []string{"authorized mode=jwt pushed=false", "granted grant=refresh_token auth=client_secret_post"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			proves(t, panva, append(test.rows, codeFlow, rotation, rpLogout)...)
			api := startAPI(t)
			c := newConfig(t, api)
			c.Session = "refresh_before: 0s"
			c.Provider = panvaProvider + test.provider
			client := metadata{}
			maps.Copy(client, test.client)
			if strings.Contains(test.provider, withKey) {
				keys := c.useKey(t)
				if slices.Contains(test.rows, encrypted) {
					keys = c.useDecryptionKey(t)
				}
				client["token_endpoint_auth_method"] = "private_key_jwt"
				if test.jwksURI {
					client["jwks_uri"] = c.Origin + "/bff/jwks.json"
				} else {
					client["jwks"] = keys
				}
			}
			op := startPanva(t, c, client, panvaFeatures, "HOST=localhost")
			visit(t, serve(t, c), api, person{"login": "alice", "logout": "yes"})
			op.want(test.saw...)
		})
	}
}

// TestPanvaClientCertificate is a visit on https, where the client authenticates itself with its certificate at the
// aliases of the OP's endpoints (CA-12).
func TestPanvaClientCertificate(t *testing.T) {
	t.Parallel()
	for method, row := range map[string]string{
		"tls_client_auth": tlsClient, "self_signed_tls_client_auth": selfSignedTLS,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			proves(t, panva, row, pushed, codeFlow, rotation, rpLogout)
			api := startAPI(t)
			c := newConfig(t, api)
			c.Session = "refresh_before: 0s"
			ca := newAuthority(t)
			c.roots = ca.pool() // for the OP, too
			opCert, opKey := ca.issue("the OP", "127.0.0.1")
			tls, err := json.Marshal(map[string]string{"cert": opCert, "key": opKey, "clientCA": ca.File})
			if err != nil {
				t.Fatal(err)
			}
			client := metadata{"token_endpoint_auth_method": method}
			var clientCert string
			if method == "tls_client_auth" {
				clientCert, c.KeyFile = ca.issue("client-of-the-test")
				client["tls_client_auth_subject_dn"] = "CN=client-of-the-test"
			} else {
				clientCert, c.KeyFile = newAuthority(t).issue("client-of-the-test") // which the OP does not know
				client["jwks"] = certificateKeys(t, clientCert)
			}
			c.Secret = ""
			c.Provider = panvaProvider + "client_auth: " + method +
				"\nclient_cert_file: " + clientCert + "\nca_file: " + ca.File
			op := startPanva(t, c, client, panvaFeatures, "TLS="+string(tls))
			visit(t, serve(t, c), api, person{"login": "alice", "logout": "yes"})
			op.want("pushed auth="+method, "granted grant=authorization_code auth="+method,
				"granted grant=refresh_token auth="+method)
		})
	}
}

// TestPanvaFamilyRevocation: somebody else uses a refresh token that has been rotated away, and the OP revokes the whole
// grant. The session then ends at its next refresh (RFR-28).
func TestPanvaFamilyRevocation(t *testing.T) {
	t.Parallel()
	proves(t, panva, codeFlow, secretBasic, rotation, familyRevoked)
	api := startAPI(t)
	c := newConfig(t, api)
	c.Session = "refresh_before: 0s"
	c.Provider = panvaProvider
	op := startPanva(t, c, nil)
	a := newAgent(serve(t, c))
	a.signIn(person{"login": "alice"})
	eventually(t, time.Minute, "a refresh", func() bool {
		a.fetch("GET", "/api/echo").want(t, http.StatusOK)
		return len(api.tokens()) >= 2
	})

	stolen := refreshTokens(op)[0]
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Issuer+"/token",
		strings.NewReader(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {stolen}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(c.ClientID, c.Secret)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer := readAll(t, res); res.StatusCode != http.StatusBadRequest || !strings.Contains(answer, "invalid_grant") {
		t.Fatalf("the replay was answered with %s %s", res.Status, answer)
	}

	var last *answer
	eventually(t, time.Minute, "the next refresh", func() bool {
		last = a.fetch("GET", "/api/echo")
		return last.StatusCode != http.StatusOK
	})
	last.wantProblem(t, http.StatusUnauthorized, "session_ended")
	if a.cookie(sessionCookie(a.origin)) != "" {
		t.Error("the session cookie is still there")
	}
	if session := a.session(); session["authenticated"] != false {
		t.Errorf("the session says %v", session)
	}
	a.signIn(person{"login": "alice"}) // a clean start
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)
}

// refreshTokens are those that the OP has issued, oldest first.
func refreshTokens(op *thirdParty) []string {
	var tokens []string
	for line := range strings.Lines(op.stdout.String()) {
		if _, token, ok := strings.Cut(line, "refresh_token="); ok {
			tokens = append(tokens, strings.TrimSpace(token))
		}
	}
	return tokens
}

// certificateKeys is the JWK Set by which a self-signed certificate is registered (RFC 8705 §2.2.2).
func certificateKeys(t *testing.T, certFile string) jose.JSONWebKeySet {
	t.Helper()
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: cert.PublicKey, Use: "sig", Certificates: []*x509.Certificate{cert},
	}}}
}
