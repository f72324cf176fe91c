package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// Grant is what the OP gave for a code or a refresh token, everything in it verified.
type Grant struct {
	AccessToken  secret.String
	RefreshToken secret.String // empty when the OP sent none: at a refresh the old one stays good (RFR-11)
	// IDToken is a JWS, decrypted if it came encrypted: an id_token_hint is not to be opened with our key (Core
	// §3.1.2.1). It is empty when a refresh brought none (RFR-01).
	IDToken   secret.String
	IssuedAt  time.Time // when it was asked for
	ExpiresAt time.Time // of the access token; never zero (FLOW-31)
	Scope     []string  // as granted (FLOW-32); at a refresh never more than at login (RFR-12)
	// Details are the authorization_details as granted (RFC 9396 §7), an array or nil; at a refresh of no other types
	// than at login (EXT-09).
	Details  json.RawMessage
	Identity Identity
	// Claims are those of the ID token and of userinfo, each as the OP wrote it; members that were null are left out.
	// After a refresh they are the new ID token's, to be laid over the older ones, and nil when none came.
	Claims map[string]json.RawMessage
}

// Identity is what a refresh must be compared with: the verified claims of the login's ID token (IDT-31, Core §12.2).
// It survives JSON unchanged.
type Identity struct {
	Issuer   string    `json:"iss"` // with Subject the key of the user (IDT-26)
	Subject  string    `json:"sub"`
	Audience []string  `json:"aud"`
	AZP      string    `json:"azp,omitempty"`
	SID      string    `json:"sid,omitempty"`
	Nonce    string    `json:"nonce,omitempty"`
	ACR      string    `json:"acr,omitempty"`
	AuthTime time.Time `json:"auth_time,omitzero"` // zero when the OP did not say
	IssuedAt time.Time `json:"iat"`                // of the newest ID token
	Scope    []string  `json:"scope,omitempty"`    // granted at login
	Resource []string  `json:"resource,omitempty"` // asked for at login, and so at every refresh (EXT-01)
	// Details are the authorization_details that were granted at login.
	Details json.RawMessage `json:"authorization_details,omitempty"`
}

// Exchange redeems a code, in exactly one token request whatever happens (FLOW-29), and verifies what comes back:
// ID token, nonce, acr and auth_time as the request asked, at_hash, userinfo. What fails a check is dropped, and its
// refresh token revoked. The code is spent afterwards, with an error too, unless that is ErrUnavailable before anything
// was sent. r is the request that the code answers.
//
// Errors: ErrUnavailable, ErrUncertain, ErrInvalidGrant, ErrInvalidClient, another *TokenError, ErrIDToken, ErrMismatch.
func (c *Client) Exchange(ctx context.Context, code secret.String, r AuthorizationRequest) (*Grant, error) {
	p, err := c.loaded()
	if err != nil {
		return nil, err
	}
	t, err := c.requestTokens(ctx, p, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code.Reveal()},
		"redirect_uri":  {c.cfg.RedirectURI}, // FLOW-17
		"code_verifier": {r.Verifier.Reveal()},
		"resource":      c.cfg.Resource, // EXT-01: the set that was authorized
	})
	var grant *Grant
	if err == nil {
		grant, err = c.verifyLogin(ctx, p, t, r)
	}
	if err != nil {
		c.giveBack(ctx, t.refresh)
	}
	return grant, err
}

// giveBack revokes, as well as it can, a refresh token that nobody will ever use.
func (c *Client) giveBack(ctx context.Context, refreshToken secret.String) {
	if refreshToken.IsZero() {
		return
	}
	if err := c.Revoke(ctx, refreshToken, "refresh_token"); err != nil {
		c.log.WarnContext(ctx, "the refresh token of a refused login was not revoked", "err", err)
	}
}

// verifyLogin checks the tokens that came for a code.
func (c *Client) verifyLogin(ctx context.Context, p *provider, t tokens, r AuthorizationRequest) (*Grant, error) {
	if t.id.IsZero() {
		return nil, refuseIDToken("IDT-01", "the answer has none")
	}
	id, err := c.verifyIDToken(ctx, p, t.id)
	if err != nil {
		return nil, err
	}
	if err := c.checkLogin(id, r); err != nil {
		return nil, err
	}
	if err := id.checkAccessToken(t.access); err != nil {
		return nil, err
	}
	if err := c.checkDetails(ctx, t.details, c.cfg.AuthorizationDetails); err != nil {
		return nil, err
	}
	userinfo, err := c.askUserinfo(ctx, p, t.access, id.Subject)
	if err != nil {
		return nil, err
	}
	claims := maps.Clone(id.claims)
	maps.Copy(claims, userinfo)
	if t.scope == nil {
		t.scope = slices.Clone(c.cfg.Scopes)
	}
	id.Scope, id.Resource, id.Details = t.scope, c.cfg.Resource, t.details
	t.id = id.jws
	return t.grant(id.Identity, claims), nil
}

