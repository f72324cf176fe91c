package session

import (
	"context"
	"errors"
	"time"
)

const (
	sweepEvery = 30 * time.Second // well under Grace
	sweepBatch = 100
)

// Run ends sessions that are past a deadline, whether anybody asks for them or not, until ctx ends; its error is that
// of ctx. Every replica may run it: a session ends once.
func (m *Manager) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := m.sweep(ctx); err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "sessions past their deadline could not be ended", "err", err)
		}
		m.cache.prune(time.Now())
		m.exchanges.prune(m.now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sweep looks at every session that is due. It stops at the first error: the store is down then, and the next sweep
// finds the rest.
func (m *Manager) sweep(ctx context.Context) error {
	for {
		ids, err := m.store.Due(ctx, m.now(), sweepBatch)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := m.settle(ctx, id); err != nil {
				return err
			}
		}
		if len(ids) < sweepBatch {
			return nil
		}
	}
}

// settle ends a due session, or, if it has been active since, makes it due at its new deadline. It works on what is
// in clear, having no ticket.
func (m *Manager) settle(ctx context.Context, id ID) error {
	rec, seen, err := m.store.Load(ctx, id)
	if errors.Is(err, ErrNotFound) {
		// The store let go of it, long after the deadline. Nobody was there to sweep.
		return m.EndByID(ctx, id, ReasonExpired)
	}
	if err != nil {
		return err
	}
	s := rec.public().seen(seen, m.opts.IdleTimeout)
	if reason := s.over(m.now()); reason != "" {
		return m.EndByID(ctx, id, reason)
	}
	return m.store.Schedule(ctx, id, s.due())
}

// due is the earliest moment at which the session may have to end.
func (s *Session) due() time.Time {
	if s.IdleAt.Before(s.ExpiresAt) {
		return s.IdleAt
	}
	return s.ExpiresAt
}
