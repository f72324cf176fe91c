package optest

import (
	"crypto/subtle"
	"net/http"
	"net/url"
)

// authMethods are all that the token, PAR and revocation endpoints know.
var authMethods = []string{
	ClientSecretBasic, ClientSecretPost, ClientSecretJWT, PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClientAuth,
}

var invalidClient = &refusal{http.StatusUnauthorized, "invalid_client", "unknown client, or a method not registered"}

// invalidClientBecause is invalid_client with a sentence for the developer.
func invalidClientBecause(reason string) error {
	return &refusal{http.StatusUnauthorized, "invalid_client", reason}
}

// authenticate finds the client that sent a request to the token, PAR or revocation endpoint. It accepts the one
// method that the client is registered for, and one method per request (RFC 6749, 2.3). A certificate beside another
// method is none: tokens may be bound to it (RFC 8705, 3).
func (op *OP) authenticate(r *http.Request) (Client, error) {
	basic := r.Header.Get("Authorization") != ""
	secret := r.PostForm.Has("client_secret")
	assertion := r.PostForm.Has("client_assertion") || r.PostForm.Has("client_assertion_type")
	switch {
	case basic && secret, basic && assertion, secret && assertion:
		return Client{}, refuse("invalid_request", "more than one client authentication method")
	case basic:
		return op.authenticateBasic(r)
	case secret:
		return op.authenticateSecret(ClientSecretPost, r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"))
	case assertion:
		return op.authenticateAssertion(r)
	}
	return op.authenticateCertificate(r)
}

func (op *OP) authenticateBasic(r *http.Request) (Client, error) {
	id, secret, ok := basicCredentials(r)
	if !ok || (r.PostForm.Has("client_id") && r.PostForm.Get("client_id") != id) {
		return Client{}, invalidClient
	}
	return op.authenticateSecret(ClientSecretBasic, id, secret)
}

func (op *OP) authenticateSecret(method, id, secret string) (Client, error) {
	c, ok := op.client(id)
	if !ok || c.AuthMethod != method {
		return Client{}, invalidClient
	}
	if subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) != 1 {
		return Client{}, invalidClientBecause("wrong secret")
	}
	return c, nil
}

// basicCredentials undoes both encodings of RFC 6749, 2.3.1: each half is form-urlencoded before Basic joins them.
func basicCredentials(r *http.Request) (id, secret string, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(password)
	return id, secret, err1 == nil && err2 == nil
}
