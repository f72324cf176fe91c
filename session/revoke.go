package session

import (
	"context"
	"slices"
)

// revokes decides whether the tokens of a session that ends are revoked: if they are at hand, and, where the OP itself has
// ended it, unless they were granted for offline access (Back-Channel Logout 1.0 §2.7, BCL-24).
func (m *Manager) revokes(s *Session, reason Reason) bool {
	if !m.opts.RevokeTokens || m.opts.Refresher == nil || s.Tokens.Access.IsZero() {
		return false
	}
	return reason != ReasonBackchannel || !slices.Contains(s.Tokens.Scope, "offline_access")
}

// revoke gives tokens back to the OP, apart from its caller and once: a token that cannot be revoked expires (RFC 7009).
func (m *Manager) revoke(ctx context.Context, s *Session, tokens Tokens) {
	m.detach(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
		defer cancel()
		err := m.guard(ctx, s, func() error { return m.opts.Refresher.Revoke(ctx, s.Provider, tokens) })
		if err != nil {
			m.emit(ctx, Event{Kind: EventRevokeFailed, Err: err}, s)
			return
		}
		m.emit(ctx, Event{Kind: EventRevoked}, s)
	})
}
