package bff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
)

// newLogin is a grant as a session begins with it.
func newLogin(provider string, g *rp.Grant) (session.Login, error) {
	identity, err := json.Marshal(g.Identity)
	if err != nil {
		return session.Login{}, err
	}
	return session.Login{
		Provider: provider,
		Issuer:   g.Identity.Issuer,
		Subject:  g.Identity.Subject,
		SID:      g.Identity.SID,
		IssuedAt: g.Identity.IssuedAt,
		Identity: identity,
		Claims:   g.Claims,
		Tokens:   tokens(g),
	}, nil
}

func tokens(g *rp.Grant) session.Tokens {
	return session.Tokens{
		Access:    g.AccessToken,
		ExpiresAt: g.ExpiresAt,
		IssuedAt:  g.IssuedAt,
		Refresh:   g.RefreshToken,
		ID:        g.IDToken,
		Scope:     g.Scope,
	}
}

// Refresher is the relying parties as the session manager sees them.
type Refresher struct{ providers Providers }

// NewRefresher makes the Refresher of a session manager.
func NewRefresher(providers Providers) *Refresher { return &Refresher{providers} }

// Refresh implements [session.Refresher]. It says which failures end a session: the OP's refusal of the grant (RFR-28),
// and an answer about somebody else (RFR-09).
func (r *Refresher) Refresh(ctx context.Context, s *session.Session) (*session.Refreshed, error) {
	return r.refresh(s, func(client *rp.Client, original rp.Identity) (*rp.Grant, error) {
		return client.Refresh(ctx, s.Tokens.Refresh, original)
	})
}

// RefreshFor implements [session.Refresher]. What ends a session at a refresh ends it here, too; that the OP knows no such
// resource does not.
func (r *Refresher) RefreshFor(ctx context.Context, s *session.Session, a session.Audience) (*session.Refreshed, error) {
	refreshed, err := r.refresh(s, func(client *rp.Client, original rp.Identity) (*rp.Grant, error) {
		return client.RefreshFor(ctx, s.Tokens.Refresh, original, a.Resource)
	})
	return refreshed, aboutAudience(err)
}

func (r *Refresher) refresh(
	s *session.Session, redeem func(*rp.Client, rp.Identity) (*rp.Grant, error),
) (*session.Refreshed, error) {
	provider, err := r.providerOf(s)
	if err != nil {
		return nil, err
	}
	var original rp.Identity
	if err := json.Unmarshal(s.Identity, &original); err != nil {
		return nil, fmt.Errorf("reading the identity of a session: %w", err)
	}
	grant, err := redeem(provider.Client, original)
	if mismatch, ok := errors.AsType[*rp.MismatchError](err); ok {
		lost := &session.Refreshed{Tokens: session.Tokens{Refresh: mismatch.RefreshToken}}
		return lost, fmt.Errorf("%w: %w", session.ErrGrantRefused, err)
	}
	switch {
	case errors.Is(err, rp.ErrInvalidGrant):
		return nil, fmt.Errorf("%w: %w", session.ErrGrantRefused, err)
	case errors.Is(err, rp.ErrUncertain):
		return nil, fmt.Errorf("%w: %w", session.ErrUncertain, err)
	case err != nil:
		return nil, err
	}
	identity, err := json.Marshal(grant.Identity)
	if err != nil {
		return nil, err
	}
	claims := map[string]json.RawMessage{}
	maps.Copy(claims, s.Claims)
	maps.Copy(claims, grant.Claims)
	return &session.Refreshed{Tokens: tokens(grant), Identity: identity, Claims: claims}, nil
}

// Exchange implements [session.Refresher]. [session.ErrGrantRefused] is about the access token, which the OP may just have
// forgotten. No error is [session.ErrUncertain]: an exchange spends nothing.
func (r *Refresher) Exchange(
	ctx context.Context, s *session.Session, a session.Audience,
) (*session.AudienceToken, error) {
	provider, err := r.providerOf(s)
	if err != nil {
		return nil, err
	}
	target := rp.Target{Audience: a.Name, Resource: a.Resource, Scopes: strings.Fields(a.Scope)}
	token, err := provider.Client.ExchangeToken(ctx, s.Tokens.Access, target)
	switch {
	case errors.Is(err, rp.ErrInvalidGrant):
		return nil, fmt.Errorf("%w: %w", session.ErrGrantRefused, err)
	case err != nil:
		return nil, aboutAudience(err)
	}
	return &session.AudienceToken{
		Token: token.Token, IssuedAt: token.IssuedAt, ExpiresAt: token.ExpiresAt, Scope: token.Scope,
	}, nil
}

// providerOf is the provider of a session. One that has gone from the configuration will never give it a token again.
func (r *Refresher) providerOf(s *session.Session) (Provider, error) {
	provider, ok := r.providers.byName(s.Provider)
	if !ok {
		return Provider{}, fmt.Errorf("%w: provider %s is not configured any more", session.ErrGrantRefused, s.Provider)
	}
	return provider, nil
}

// aboutAudience makes an error [session.ErrAudienceRefused] when it is about what was asked for, or about this client
// asking for it at all, and so nothing that time will mend (EXT-01).
func aboutAudience(err error) error {
	refused, answered := errors.AsType[*rp.TokenError](err)
	switch {
	case errors.Is(err, rp.ErrInvalidTarget):
	case answered && !errors.Is(err, rp.ErrUnavailable) && slices.Contains(audienceErrors, refused.Code):
	default:
		return err
	}
	return fmt.Errorf("%w: %w", session.ErrAudienceRefused, err)
}

var audienceErrors = []string{"unauthorized_client", "unsupported_grant_type", "invalid_scope", "access_denied"}

// Claims implements [session.Refresher]. An answer about somebody else is [session.ErrGrantRefused]: what the session has
// for an access token is not its user's (UIN-01).
func (r *Refresher) Claims(ctx context.Context, s *session.Session) (map[string]json.RawMessage, error) {
	provider, ok := r.providers.byName(s.Provider)
	if !ok {
		return nil, fmt.Errorf("provider %s is not configured any more", s.Provider)
	}
	claims, err := provider.Client.Claims(ctx, s.Tokens.Access, s.Tokens.ID, s.Claims)
	if errors.Is(err, rp.ErrMismatch) {
		return nil, fmt.Errorf("%w: %w", session.ErrGrantRefused, err)
	}
	return claims, err
}

// Revoke implements [session.Refresher]: the refresh token first, since with it most OPs end the access token too
// (RFC 7009 §2.1). An OP without a revocation endpoint is no failure.
func (r *Refresher) Revoke(ctx context.Context, name string, t session.Tokens) error {
	provider, ok := r.providers.byName(name)
	if !ok {
		return fmt.Errorf("provider %s is not configured any more", name)
	}
	token, hint := t.Refresh, "refresh_token"
	if token.IsZero() {
		token, hint = t.Access, "access_token"
	}
	if err := provider.Client.Revoke(ctx, token, hint); err != nil && !errors.Is(err, rp.ErrUnsupported) {
		return err
	}
	return nil
}
