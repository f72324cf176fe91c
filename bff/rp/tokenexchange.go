package rp

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/cloakroom/cloakroom/session/secret"
)

// Names of RFC 8693 §2.1 and §3.
const (
	tokenExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
)

// ExchangeToken asks for an access token of the same user for another target (RFC 8693), in exactly one token request.
// The subject token is not spent. What comes may live longer than the subject token; it is the caller's to see that it is
// not used for longer (EXT-03).
//
// An answer whose issued_token_type is missing or another than the one that was asked for is ErrUncertain. That includes
// the type jwt: an OP that sees a difference may mean an assertion by it, which is to be redeemed and not to be shown to
// an upstream (RFC 8693 §3).
//
// Errors: ErrUnavailable, ErrUncertain, ErrInvalidClient, ErrInvalidTarget, another *TokenError; and ErrInvalidGrant when
// the OP refuses the subject token.
func (c *Client) ExchangeToken(ctx context.Context, subject secret.String, target Target) (*AccessToken, error) {
	t, err := c.requestFor(ctx, url.Values{
		"grant_type":           {tokenExchange},
		"subject_token":        {subject.Reveal()},
		"subject_token_type":   {accessTokenType},
		"requested_token_type": {accessTokenType},
	}, target)
	if refused, ok := errors.AsType[*TokenError](err); ok && refused.refusesSubject() {
		return nil, fmt.Errorf("%w: the subject token: %w", ErrInvalidGrant, err)
	}
	if err != nil {
		return nil, err
	}
	if t.issuedType != accessTokenType {
		return nil, fmt.Errorf("%w: token endpoint: issued_token_type is not %s (EXT-03)", ErrUncertain, accessTokenType)
	}
	return t.accessToken(), nil
}

// refusesSubject reports whether an exchange failed for its subject token. RFC 8693 §2.2.2 has invalid_request for one that
// is not valid, and some OPs say invalid_token; invalid_grant is ErrInvalidGrant by itself.
func (e *TokenError) refusesSubject() bool {
	return !errors.Is(e, ErrUnavailable) && !errors.Is(e, ErrUncertain) &&
		(e.Code == "invalid_request" || e.Code == "invalid_token")
}
