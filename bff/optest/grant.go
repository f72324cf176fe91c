package optest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// A grant is one authorization by a user, and the family of all tokens that come from it. Everything about it but
// revoked is fixed; revoked is guarded by OP.mu.
type grant struct {
	client  Client
	session *session // as it was when the user was sent back
	scopes  []string
	nonce   string
	revoked bool
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
	grant   *grant
	scopes  []string
	expires time.Time
	revoked bool
}

func (op *OP) newCode(a *authorization) string {
	g := &grant{client: a.client, session: a.session, scopes: a.scopes, nonce: a.nonce}
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

// newAccessToken makes a JWT access token (RFC 9068, 2) and remembers it for userinfo and revocation.
func (op *OP) newAccessToken(g *grant, scopes []string) (string, error) {
	now := op.now()
	expires := now.Add(op.accessTokenLifetime)
	t := op.newJWT("at+jwt", map[string]any{
		"iss":       op.issuer,
		"sub":       g.session.subject,
		"aud":       one(op.audience),
		"client_id": g.client.ID,
		"scope":     join(scopes),
		"iat":       now.Unix(),
		"exp":       expires.Unix(),
		"jti":       rand.Text(),
		"auth_time": g.session.authTime.Unix(),
		"acr":       g.session.acr,
	})
	value, err := t.serialize()
	if err != nil {
		return "", err
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	op.accessTokens[value] = &accessToken{grant: g, scopes: scopes, expires: expires}
	return value, nil
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
