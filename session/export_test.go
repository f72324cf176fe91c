package session

import (
	"context"
	"maps"
	"slices"
)

// Rewrite writes the session's record anew, as something other than a refresh would; with a token, as another replica's
// refresh would.
func (m *Manager) Rewrite(ctx context.Context, ticket Ticket, refreshed *Refreshed) error {
	s, err := m.Open(ctx, ticket)
	if err != nil {
		return err
	}
	_, err = m.write(ctx, s, func(s *Session) *Session {
		if refreshed == nil {
			refreshed = &Refreshed{Tokens: s.Tokens}
		}
		return s.renewed(refreshed)
	})
	return err
}

// Sweep is one round of Run.
func (m *Manager) Sweep(ctx context.Context) error { return m.sweep(ctx) }

// Keys are the keys as the ring holds them, for printing.
func (r *KeyRing) Keys() any { return *r.keys.Load() }

// Bound is how many sessions have requests under way.
func (m *Manager) Bound() (sessions int) {
	for i := range m.bonds.shards {
		sessions += len(m.bonds.shards[i].ids())
	}
	return sessions
}

// Resources are those for which the session has tokens.
func (s *Session) Resources() []string { return slices.Sorted(maps.Keys(s.audiences)) }

// Exchanges is how many tokens by exchange there are, of all sessions.
func (m *Manager) Exchanges() int {
	m.exchanges.mu.Lock()
	defer m.exchanges.mu.Unlock()
	return m.exchanges.count
}
