package session

import "context"

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
