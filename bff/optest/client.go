package optest

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The ways in which a client may authenticate itself (OpenID Connect Core, 9).
const (
	ClientSecretBasic = "client_secret_basic"
	ClientSecretPost  = "client_secret_post"
)

// Client is a registered relying party.
type Client struct {
	ID         string
	Secret     string
	AuthMethod string // ClientSecretBasic (the default) or ClientSecretPost; the other one is refused
	Name       string // for pages; default the ID

	RedirectURIs           []string // compared exactly
	PostLogoutRedirectURIs []string // compared exactly
	Scopes                 []string // what it may be granted; empty: everything it asks for

	// SkipConsent is for the OP's own applications: the user is not asked.
	SkipConsent bool
}

// AddClient registers a client, or replaces the one with the same ID.
func (op *OP) AddClient(c Client) error {
	if c.AuthMethod == "" {
		c.AuthMethod = ClientSecretBasic
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	if err := c.validate(); err != nil {
		return fmt.Errorf("optest: client %q: %w", c.ID, err)
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	op.clients[c.ID] = c
	return nil
}

func (c Client) validate() error {
	if c.ID == "" || c.Secret == "" {
		return errors.New("ID and Secret are required")
	}
	if c.AuthMethod != ClientSecretBasic && c.AuthMethod != ClientSecretPost {
		return fmt.Errorf("authentication method %q is not supported", c.AuthMethod)
	}
	for _, uri := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs) {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(uri, "#") {
			return fmt.Errorf("redirect URI %q is not an absolute URL without fragment", uri)
		}
	}
	return nil
}

// public is what pages may know.
func (c Client) public() Client {
	c.Secret = ""
	return c
}

func (op *OP) client(id string) (Client, bool) {
	op.mu.Lock()
	defer op.mu.Unlock()
	c, ok := op.clients[id]
	return c, ok
}

// authenticate finds the client that sent a request to the token or revocation endpoint. It accepts the one method
// that the client is registered for, and one method per request (RFC 6749, 2.3).
func (op *OP) authenticate(r *http.Request) (Client, error) {
	invalid := &refusal{http.StatusUnauthorized, "invalid_client", "unknown client, wrong secret or wrong method"}

	method, id, secret := ClientSecretPost, r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if r.Header.Get("Authorization") != "" {
		if r.PostForm.Has("client_secret") {
			return Client{}, refuse("invalid_request", "more than one client authentication method")
		}
		basicID, basicSecret, ok := basicCredentials(r)
		if !ok || (id != "" && id != basicID) {
			return Client{}, invalid
		}
		method, id, secret = ClientSecretBasic, basicID, basicSecret
	}
	c, ok := op.client(id)
	if !ok || c.AuthMethod != method || subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) != 1 {
		return Client{}, invalid
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
