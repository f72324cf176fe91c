package optest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
)

// A grant is one authorization by a user, and the family of all tokens that come from it. Everything about it but
// revoked is fixed; revoked is guarded by OP.mu.
type grant struct {
	client    Client
	session   *session // as it was when the user was sent back
	scopes    []string
	resources []string // RFC 8707
	details   []any    // RFC 9396, authorization_details
	nonce     string
	revoked   bool
}

const codeLifetime = time.Minute

type code struct {
	grant       *grant
	redirectURI string
	challenge   string
	expires     time.Time
	used        bool
}

type refreshToken struct {
	grant   *grant
	rotated bool
}

type accessToken struct {
	grant     *grant
	scopes    []string
	resources []string
	expires   time.Time
	revoked   bool

	thumbprint string // of the certificate that it is bound to, "" for none
}

func (op *OP) newCode(a *authorization) string {
	g := &grant{
		client: a.client, session: a.session, scopes: a.scopes,
		resources: a.resources, details: a.details, nonce: a.nonce,
	}
	value := rand.Text()
	op.mu.Lock()
	defer op.mu.Unlock()
	op.grants = append(op.grants, g)
	op.codes[value] = &code{
		grant:       g,
		redirectURI: a.redirectURI,
		challenge:   a.challenge,
		expires:     op.now().Add(codeLifetime),
	}
	return value
}

// redeem exchanges a code for its grant. A code that comes twice ends the grant (RFC 6749, 4.1.2); one that comes
// with something wrong is spent.
func (op *OP) redeem(value string, client Client, redirectURI, verifier string) (*grant, error) {
	op.mu.Lock()
	defer op.mu.Unlock()
	c, ok := op.codes[value]
	if !ok || c.grant.client.ID != client.ID {
		return nil, refuse("invalid_grant", "unknown code")
	}
	if c.used {
		c.grant.revoked = true
		return nil, refuse("invalid_grant", "the code was used before")
	}
	c.used = true
	hash := sha256.Sum256([]byte(verifier))
	switch {
	case op.now().After(c.expires):
		return nil, refuse("invalid_grant", "the code has expired")
	case c.redirectURI != redirectURI:
		return nil, refuse("invalid_grant", "redirect_uri is not that of the authorization request")
	case base64.RawURLEncoding.EncodeToString(hash[:]) != c.challenge:
		return nil, refuse("invalid_grant", "code_verifier does not fit the code_challenge")
	case c.grant.revoked:
		return nil, refuse("invalid_grant", "the grant was revoked")
	}
	return c.grant, nil
}

// rotate takes a refresh token and returns its grant and the refresh token to hand out, "" when the old one stays.
// The use of a rotated token ends the grant (RFC 9700, 4.14.2). Nothing is spent if check refuses.
func (op *OP) rotate(value string, client Client, check func(*grant) error) (*grant, string, error) {
	op.mu.Lock()
	defer op.mu.Unlock()
	t, ok := op.refreshTokens[value]
	if !ok || t.grant.client.ID != client.ID {
		return nil, "", refuse("invalid_grant", "unknown refresh token")
	}
	if t.rotated {
		t.grant.revoked = true
	}
	if t.grant.revoked {
		return nil, "", refuse("invalid_grant", "the refresh token was used before or revoked")
	}
	if err := check(t.grant); err != nil {
		return nil, "", err
	}
	if op.keepRefreshTokens {
		return t.grant, "", nil
	}
	t.rotated = true
	return t.grant, op.addRefreshToken(t.grant), nil
}

func (op *OP) newRefreshToken(g *grant) string {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.addRefreshToken(g)
}

// addRefreshToken needs op.mu.
func (op *OP) addRefreshToken(g *grant) string {
	value := rand.Text()
	op.refreshTokens[value] = &refreshToken{grant: g}
	return value
}

// newAccessToken makes an access token and remembers it for userinfo and revocation. It is bound to the certificate
// with which the client has authenticated r (RFC 8705, 3). Userinfo takes it whatever resources it is for: they are
// where the client may use it besides.
func (op *OP) newAccessToken(r *http.Request, g *grant, scopes, resources []string) (string, error) {
	t := &accessToken{
		grant:      g,
		scopes:     scopes,
		resources:  resources,
		expires:    op.now().Add(op.accessTokenLifetime),
		thumbprint: thumbprint(r, g.client),
	}
	value := rand.Text()
	if !op.opaqueAccessTokens {
		var err error
		if value, err = op.jwtAccessToken(t); err != nil {
			return "", err
		}
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	op.accessTokens[value] = t
	return value, nil
}

// jwtAccessToken makes a JWT of RFC 9068, 2. Its audience is the resources (RFC 8707, 2), if any were named.
func (op *OP) jwtAccessToken(t *accessToken) (string, error) {
	j := op.newJWT("at+jwt", map[string]any{
		"iss":       op.issuer,
		"sub":       t.grant.session.subject,
		"aud":       one(op.audienceOf(t)),
		"client_id": t.grant.client.ID,
		"scope":     join(t.scopes),
		"iat":       op.now().Unix(),
		"exp":       t.expires.Unix(),
		"jti":       rand.Text(),
	})
	if s := t.grant.session; s.sid != "" { // a user
		j.Claims["auth_time"], j.Claims["acr"] = s.authTime.Unix(), s.acr
	}
	if t.grant.details != nil {
		j.Claims["authorization_details"] = t.grant.details // RFC 9396, 9.1
	}
	if t.thumbprint != "" {
		j.Claims["cnf"] = map[string]any{"x5t#S256": t.thumbprint}
	}
	return j.serialize()
}

// audienceOf are the resources that a token is for, or the OP's default.
func (op *OP) audienceOf(t *accessToken) []string {
	if len(t.resources) == 0 {
		return op.audience
	}
	return t.resources
}

// activeAccessToken returns the token if it is good now.
func (op *OP) activeAccessToken(value string) (*accessToken, bool) {
	op.mu.Lock()
	defer op.mu.Unlock()
	t, ok := op.accessTokens[value]
	if !ok || t.revoked || t.grant.revoked || op.now().After(t.expires) {
		return nil, false
	}
	return t, true
}

// revokeToken does RFC 7009, 2.1 for a token of this client: a refresh token takes its whole grant along.
func (op *OP) revokeToken(value string, client Client) {
	op.mu.Lock()
	defer op.mu.Unlock()
	if t, ok := op.refreshTokens[value]; ok && t.grant.client.ID == client.ID {
		t.grant.revoked = true
	}
	if t, ok := op.accessTokens[value]; ok && t.grant.client.ID == client.ID {
		t.revoked = true
	}
}

// RevokeGrants takes back all that a user has granted: the next refresh ends in invalid_grant, userinfo in 401.
func (op *OP) RevokeGrants(subject string) {
	op.mu.Lock()
	defer op.mu.Unlock()
	for _, g := range op.grants {
		if g.session.subject == subject {
			g.revoked = true
		}
	}
}
