package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Errors of [Manager.Renew].
var (
	ErrTooSoon        = errors.New("session: it has been renewed a moment ago")
	ErrNotRefreshable = errors.New("session: there is no refresh token")
)

const (
	renewEvery   = 5 * time.Second // per session, on all replicas together
	claimTimeout = 5 * time.Second // to ask for claims and store them
)

// Renew refreshes the tokens of a session now, due or not, and asks for the claims again; it waits for the answer as
// Fresh does. Those who ask while that is under way, on whichever replica, get the same answer. After that the error is
// ErrTooSoon for some seconds. The other errors are ErrNotRefreshable and those of Fresh. It is no activity (RFR-33).
//
// When the tokens have come and the claims have not, the session keeps those it had.
func (m *Manager) Renew(ctx context.Context, s *Session) (*Session, error) {
	if !m.refreshable(s) {
		return nil, ErrNotRefreshable
	}
	f, err := m.fly(ctx, s, purpose{claims: true})
	if err != nil {
		return nil, err
	}
	newest, err := m.outcome(f, s)
	switch {
	case err == nil && f.err != nil: // and the old token is good
		return nil, f.err
	case err != nil:
		return nil, err
	case newest.doubt: // this one, or one before it, was sent and not answered
		return nil, fmt.Errorf("%w: %w", ErrRefreshUnavailable, ErrUncertain)
	case !f.renewed && newest.version == s.version:
		return nil, ErrTooSoon
	}
	return newest, nil
}

// admit reports whether a forced flight may go. Whoever holds the lease asks, so that nobody is refused while another is
// under way.
func (m *Manager) admit(ctx context.Context, s *Session, p purpose) (bool, error) {
	name, every := "renew "+string(s.ID), renewEvery
	if !p.refused.IsZero() {
		if !s.tokenFor(p.audience).Token.Equal(p.refused) { // somebody has replaced it
			return false, nil
		}
		name, every = "replace "+string(s.ID)+" "+p.audience.Resource, replaceEvery
	}
	err := m.Consume(ctx, name, every)
	if errors.Is(err, ErrSpent) {
		return false, nil
	}
	return err == nil, err
}

// reclaim asks for the claims of a session whose tokens are new, and stores them. The error is that of [Manager.Open],
// when the session has ended meanwhile, or ends because its tokens are somebody else's; no other failure is worth losing
// the tokens.
func (m *Manager) reclaim(ctx context.Context, s *Session) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	var claims map[string]json.RawMessage
	err := m.guard(ctx, s, func() (err error) {
		claims, err = m.opts.Refresher.Claims(ctx, s)
		return err
	})
	if errors.Is(err, ErrGrantRefused) {
		return nil, m.finish(ctx, s, ReasonGrantRefused)
	}
	if err != nil {
		m.log.WarnContext(ctx, "the claims of a session could not be renewed and stay", "session", s.ID, "err", err)
		return s, nil
	}
	if claims == nil {
		return s, nil
	}
	next, err := m.write(ctx, s, func(s *Session) *Session {
		next := *s
		next.Claims = claims
		return &next
	})
	switch {
	case errors.Is(err, errOvertaken): // and by the claims of a younger refresh
		return next, nil
	case errors.Is(err, ErrStoreUnavailable):
		m.log.WarnContext(ctx, "the renewed claims of a session could not be stored", "session", s.ID, "err", err)
		return s, nil
	}
	return next, err
}
