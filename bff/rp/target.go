package rp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// Target is what an access token is asked for, other than what the login asked for.
type Target struct {
	Audience string   // the logical name of an upstream (RFC 8693 §2.1); "" for none
	Resource string   // the address of an upstream (RFC 8707 §2): an absolute URI without fragment; "" for none
	Scopes   []string // nil: the OP decides
}

// AccessToken is a token that has no refresh token and no ID token beside it. It is opaque here (EXT-05).
type AccessToken struct {
	Token               secret.String
	IssuedAt, ExpiresAt time.Time // when it was asked for, and never zero (FLOW-31)
	Scope               []string  // as granted; nil when neither we nor the OP said
}

// requestFor makes one token request for a target. Refresh tokens and ID tokens in the answer are left alone. They are
// not revoked either: to an OP that may be the end of the grant, and so of the access token or of the session behind it
// (RFC 7009 §2.1).
func (c *Client) requestFor(ctx context.Context, form url.Values, target Target) (tokens, error) {
	p, err := c.loaded()
	if err != nil {
		return tokens{}, err
	}
	if target.Resource != "" {
		if !isResource(target.Resource) {
			return tokens{}, errNotResource
		}
		form.Set("resource", target.Resource)
	}
	if target.Audience != "" {
		form.Set("audience", target.Audience)
	}
	if len(target.Scopes) > 0 {
		form.Set("scope", strings.Join(target.Scopes, " "))
	}
	t, err := c.requestTokens(ctx, p, form)
	if t.scope == nil {
		t.scope = slices.Clone(target.Scopes) // RFC 6749 §5.1: silence means as asked
	}
	return t, err
}

// accessToken is the part of the answer that a target is about.
func (t tokens) accessToken() *AccessToken {
	return &AccessToken{Token: t.access, IssuedAt: t.issuedAt, ExpiresAt: t.expiresAt, Scope: t.scope}
}

var errNotResource = fmt.Errorf("%w: %w", ErrInvalidTarget, errors.New("resource is not an absolute URI without a fragment"))

// isResource reports whether s can be a resource indicator (EXT-01, RFC 8707 §2).
func isResource(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && !strings.Contains(s, "#")
}
