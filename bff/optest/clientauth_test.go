package optest_test

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// CA-01: one method for each client, the same at all endpoints.
func TestOneMethodPerClient(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	selfSigned, err := optest.SelfSignedCertificate("self")
	if err != nil {
		t.Fatal(err)
	}
	register := func(id, method string) optest.Client {
		return optest.Client{
			ID: id, AuthMethod: method, Secret: longSecret, JWKS: publicSet(signatures), CertificateSubject: "CN=subject",
			Certificates: []*x509.Certificate{selfSigned.Leaf}, RedirectURIs: []string{callbackURL},
		}
	}
	methods := map[string]string{
		"basic": optest.ClientSecretBasic, "post": optest.ClientSecretPost, "mac": optest.ClientSecretJWT,
		"keys": optest.PrivateKeyJWT, "subject": optest.TLSClientAuth, "self": optest.SelfSignedTLSClientAuth,
	}
	cfg := config()
	cfg.Clients = nil
	for id, method := range methods {
		cfg.Clients = append(cfg.Clients, register(id, method))
	}
	p := &party{T: t, op: optest.StartTLS(t, cfg)}
	p.present()
	token, revocation, push := p.alias("token_endpoint"), p.alias("revocation_endpoint"),
		p.alias("pushed_authorization_request_endpoint")

	// send makes a request in which a client authenticates by a method.
	send := func(address string, form url.Values, id, method string) answer {
		p.clientID = id
		p.present()
		authenticate := func(*http.Request) {}
		switch method {
		case optest.ClientSecretBasic:
			authenticate = basic(id, longSecret)
		case optest.ClientSecretPost:
			form.Set("client_id", id)
			form.Set("client_secret", longSecret)
		case optest.ClientSecretJWT:
			p.assert(form, signature{jose.HS256, []byte(longSecret)}.sign(t, goodType, p.assertionClaims(nil)))
		case optest.PrivateKeyJWT:
			p.assert(form, signatures["PS256"].sign(t, goodType, p.assertionClaims(nil)))
		case optest.TLSClientAuth:
			form.Set("client_id", id)
			p.present(p.op.ClientCertificate("subject"))
		case optest.SelfSignedTLSClientAuth:
			form.Set("client_id", id)
			p.present(selfSigned)
		}
		return p.post(address, form, authenticate)
	}
	for id, registered := range methods {
		for _, method := range methods {
			t.Run(registered+" by "+method, func(t *testing.T) {
				p.clientID = id
				request := p.authorizationRequest()
				answers := map[int]answer{
					http.StatusBadRequest: send(token, refreshForm("a"), id, method),
					http.StatusOK:         send(revocation, url.Values{"token": {"a"}}, id, method),
					http.StatusCreated:    send(push, request, id, method),
				}
				for status, a := range answers {
					if method != registered {
						status = http.StatusUnauthorized
					}
					if a.StatusCode != status {
						t.Errorf("%s: %s %s, want %d", a.Request.URL.Path, a.Status, a.body, status)
					}
				}
			})
		}
	}
}

// RFC 6749, 2.3: more than one method in a request is an error.
func TestTwoMethods(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	for name, form := range map[string]url.Values{
		"Basic and secret":    {"client_secret": {secret}},
		"Basic and assertion": {"client_assertion": {"a"}},
	} {
		t.Run(name, func(t *testing.T) { p.refused(p.tokenRequest(form), http.StatusBadRequest, "invalid_request") })
	}
	both := url.Values{"client_id": {"post"}, "client_secret": {secret}, "client_assertion_type": {jwtBearer}}
	p.refused(p.post(p.op.EndpointURL(optest.TokenEndpoint), both, nil), http.StatusBadRequest, "invalid_request")
}

// CA-03: what is in the URL does not count.
func TestSecretInURL(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	address := p.op.EndpointURL(optest.TokenEndpoint) + "?client_id=post&client_secret=" + url.QueryEscape(secret)
	p.refused(p.post(address, refreshForm("a"), nil), http.StatusUnauthorized, "invalid_client")
}

func TestRefusedClients(t *testing.T) {
	t.Parallel()
	redirects := []string{callbackURL}
	for name, c := range map[string]optest.Client{
		"no ID":                    {Secret: secret},
		"unknown method":           {ID: "a", AuthMethod: "none", Secret: secret},
		"no secret":                {ID: "a"},
		"no secret to post":        {ID: "a", AuthMethod: optest.ClientSecretPost},
		"short secret for HS256":   {ID: "a", AuthMethod: optest.ClientSecretJWT, Secret: longSecret[1:]}, // CA-11
		"no keys":                  {ID: "a", AuthMethod: optest.PrivateKeyJWT},
		"no certificate subject":   {ID: "a", AuthMethod: optest.TLSClientAuth},
		"no certificate":           {ID: "a", AuthMethod: optest.SelfSignedTLSClientAuth},
		"logout URI with fragment": {ID: "a", Secret: secret, BackchannelLogoutURI: "http://localhost/a#b"}, // BCL-26
		"relative logout URI":      {ID: "a", Secret: secret, BackchannelLogoutURI: "/logout"},
		"front channel elsewhere": { // FCL-02
			ID: "a", Secret: secret, RedirectURIs: redirects, FrontchannelLogoutURI: "http://localhost:7778/logout",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := optest.New(optest.Config{Issuer: "http://localhost", Clients: []optest.Client{c}}); err == nil {
				t.Error("accepted")
			}
		})
	}
}
