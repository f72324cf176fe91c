package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/cloakroom/cloakroom/session/secret"
)

// idTokenOnly are the claims that userinfo may not set: they say who signed in, where and how, which only the ID token
// proves (UIN-05).
var idTokenOnly = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "acr", "amr", "auth_time", "nonce", "azp", "sid", "at_hash",
	"c_hash", "s_hash",
}

// Claims asks the userinfo endpoint again (Core §5.3) and returns what a login would find out now: the claims of the newest
// ID token, which was verified when it came, and over them those of userinfo. Of what was known from before, no more
// stays than how the user signed in, which the ID token of a refresh may leave out: a claim that the OP has ceased to
// make is gone. The result is nil where the endpoint is not asked, or, in mode auto, does not answer.
//
// Errors: ErrMismatch when the answer is about another subject than that of the ID token; in mode required also
// ErrUnavailable, and an answer that fails a check.
func (c *Client) Claims(ctx context.Context, access, idToken secret.String, known map[string]json.RawMessage) (
	map[string]json.RawMessage, error,
) {
	p, err := c.loaded()
	if err != nil {
		return nil, err
	}
	payload, err := payloadOf(idToken.Reveal())
	if err != nil {
		return nil, fmt.Errorf("the session's ID token: %w", err)
	}
	newest, err := parseObject(payload)
	if err != nil {
		return nil, fmt.Errorf("the session's ID token is %w", err)
	}
	subject, err := newest.text("sub")
	if err != nil {
		return nil, fmt.Errorf("the session's ID token: %w", err)
	}
	userinfo, err := c.askUserinfo(ctx, p, access, subject)
	if userinfo == nil || err != nil {
		return nil, err
	}
	claims := object{}
	maps.Copy(claims, known)
	maps.DeleteFunc(claims, func(name string, _ json.RawMessage) bool { return !slices.Contains(idTokenOnly, name) })
	maps.Copy(claims, newest)
	maps.Copy(claims, userinfo)
	return claims, nil
}

// askUserinfo asks the userinfo endpoint, as the configuration says, for what there is to be laid over the claims of an
// ID token; nil is nothing. An answer about another subject is ErrMismatch in every mode: the access token is then not
// this user's (UIN-01).
func (c *Client) askUserinfo(ctx context.Context, p *provider, access secret.String, subject string) (object, error) {
	if c.cfg.Userinfo == UserinfoOff || p.UserinfoEndpoint == "" {
		return nil, nil
	}
	userinfo, err := c.userinfo(ctx, p, access)
	if err != nil {
		if c.cfg.Userinfo == UserinfoRequired {
			return nil, err
		}
		c.log.WarnContext(ctx, "userinfo failed; going on with the claims there are", "err", err)
		return nil, nil
	}
	if sub, err := userinfo.text("sub"); err != nil || sub != subject {
		return nil, fmt.Errorf("%w: the sub of userinfo is not that of the ID token (UIN-01)", ErrMismatch)
	}
	for _, name := range idTokenOnly {
		delete(userinfo, name)
	}
	return userinfo, nil
}

// userinfo makes one userinfo request (Core §5.3.1).
func (c *Client) userinfo(ctx context.Context, p *provider, access secret.String) (object, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.UserinfoEndpoint, nil)
	if err != nil {
		return nil, errors.New("the userinfo endpoint is no URL")
	}
	req.Header.Set("Authorization", "Bearer "+access.Reveal())
	req.Header.Set("Accept", c.userinfoForm())
	a, err := send(c.http, req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%w: userinfo: status %d", ErrUnavailable, a.status)
	}
	return c.readUserinfo(ctx, p, a)
}

// userinfoForm is the content type that the registration makes of userinfo.
func (c *Client) userinfoForm() string {
	if c.cfg.UserinfoSigningAlg != "" {
		return "application/jwt"
	}
	return "application/json"
}

// readUserinfo takes the claims out of an answer in the registered form, and in no other (UIN-03, UIN-04).
func (c *Client) readUserinfo(ctx context.Context, p *provider, a *answer) (object, error) {
	if form := c.userinfoForm(); a.mediaType != form {
		return nil, fmt.Errorf("%w: the answer is not %s, which is what the configuration asks for (UIN-03)", errUserinfo, form)
	}
	if c.cfg.UserinfoSigningAlg != "" {
		return c.openUserinfo(ctx, p, string(a.body))
	}
	doc, err := parseObject(a.body)
	if err != nil {
		return nil, fmt.Errorf("%w: the answer is %w", errUserinfo, err)
	}
	return doc, nil
}

// errUserinfo is an answer of the userinfo endpoint that failed a check.
var errUserinfo = errors.New("userinfo refused")

// openUserinfo verifies a signed answer (Core §5.3.2). It needs no times: the access token was good a moment ago.
func (c *Client) openUserinfo(ctx context.Context, p *provider, raw string) (object, error) {
	kind := jwtKind{
		refused:    errUserinfo,
		alg:        c.cfg.UserinfoSigningAlg,
		encryption: c.cfg.UserinfoEncryption,
		typ:        isPlainJWT,
	}
	claims, err := c.openJWT(ctx, p, raw, kind)
	if err != nil {
		return nil, err
	}
	_, err = c.checkTimes(kind, claims)
	return claims, err
}
