package session

import (
	"context"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	// youngToken is how old a token must be to be replaced before it is due: an upstream that refuses a newer one refuses
	// the next one too.
	youngToken = 10 * time.Second
	// replaceEvery is how often that is done for an audience of a session, on all replicas together; where the token is
	// one by exchange, every youngToken on each replica.
	replaceEvery = time.Minute
)

// Replace returns another token for an audience in place of one that an upstream has refused (RFR-32): the newest that
// there is, or else one that is got now, once for all who ask. Whatever upstreams refuse, the session lives.
//
// Errors: ErrTooSoon, when the newest token is the refused one and was got a moment ago; and those of [Manager.TokenFor].
func (m *Manager) Replace(ctx context.Context, s *Session, a Audience, refused secret.String) (secret.String, error) {
	s, err := m.load(ctx, s.ticket) // another replica may have replaced it
	if err != nil {
		return secret.String{}, err
	}
	if a.Exchange {
		return m.replaceExchanged(ctx, s, a, refused)
	}
	now, has := m.now(), s.tokenFor(a)
	switch {
	case !has.Token.Equal(refused) && now.Before(has.ExpiresAt):
		return has.Token, nil
	case now.Sub(has.IssuedAt) < youngToken:
		return secret.String{}, ErrTooSoon
	case !m.refreshable(s):
		return secret.String{}, s.notRefreshable(a)
	}
	f, err := m.fly(ctx, s, purpose{audience: a, refused: refused})
	if err != nil {
		return secret.String{}, err
	}
	token, err := m.landed(f, a)
	switch {
	case err != nil:
		return secret.String{}, err
	case !token.Equal(refused):
		return token, nil
	case f.err != nil:
		return secret.String{}, f.err
	default:
		return secret.String{}, ErrTooSoon
	}
}

// replaceExchanged is Replace for a token by exchange, which every replica has for itself. The refused one stays in use
// until another has come.
func (m *Manager) replaceExchanged(
	ctx context.Context, s *Session, a Audience, refused secret.String,
) (secret.String, error) {
	x, has := m.beginExchange(ctx, s, a, refused)
	if !has.Token.Equal(refused) && m.now().Before(has.ExpiresAt) {
		return has.Token, nil
	}
	token, err := m.awaitExchange(ctx, x)
	if err == nil && token.Equal(refused) {
		return secret.String{}, ErrTooSoon
	}
	return token, err
}
