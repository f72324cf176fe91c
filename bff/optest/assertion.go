package optest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	assertionType     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523, 2.2
	assertionTyp      = "client-authentication+jwt"                              // RFC 7523bis, 4
	assertionLifetime = time.Minute
	assertionLeeway   = 10 * time.Second // for clocks that differ
	minHMACKey        = 32               // octets, for HS256 (OpenID Connect Core, 16.19)
)

// assertionAlgs are the algorithms with which clients may sign: HS256 with their secret, the others with a key.
var assertionAlgs = append([]jose.SignatureAlgorithm{jose.HS256}, signingAlgs...)

// An assertion is what a client claims about itself (OpenID Connect Core, 9).
type assertion struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub"`
	Audience json.RawMessage  `json:"aud"`
	ID       string           `json:"jti"`
	IssuedAt *jwt.NumericDate `json:"iat"`
	Expiry   *jwt.NumericDate `json:"exp"`
}

// authenticateAssertion is client_secret_jwt and private_key_jwt (RFC 7523; RFC 7523bis, 4).
func (op *OP) authenticateAssertion(r *http.Request) (Client, error) {
	if r.PostForm.Get("client_assertion_type") != assertionType {
		return Client{}, refuse("invalid_request", "client_assertion_type is not "+assertionType)
	}
	token, err := jwt.ParseSigned(r.PostForm.Get("client_assertion"), assertionAlgs)
	if err != nil {
		return Client{}, invalidClientBecause("the client assertion is no JWT with a supported algorithm")
	}
	var a assertion
	if err := token.UnsafeClaimsWithoutVerification(&a); err != nil {
		return Client{}, invalidClientBecause("the claims of the client assertion cannot be read")
	}
	c, ok := op.client(a.Subject)
	if !ok {
		return Client{}, invalidClient
	}
	if err := op.verifyAssertion(c, token); err != nil {
		return Client{}, err
	}
	if id := r.PostForm.Get("client_id"); id != "" && id != c.ID {
		return Client{}, invalidClientBecause("client_id is not the subject of the assertion") // RFC 7521, 4.2
	}
	if reason := op.checkAssertion(c, token.Headers[0], a); reason != "" {
		return Client{}, invalidClientBecause(reason)
	}
	return c, nil
}

// verifyAssertion checks the signature with what the client is registered for: its secret or one of its keys.
func (op *OP) verifyAssertion(c Client, token *jwt.JSONWebToken) error {
	header := token.Headers[0]
	method := PrivateKeyJWT
	if header.Algorithm == string(jose.HS256) {
		method = ClientSecretJWT
	}
	if c.AuthMethod != method {
		return invalidClient
	}
	if method == ClientSecretJWT {
		if token.Claims([]byte(c.Secret)) != nil {
			return invalidClientBecause("the client assertion is not signed with the client's secret")
		}
		return nil
	}
	keys, err := op.clientKeys(c, header.KeyID)
	if err != nil {
		return invalidClientBecause("the client's keys cannot be had: " + err.Error())
	}
	fits := func(k jose.JSONWebKey) bool {
		return (k.Use == "" || k.Use == "sig") && (k.Algorithm == "" || k.Algorithm == header.Algorithm) &&
			token.Claims(k) == nil
	}
	if !slices.ContainsFunc(keys, fits) {
		return invalidClientBecause("the client assertion is not signed with a key of the client")
	}
	return nil
}

// checkAssertion says what is wrong with an assertion whose signature is good, "" if nothing is. Its jti is then
// used up.
func (op *OP) checkAssertion(c Client, header jose.Header, a assertion) string {
	now := op.now()
	switch {
	case !isAssertionType(c, header):
		return "the typ of the client assertion is not " + assertionTyp
	case a.Issuer != a.Subject:
		return "the client assertion was issued by somebody else"
	case !op.assertionAudience(c, a.Audience):
		return "the aud of the client assertion is not the one that is asked for"
	case a.Expiry == nil || !now.Before(a.Expiry.Time().Add(assertionLeeway)):
		return "the client assertion has expired or never does"
	case a.Expiry.Time().After(now.Add(assertionLifetime + assertionLeeway)):
		return "the client assertion lives for more than 60 seconds"
	case a.IssuedAt == nil || a.IssuedAt.Time().After(now.Add(assertionLeeway)):
		return "the client assertion has no iat or one in the future"
	case a.ID == "":
		return "the client assertion has no jti"
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	if op.assertions[assertionID{c.ID, a.ID}] {
		return "the client assertion was used before"
	}
	op.assertions[assertionID{c.ID, a.ID}] = true
	return ""
}

// An assertionID is what makes an assertion unique (RFC 7523, 3).
type assertionID struct{ client, jti string }

// isAssertionType wants the typ of RFC 7523bis, 4, and of clients from before it none or JWT.
func isAssertionType(c Client, header jose.Header) bool {
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if c.LegacyAudience {
		return typ == "" || typ == "jwt"
	}
	return typ == assertionTyp
}

// assertionAudience accepts the issuer as a string and, from clients with LegacyAudience, the token endpoint alone or
// in an array.
func (op *OP) assertionAudience(c Client, audience json.RawMessage) bool {
	if c.LegacyAudience {
		var several jwt.Audience
		return json.Unmarshal(audience, &several) == nil && several.Contains(op.EndpointURL(TokenEndpoint))
	}
	var single string
	return json.Unmarshal(audience, &single) == nil && single == op.issuer
}
