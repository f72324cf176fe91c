package rp

import (
	"context"
	"errors"
	"time"
)

const (
	// maxLogoutTokenLife is how far the exp of a logout token may lie after its iat, and how old it may be: so long at
	// most has its jti to be remembered (BCL-08, BCL-09). Back-Channel Logout 1.0 §4 recommends two minutes.
	maxLogoutTokenLife = 10 * time.Minute
	// logoutEvent is the member of events that makes a JWT a logout token (§2.4).
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// ErrLogoutToken: a logout token failed a check; the text names it.
var ErrLogoutToken = errors.New("logout token refused")

// LogoutToken is a verified logout token (Back-Channel Logout 1.0 §2.4). It names the sessions that have its issuer and
// SID, or without SID all of its issuer and Subject; one of the two may be empty.
type LogoutToken struct {
	Issuer, Subject, SID string
	ID                   string // jti
	IssuedAt, ExpiresAt  time.Time
}

// SpentUntil is when no replica takes the token any more, so that its ID need not be remembered (BCL-11): there is one
// leeway for the OP's clock, and one for the clock of a replica that is behind.
func (t *LogoutToken) SpentUntil() time.Time { return t.ExpiresAt.Add(2 * leeway) }

// VerifyLogoutToken checks a logout token that somebody posted to us, all of Back-Channel Logout 1.0 §2.6 but whether
// its ID was seen before, which is the caller's to remember (BCL-11), and whether there is such a session.
//
// Anybody may post anything, so what costs most comes last (BCL-27). A token that is not for this client or says
// something wrong of itself is refused before a key is looked up; only where the registration has tokens encrypted it has
// to be decrypted first. What is not signed can only refuse: the same checks are made again of what was.
//
// The error is ErrLogoutToken, or ErrUnavailable for a token that may be good while the OP's metadata or keys are not
// there.
func (c *Client) VerifyLogoutToken(ctx context.Context, raw string) (*LogoutToken, error) {
	kind := jwtKind{
		refused:    ErrLogoutToken,
		alg:        c.cfg.SigningAlg, // BCL-03
		encryption: c.cfg.IDTokenEncryption,
		typ:        c.isLogoutToken,
		forbidden:  "nonce", // BCL-15
	}
	jws, err := c.decrypt(raw, kind)
	if err != nil {
		return nil, err
	}
	unverified, err := kind.peek(jws)
	if err != nil {
		return nil, err
	}
	if _, err := c.readLogoutToken(kind, unverified); err != nil {
		return nil, err
	}
	p, err := c.loaded()
	if err != nil {
		return nil, err
	}
	claims, err := c.verifyJWT(ctx, p, jws, kind)
	if err != nil {
		return nil, err
	}
	return c.readLogoutToken(kind, claims)
}

// readLogoutToken checks everything that a logout token says.
func (c *Client) readLogoutToken(kind jwtKind, claims object) (*LogoutToken, error) {
	if err := c.checkIssuer(kind, claims); err != nil { // BCL-05
		return nil, err
	}
	if err := c.checkAudience(kind, claims); err != nil { // BCL-06
		return nil, err
	}
	t, err := c.checkTimes(kind, claims, "exp", "iat") // BCL-07, BCL-08
	if err != nil {
		return nil, err
	}
	token := &LogoutToken{Issuer: c.cfg.Issuer, IssuedAt: t.iat, ExpiresAt: t.exp}
	for name, field := range map[string]*string{"sub": &token.Subject, "sid": &token.SID, "jti": &token.ID} {
		if err := claims.read(name, field); err != nil {
			return nil, kind.refuse("BCL-13", err.Error())
		}
	}
	switch {
	case t.iat.Before(c.now().Add(-maxLogoutTokenLife)):
		return nil, kind.refuse("BCL-08", "iat is too long ago")
	case t.exp.Sub(t.iat) > maxLogoutTokenLife:
		return nil, kind.refuse("BCL-09", "exp is too long after iat")
	case token.ID == "":
		return nil, kind.refuse("BCL-10", "jti is missing")
	case token.Subject == "" && token.SID == "":
		return nil, kind.refuse("BCL-13", "sub and sid are missing")
	}
	events, err := parseObject(claims["events"])
	if err != nil {
		return nil, kind.refuse("BCL-14", "events is missing or "+err.Error())
	}
	if _, err := parseObject(events[logoutEvent]); err != nil {
		return nil, kind.refuse("BCL-14", "events does not say that this is a logout")
	}
	return token, nil
}

// isLogoutToken reports whether typ is logout+jwt, or in older OPs' words absent or JWT (BCL-16).
func (c *Client) isLogoutToken(typ string) bool {
	return mediaType(typ) == "logout+jwt" || c.cfg.UntypedLogoutTokens && isPlainJWT(typ)
}
