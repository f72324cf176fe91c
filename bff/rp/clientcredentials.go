package rp

import (
	"context"
	"net/url"
)

// ClientCredentials asks for an access token of our own, which stands for no user (RFC 6749 §4.4), in exactly one token
// request. Nothing is spent when it fails, so that it may be repeated after any error.
//
// Errors: ErrUnavailable, ErrUncertain, ErrInvalidClient, ErrInvalidTarget, another *TokenError.
func (c *Client) ClientCredentials(ctx context.Context, target Target) (*AccessToken, error) {
	t, err := c.requestFor(ctx, url.Values{"grant_type": {"client_credentials"}}, target)
	if err != nil {
		return nil, err
	}
	return t.accessToken(), nil
}