// Refresh redeems a refresh token, in exactly one token request whatever happens (RFR-29). original is the Identity of
// the session's last grant; a new ID token must continue it (RFR-02 to RFR-08, RFR-13). Userinfo is not asked, so that
// nothing stands between a rotated token and its storage.
//
// Errors: as at Exchange; and every failed check of the ID token or of authorization_details is a *MismatchError, with
// the whole answer dropped.
func (c *Client) Refresh(ctx context.Context, refreshToken secret.String, original Identity) (*Grant, error) {
	return c.refresh(ctx, refreshToken, original, original.Resource)
}

// RefreshFor is Refresh with an access token for one resource (RFC 8707 §2.2). Refresh token, ID token and identity of
// the grant are the session's as ever; only its access token and scope are for that resource alone. The resource must be
// among those of the login, if that named any: a subset is what a client may ask for (EXT-01). Errors: also
// ErrInvalidTarget, after which the refresh token is as good as before.
func (c *Client) RefreshFor(
	ctx context.Context, refreshToken secret.String, original Identity, resource string,
) (*Grant, error) {
	switch {
	case !isResource(resource):
		return nil, errNotResource
	case len(original.Resource) > 0 && !slices.Contains(original.Resource, resource):
		return nil, fmt.Errorf("%w: the login has not asked for this resource; add it to resource of the provider",
			ErrInvalidTarget)
	}
	return c.refresh(ctx, refreshToken, original, []string{resource})
}

func (c *Client) refresh(
	ctx context.Context, refreshToken secret.String, original Identity, resource []string,
) (*Grant, error) {
	p, err := c.loaded()
	if err != nil {
		return nil, err
	}
	t, err := c.requestTokens(ctx, p, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {refreshToken.Reveal()},
		"resource":      resource,
	})
	if err != nil {
		return nil, err
	}
	identity := original
	var claims object
	if !t.id.IsZero() {
		id, err := c.verifyContinuation(ctx, p, t, original)
		if err != nil {
			return nil, &MismatchError{RefreshToken: t.refresh, check: err}
		}
		// The rest stays as it was at login: a refresh is not a new authentication.
		identity.IssuedAt = id.IssuedAt
		claims, t.id = id.claims, id.jws
	}
	if t.details == nil {
		t.details = original.Details
	} else if err := c.checkDetails(ctx, t.details, original.Details); err != nil {
		return nil, &MismatchError{RefreshToken: t.refresh, check: err}
	}
	t.scope = c.narrowed(ctx, t.scope, original.Scope)
	return t.grant(identity, claims), nil
}

// verifyContinuation checks the ID token of a refresh. That keys cannot be fetched is a refusal, too: the old refresh
// token is spent, and what replaces it cannot be trusted.
func (c *Client) verifyContinuation(ctx context.Context, p *provider, t tokens, original Identity) (*idToken, error) {
	id, err := c.verifyIDToken(ctx, p, t.id)
	if errors.Is(err, ErrUnavailable) {
		return nil, refuseIDToken("RFR-08", "it cannot be verified: "+err.Error())
	}
	if err != nil {
		return nil, err
	}
	if err := id.checkContinues(original); err != nil {
		return nil, err
	}
	return id, id.checkAccessToken(t.access)
}

// narrowed returns the scope after a refresh. RFC 6749 §6 lets an OP give less, which counts, and not more, which
// does not (RFR-12).
func (c *Client) narrowed(ctx context.Context, granted, original []string) []string {
	if granted == nil {
		return slices.Clone(original)
	}
	within := slices.DeleteFunc(slices.Clone(granted), func(s string) bool { return !slices.Contains(original, s) })
	if len(within) < len(granted) {
		c.log.WarnContext(ctx, "the OP widened the scope at a refresh; what was added is not used")
	}
	return within
}

func (t tokens) grant(identity Identity, claims object) *Grant {
	return &Grant{
		AccessToken:  t.access,
		RefreshToken: t.refresh,
		IDToken:      t.id,
		IssuedAt:     t.issuedAt,
		ExpiresAt:    t.expiresAt,
		Scope:        t.scope,
		Details:      t.details,
		Identity:     identity,
		Claims:       claims,
	}
}
