package rp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/cloakroom/cloakroom/session/secret"
)

// EndSessionRequest is the request with which a user signs out at the OP (RP-Initiated Logout §2): where the browser
// goes, and the parameters that it takes there, by GET or POST. The hint is the raw ID token and may be empty; state
// comes back with the browser and may be empty, too. The return address is the configured one (RPL-05). Errors:
// ErrUnsupported when the OP has no such endpoint, ErrUnavailable.
func (c *Client) EndSessionRequest(idTokenHint secret.String, state string) (endpoint string, params url.Values, err error) {
	p, err := c.loaded()
	if err != nil {
		return "", nil, err
	}
	if p.EndSessionEndpoint == "" {
		return "", nil, fmt.Errorf("%w: no end_session_endpoint", ErrUnsupported)
	}
	params = url.Values{"client_id": {c.cfg.ClientID}}
	for name, value := range map[string]string{
		"id_token_hint":            idTokenHint.Reveal(),
		"post_logout_redirect_uri": c.cfg.PostLogoutRedirectURI,
		"state":                    state,
	} {
		if value != "" {
			params.Set(name, value)
		}
	}
	return p.EndSessionEndpoint, params, nil
}

// EndSessionURL is EndSessionRequest as one address, for a redirect.
func (c *Client) EndSessionURL(idTokenHint secret.String, state string) (string, error) {
	endpoint, params, err := c.EndSessionRequest(idTokenHint, state)
	if err != nil {
		return "", err
	}
	return withParams(endpoint, params)
}

// Revoke asks the OP to forget a token (RFC 7009). The hint is refresh_token or access_token; of a grant that has both,
// the refresh token is the one to send (EXT-04). An OP that does not revoke this type of token is no error. Errors:
// ErrUnsupported when the OP has no such endpoint, ErrUnavailable, ErrUncertain, ErrInvalidClient, another *TokenError.
func (c *Client) Revoke(ctx context.Context, token secret.String, hint string) error {
	p, err := c.loaded()
	if err != nil {
		return err
	}
	if p.RevocationEndpoint == "" {
		return fmt.Errorf("%w: no revocation_endpoint", ErrUnsupported)
	}
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}}
	_, err = c.post(ctx, p, p.RevocationEndpoint, form, http.StatusOK)
	if refused, ok := errors.AsType[*TokenError](err); ok && refused.Code == "unsupported_token_type" {
		return nil
	}
	return err
}
