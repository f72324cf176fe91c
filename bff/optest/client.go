package optest

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// The ways in which a client may authenticate itself (OpenID Connect Core, 9).
const (
	ClientSecretBasic       = "client_secret_basic"
	ClientSecretPost        = "client_secret_post"
	ClientSecretJWT         = "client_secret_jwt"
	PrivateKeyJWT           = "private_key_jwt"
	TLSClientAuth           = "tls_client_auth"             // RFC 8705, 2.1
	SelfSignedTLSClientAuth = "self_signed_tls_client_auth" // RFC 8705, 2.2
)

// Client is a registered relying party.
type Client struct {
	ID         string
	Secret     string // of the three methods with a secret; at least 32 octets for ClientSecretJWT and HS256
	AuthMethod string // one of the methods above, default ClientSecretBasic; every other one is refused
	Name       string // for pages; default the ID

	RedirectURIs           []string // compared exactly
	PostLogoutRedirectURIs []string // compared exactly
	Scopes                 []string // what it may be granted; empty: everything it asks for

	// JWKS holds the client's public keys: for client assertions, request objects and what is encrypted to it. With
	// JWKSURI they are fetched, again whenever a key is unknown.
	JWKS    *jose.JSONWebKeySet
	JWKSURI string
	// CertificateSubject is tls_client_auth_subject_dn (RFC 8705, 2.1.2): the subject of the client's certificate, as
	// pkix.Name.String writes it. Certificates are those of self_signed_tls_client_auth (2.2.2).
	CertificateSubject string
	Certificates       []*x509.Certificate

	// LegacyAudience demands the address of the token endpoint as audience of client assertions, alone or in an
	// array, as OPs did before RFC 7523bis. Without it the audience is the issuer, and nothing else.
	LegacyAudience bool

	RequirePushedRequests bool   // RFC 9126, 6
	RequestObjectAlg      string // RFC 9101, 10.5: requests must be objects signed with it; "" takes any, and none
	IDTokenAlg            string // default Config.SigningAlg; also HS256 with the secret
	UserInfoAlg           string // signs userinfo; "" for plain JSON
	ResponseAlg           string // signs JARM responses; default Config.SigningAlg

	IDTokenEncryption, UserInfoEncryption, ResponseEncryption Encryption

	BackchannelLogoutURI  string // Back-Channel Logout 1.0, 2.2; logout tokens always have a sid
	FrontchannelLogoutURI string // Front-Channel Logout 1.0, 2; iss and sid are always added

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
	c.IDTokenAlg = cmp.Or(c.IDTokenAlg, op.alg)
	c.ResponseAlg = cmp.Or(c.ResponseAlg, op.alg)
	if err := c.validate(); err != nil {
		return fmt.Errorf("optest: client %q: %w", c.ID, err)
	}
	if err := op.makeKeys(c); err != nil {
		return err
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	op.clients[c.ID] = c
	return nil
}

func (c Client) validate() error {
	if c.ID == "" {
		return errors.New("ID is required")
	}
	if err := c.validateAuthMethod(); err != nil {
		return err
	}
	if err := c.validateAlgs(); err != nil {
		return err
	}
	for _, uri := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs, c.logoutURIs()) {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(uri, "#") {
			return fmt.Errorf("URI %q is not an absolute URL without fragment", uri)
		}
	}
	sameOrigin := func(uri string) bool { return originOf(uri) == originOf(c.FrontchannelLogoutURI) }
	if c.FrontchannelLogoutURI != "" && !slices.ContainsFunc(c.RedirectURIs, sameOrigin) {
		return errors.New("FrontchannelLogoutURI has not the origin of a redirect URI") // Front-Channel Logout, 2
	}
	return nil
}

// validateAuthMethod checks that the client has what its authentication method needs.
func (c Client) validateAuthMethod() error {
	switch c.AuthMethod {
	case ClientSecretBasic, ClientSecretPost:
		if c.Secret == "" {
			return errors.New("a Secret is required")
		}
	case ClientSecretJWT:
		if len(c.Secret) < minHMACKey {
			return fmt.Errorf("the Secret is shorter than the %d octets that HS256 needs", minHMACKey)
		}
	case PrivateKeyJWT:
		if c.JWKS == nil && c.JWKSURI == "" {
			return errors.New("a JWKS or JWKSURI is required")
		}
	case TLSClientAuth:
		if c.CertificateSubject == "" {
			return errors.New("a CertificateSubject is required")
		}
	case SelfSignedTLSClientAuth:
		if len(c.Certificates) == 0 {
			return errors.New("at least one of Certificates is required")
		}
	default:
		return fmt.Errorf("authentication method %q is not supported", c.AuthMethod)
	}
	return nil
}

func (c Client) logoutURIs() []string {
	return slices.DeleteFunc([]string{c.BackchannelLogoutURI, c.FrontchannelLogoutURI},
		func(uri string) bool { return uri == "" })
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
