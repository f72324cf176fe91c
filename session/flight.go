package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flight is the one refresh of a session in this process. After done is closed, session is the newest that is known,
// nil when it has ended, and err says what went wrong.
type flight struct {
	done    chan struct{}
	session *Session
	err     error
}

// join returns the flight of a session and begins it if there is none. A flight belongs to no request: it goes on when
// ctx ends (RFR-25). One that failed stays for as long as the session has to rest.
func (m *Manager) join(ctx context.Context, s *Session) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.flights[s.ID]; ok {
		return f
	}
	f := &flight{done: make(chan struct{})}
	if m.closed {
		f.err = fmt.Errorf("%w: shutting down", ErrRefreshUnavailable)
		close(f.done)
		return f
	}
	m.flights[s.ID] = f
	m.work.Go(func() {
		var rest time.Duration
		f.session, rest, f.err = m.refresh(context.WithoutCancel(ctx), s)
		close(f.done)
		forget := func() {
			m.mu.Lock()
			delete(m.flights, s.ID)
			m.mu.Unlock()
		}
		if rest > 0 {
			time.AfterFunc(rest, forget)
		} else {
			forget()
		}
	})
	return f
}

// refresh is a flight: it waits for the lease, refreshes, and gives the lease back. rest is how long nobody shall try
// again.
func (m *Manager) refresh(ctx context.Context, s *Session) (newest *Session, rest time.Duration, err error) {
	newest, rest, err = m.turn(ctx, s)
	if newest != nil || err != nil {
		return newest, rest, err
	}
	stop := m.keepLease(ctx, s.ID)
	newest, rest, err = m.redeem(ctx, s.ticket)
	stop()
	if err := m.store.Release(ctx, s.ID, m.owner, rest); err != nil {
		m.log.WarnContext(ctx, "a refresh lease could not be released and runs out by itself",
			"session", s.ID, "err", err)
	}
	return newest, rest, err
}

// turn returns neither a session nor an error when this replica has the lease. It returns a session when another has
// refreshed it meanwhile (RFR-26). Without a store there is no lease, and no refresh (RFR-30). A store that was hanging
// may give us the lease after we have gone away; then it is ours at the next try.
func (m *Manager) turn(ctx context.Context, s *Session) (*Session, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	var changed <-chan struct{}
	for {
		hold, err := m.store.Acquire(ctx, s.ID, m.owner, leaseTTL)
		switch {
		case err != nil:
			return nil, 0, unavailable(err)
		case hold.Taken:
			return nil, 0, nil
		case hold.Resting:
			return nil, hold.Left, fmt.Errorf("%w: it has just failed", ErrRefreshUnavailable)
		}
		if changed == nil {
			var stop func()
			changed, stop = m.store.Watch(s.ID)
			defer stop()
		}
		newest, due, err := m.reread(ctx, s.ticket)
		if err != nil || !due {
			return newest, 0, err
		}
		select {
		case <-changed:
		case <-time.After(hold.Left): // its holder is dead, or has renewed it
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("%w: another replica takes too long", ErrRefreshUnavailable)
		}
	}
}

// reread opens the session as it is now and says whether it still has to be refreshed.
func (m *Manager) reread(ctx context.Context, ticket Ticket) (s *Session, due bool, err error) {
	s, err = m.Open(ctx, ticket)
	if err != nil {
		return nil, false, err
	}
	now := m.now()
	if reason := m.exhausted(s, now); reason != "" {
		return nil, false, m.finish(ctx, s, reason)
	}
	return s, !now.Before(m.refreshAt(s)), nil
}

// keepLease renews the lease until it is stopped. Losing it stops nothing: the request may be at the OP already, and
// the write at the end is refused if somebody else has written (RFR-23).
func (m *Manager) keepLease(ctx context.Context, id ID) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(leaseTTL / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := m.store.Renew(ctx, id, m.owner, leaseTTL); err != nil && ctx.Err() == nil {
				m.log.WarnContext(ctx, "a refresh lease could not be renewed", "session", id, "err", err)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// redeem sends the refresh token, holding the lease, unless another replica has done so before (RFR-21).
func (m *Manager) redeem(ctx context.Context, ticket Ticket) (newest *Session, rest time.Duration, err error) {
	s, due, err := m.reread(ctx, ticket)
	if err != nil || !due {
		return s, 0, err
	}
	got, err := m.ask(ctx, s)
	if err == nil {
		newest, err = m.refreshed(ctx, s, got)
		return newest, 0, err
	}
	m.emit(ctx, Event{Kind: EventRefreshFailed, Err: err}, s)
	switch {
	case errors.Is(err, ErrGrantRefused):
		newest, err = m.refused(ctx, s, got)
		return newest, 0, err
	case errors.Is(err, ErrUncertain):
		newest, err = m.uncertain(ctx, s)
		return newest, 0, err
	default:
		rest := min(max(s.Tokens.ExpiresAt.Sub(m.now())/4, minPause), maxPause)
		return s, rest, fmt.Errorf("%w: %w", ErrRefreshUnavailable, err)
	}
}

// ask sends the refresh token. After a panic nobody knows whether it was sent.
func (m *Manager) ask(ctx context.Context, s *Session) (got *Refreshed, err error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	err = m.guard(ctx, s, func() (err error) {
		got, err = m.opts.Refresher.Refresh(ctx, s)
		return err
	})
	if errors.Is(err, errPanic) {
		err = fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return got, err
}

// refreshed stores what the OP sent before anyone uses it (RFR-22). If the session has ended meanwhile it stays ended,
// and nobody shall use what came for it (RFR-24).
func (m *Manager) refreshed(ctx context.Context, s *Session, got *Refreshed) (*Session, error) {
	next, err := m.write(ctx, s, func(s *Session) *Session { return s.renewed(got) })
	switch {
	case err == nil:
		m.emit(ctx, Event{Kind: EventRefreshed}, next)
	case errors.Is(err, errOvertaken):
		// Somebody held the lease after us and has used the same refresh token with success. Revoking what we got
		// could revoke the grant, and with it what they got.
		return next, nil
	case errors.Is(err, ErrStoreUnavailable):
		m.log.ErrorContext(ctx, "refreshed tokens could not be stored and are lost", "session", s.ID, "err", err)
	default:
		m.revoke(ctx, s, got.Tokens)
	}
	return next, err
}

// refused ends the session, unless a refresh elsewhere is the reason for the refusal.
func (m *Manager) refused(ctx context.Context, s *Session, got *Refreshed) (*Session, error) {
	if got != nil {
		m.revoke(ctx, s, got.Tokens)
	}
	var last *Session
	settle, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	err := retry(settle, func() (err error) {
		last, err = m.Open(settle, s.ticket)
		return err
	})
	if err == nil && !last.Tokens.Refresh.Equal(s.Tokens.Refresh) {
		return last, nil
	}
	return nil, m.finish(ctx, s, ReasonGrantRefused)
}

// uncertain notes for all replicas that the refresh token must not be sent again (RFR-29).
func (m *Manager) uncertain(ctx context.Context, s *Session) (*Session, error) {
	last, err := m.write(ctx, s, func(s *Session) *Session {
		next := *s
		next.doubt = true
		return &next
	})
	if err != nil && !errors.Is(err, errOvertaken) {
		return nil, err
	}
	if reason := m.exhausted(last, m.now()); reason != "" {
		return nil, m.finish(ctx, last, reason)
	}
	return last, nil
}
