package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// ErrAudienceRefused: the OP will not give a token for an audience (invalid_target, unauthorized_client ...). It is a
// matter of configuration, here or at the OP. The session lives.
var ErrAudienceRefused = errors.New("session: the OP gives no token for this audience")

// maxAudiences bounds the tokens that a session has beside its own. Routes name them, which are few; those that no route
// names any more go when they expire.
const maxAudiences = 32

// Audience is an upstream that gets a token of its own, which no other upstream sees (EXT-02). The zero value is all
// those that get the session's own access token.
type Audience struct {
	// Exchange: by token exchange for the session's access token (RFC 8693). Otherwise by the refresh token, for a Resource
	// alone (RFC 8707 §2.2).
	Exchange bool
	Name     string // audience
	Resource string // resource, an absolute URI
	Scope    string // scope, space separated; at an exchange only
}

// AudienceToken is an access token for an [Audience].
type AudienceToken struct {
	Token     secret.String
	IssuedAt  time.Time
	ExpiresAt time.Time
	Scope     []string // as granted
}

// TokenFor returns an access token for an audience. s is what Fresh has returned. As there, nobody waits for another
// token while the one that is there is good, and it is no activity (RFR-33).
//
// Tokens by the refresh token are in the session's record, for all replicas; getting one is a refresh of the session like
// any other. Tokens by exchange are in the memory of this replica, no longer than the session and the access token that
// they were exchanged for (EXT-03). When the session ends they are forgotten, not revoked.
//
// Errors: those of Fresh; ErrAudienceRefused; ErrNotRefreshable, where it takes a refresh token and there is none.
func (m *Manager) TokenFor(ctx context.Context, s *Session, a Audience) (secret.String, error) {
	if a.Exchange {
		return m.exchanged(ctx, s, a)
	}
	now, has := m.now(), s.tokenFor(a)
	good := now.Before(has.ExpiresAt)
	switch {
	case a == (Audience{}), good && now.Before(m.refreshAt(s, a)):
		return has.Token, nil
	case good:
		if m.exchanges.resting(s.ID, a, now) == nil {
			m.join(ctx, s, purpose{audience: a})
		}
		return has.Token, nil
	case !m.refreshable(s):
		return secret.String{}, s.notRefreshable(a)
	}
	if err := m.exchanges.resting(s.ID, a, now); err != nil {
		return secret.String{}, err
	}
	f, err := m.fly(ctx, s, purpose{audience: a})
	if err != nil {
		return secret.String{}, err
	}
	return m.landed(f, a)
}

// landed is the access token for an audience as a flight has left it, which may have been another's: EXT-02.
func (m *Manager) landed(f *flight, a Audience) (token secret.String, err error) {
	if f.session == nil {
		return token, f.err
	}
	has := f.session.tokenFor(a)
	switch {
	case m.now().Before(has.ExpiresAt):
		return has.Token, nil
	case f.err != nil:
		return token, f.err
	case !m.refreshable(f.session):
		return token, f.session.notRefreshable(a)
	default:
		return token, fmt.Errorf("%w: what came has expired already, or another replica has been faster", ErrRefreshUnavailable)
	}
}

// notRefreshable says why there is no token for an audience, and never will be.
func (s *Session) notRefreshable(a Audience) error {
	if s.doubt {
		return fmt.Errorf("%w: %w", ErrRefreshUnavailable, ErrUncertain)
	}
	return fmt.Errorf("%w, which a token for %s takes; the login asks for one by the scope offline_access",
		ErrNotRefreshable, a.Resource)
}

// tokenFor is the access token for an audience as the session has it: without a text where it has none.
func (s *Session) tokenFor(a Audience) AudienceToken {
	if a == (Audience{}) {
		return AudienceToken{s.Tokens.Access, s.Tokens.IssuedAt, s.Tokens.ExpiresAt, s.Tokens.Scope}
	}
	return s.audiences[a.Resource]
}

// renewedFor is the session with what a refresh for an audience brought. Its own access token stays, and so do those for
// other audiences until they expire.
func (s *Session) renewedFor(a Audience, got *Refreshed, now time.Time) *Session {
	if a == (Audience{}) {
		return s.renewed(got)
	}
	rest := *got
	rest.Tokens.Access, rest.Tokens.Scope = s.Tokens.Access, s.Tokens.Scope
	rest.Tokens.IssuedAt, rest.Tokens.ExpiresAt = s.Tokens.IssuedAt, s.Tokens.ExpiresAt
	next := s.renewed(&rest)

	next.audiences = map[string]AudienceToken{}
	maps.Copy(next.audiences, s.audiences)
	maps.DeleteFunc(next.audiences, func(_ string, t AudienceToken) bool { return !now.Before(t.ExpiresAt) })
	if _, again := next.audiences[a.Resource]; !again && len(next.audiences) >= maxAudiences {
		delete(next.audiences, next.soonest())
	}
	next.audiences[a.Resource] = AudienceToken{got.Tokens.Access, got.Tokens.IssuedAt, got.Tokens.ExpiresAt, got.Tokens.Scope}
	return next
}

// soonest is the resource whose token expires before the others.
func (s *Session) soonest() (first string) {
	for resource, t := range s.audiences {
		if other, ok := s.audiences[first]; !ok || t.ExpiresAt.Before(other.ExpiresAt) {
			first = resource
		}
	}
	return first
}
