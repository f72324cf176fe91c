package optest

import (
	"slices"
	"time"
)

// IssuedToken is an access token as an upstream would learn about it by introspection (RFC 7662, 2.2).
type IssuedToken struct {
	Client   string
	Subject  string // the client where there is no user
	Audience []string
	Scopes   []string
	Expires  time.Time
}

// AccessToken returns what the OP knows of an access token, or false if the token is not good now. It is for upstreams
// of tests, which so need not care whether access tokens are JWTs (EXT-02: each upstream sees only tokens for itself).
func (op *OP) AccessToken(value string) (IssuedToken, bool) {
	t, ok := op.activeAccessToken(value)
	if !ok {
		return IssuedToken{}, false
	}
	return IssuedToken{
		Client:   t.grant.client.ID,
		Subject:  t.grant.session.subject,
		Audience: slices.Clone(op.audienceOf(t)),
		Scopes:   slices.Clone(t.scopes),
		Expires:  t.expires,
	}, true
}
