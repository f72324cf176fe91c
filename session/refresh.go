package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"
)

// What a [Refresher] says about a refresh that brought nothing. Any other error is temporary: the OP has not taken the
// refresh token, and it may be sent again later.
var (
	// ErrGrantRefused: the OP said invalid_grant, or what it sent does not belong to this session (RFR-09). The
	// session ends.
	ErrGrantRefused = errors.New("session: the OP refuses the refresh token")
	// ErrUncertain: the request may have reached the OP, and no answer came (RFR-29). With rotation the refresh token
	// may be spent, and sending it again would look like theft: the session lives as long as its access token.
	ErrUncertain = errors.New("session: no answer to a refresh that was sent")
)

const (
	refreshTimeout = 10 * time.Second // for the OP's answer
	leaseTTL       = 15 * time.Second // outlives refreshTimeout even if it cannot be renewed (RFR-23)
	giveWay        = 3 * time.Second  // to a replica whose lease has run out
	settleTimeout  = 30 * time.Second // to store what the OP said, through a store's failure
	turnTimeout    = 30 * time.Second // for another replica's refresh
	waitTimeout    = 8 * time.Second  // for a request that has no good token (RFR-26)
	revokeTimeout  = 10 * time.Second
	minPause       = 2 * time.Second // between attempts for one session
	maxPause       = 30 * time.Second
)

// Refresher is a client of the OPs. Its methods take part in no request of a browser; ctx has a deadline.
type Refresher interface {
	// Refresh asks the OP of s for new tokens. With [ErrGrantRefused] it may also return what came and was found
	// wrong, to be revoked.
	Refresh(ctx context.Context, s *Session) (*Refreshed, error)
	// RefreshFor is Refresh with an access token for an audience, which is not one by exchange, instead of the session's
	// own (RFC 8707 §2.2). Everything else that comes with it is the session's. The error may also be
	// [ErrAudienceRefused]; the OP has not taken the refresh token then.
	RefreshFor(ctx context.Context, s *Session, a Audience) (*Refreshed, error)
	// Exchange asks the OP of s for a token for an audience in exchange for the access token of s (RFC 8693). The error may
	// be [ErrAudienceRefused]; none of the others says anything about the session.
	Exchange(ctx context.Context, s *Session, a Audience) (*AudienceToken, error)
	// Claims asks the OP of s for the user's claims with the access token of s (Core §5.3), and returns all that are known
	// then: those of the ID token, and these. Nil is as before, where the OP has no such endpoint or is not to be asked.
	// With [ErrGrantRefused] the answer is about another user (UIN-01), and the session ends.
	Claims(ctx context.Context, s *Session) (map[string]json.RawMessage, error)
	// Revoke tells the OP that tokens are no longer needed (RFC 7009).
	Revoke(ctx context.Context, provider string, t Tokens) error
}

// Refreshed is what a refresh brought. An empty refresh token, ID token, scope, identity or claims means: as before.
type Refreshed struct {
	Tokens   Tokens
	Identity []byte
	Claims   map[string]json.RawMessage
}

// Fresh returns the session with an access token that has not expired, refreshing it when that is due. While the token
// is good nobody waits for a refresh: one caller sets it off. After its expiry all wait, for a while. Errors: ErrEnded
// and its like when the session is over, ErrRefreshUnavailable and ErrStoreUnavailable when trying later may help, and
// that of ctx. It is no activity (RFR-33).
func (m *Manager) Fresh(ctx context.Context, s *Session) (*Session, error) {
	now := m.now()
	if now.Before(m.refreshAt(s, Audience{})) {
		return s, nil
	}
	if m.exhausted(s, now) != "" { // as far as the cache knows
		newest, due, err := m.reread(ctx, s.ticket, Audience{})
		if err != nil || !due {
			return newest, err
		}
		s = newest
	}
	if now.Before(s.Tokens.ExpiresAt) {
		m.join(ctx, s, purpose{})
		return s, nil
	}
	f, err := m.fly(ctx, s, purpose{})
	if err != nil {
		return nil, err
	}
	return m.outcome(f, s)
}

// outcome is the session after a flight, as Fresh returns it.
func (m *Manager) outcome(f *flight, s *Session) (*Session, error) {
	switch {
	case f.session != nil && m.now().Before(f.session.Tokens.ExpiresAt):
	case f.err != nil:
		return nil, f.err
	default:
		return nil, fmt.Errorf("%w: what came has expired already", ErrRefreshUnavailable)
	}
	if s.LastSeenAt.After(f.session.LastSeenAt) { // touched since the flight read the record
		return f.session.seen(s.LastSeenAt, m.opts.IdleTimeout), nil
	}
	return f.session, nil
}

// refreshAt is when the session's token for an audience is to be refreshed: some time before it expires, a little less
// for some sessions than for others, so that those which began together do not refresh together (RFR-27). Where a
// refresh is not possible or the session ends first anyway, it is the expiry.
func (m *Manager) refreshAt(s *Session, a Audience) time.Time {
	if !m.refreshable(s) {
		return s.tokenFor(a).ExpiresAt
	}
	return m.early(s, s.tokenFor(a))
}

// early is when a token of a session is to be replaced.
func (m *Manager) early(s *Session, t AudienceToken) time.Time {
	expiry := t.ExpiresAt
	if !expiry.Before(s.ExpiresAt) {
		return expiry
	}
	lead := min(m.opts.RefreshBefore, expiry.Sub(t.IssuedAt)/3)
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.ID))
	return expiry.Add(-lead + lead/10*time.Duration(h.Sum32()%100)/100)
}

// exhausted says whether the session has to end since its access token has expired and cannot be replaced.
func (m *Manager) exhausted(s *Session, now time.Time) Reason {
	switch {
	case now.Before(s.Tokens.ExpiresAt):
		return ""
	case s.doubt:
		return ReasonRefreshUncertain
	case !m.refreshable(s), !now.Before(s.ExpiresAt):
		return ReasonExpired
	default:
		return ""
	}
}

func (m *Manager) refreshable(s *Session) bool {
	return !s.Tokens.Refresh.IsZero() && !s.doubt && m.opts.Refresher != nil
}
