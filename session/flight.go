package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// purpose is what a flight is for. The zero value is a refresh of the session's own access token, when it is due.
type purpose struct {
	audience Audience      // whose token
	claims   bool          // by [Manager.Renew]: due or not, if it is not too soon, and the claims too
	refused  secret.String // by [Manager.Replace]: the token to replace, due or not, if it is not too soon
}

// forced reports whether the flight refreshes what is not due.
func (p purpose) forced() bool { return p.claims || !p.refused.IsZero() }

// serves reports whether a flight does what another is for, too. Any refresh replaces a token that was refused.
func (p purpose) serves(other purpose) bool {
	return p.audience == other.audience && (p.claims || !other.claims)
}

// flight is the one refresh of a session in this process. After done is closed, session is the newest that is known,
// nil when it has ended, and err says what went wrong.
type flight struct {
	purpose
	abandoned bool // the lease, by another replica
	done      chan struct{}
	session   *Session
	renewed   bool          // forced, and it was not too soon
	rest      time.Duration // how long nobody shall try again
	err       error
}

// join returns the flight of a session and begins it if there is none. A flight belongs to no request: it goes on when
// ctx ends (RFR-25). One that failed stays for as long as the session has to rest.
func (m *Manager) join(ctx context.Context, s *Session, p purpose) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.flights[s.ID]; ok {
		return f
	}
	f := &flight{purpose: p, done: make(chan struct{})}
	if m.closed {
		f.err = fmt.Errorf("%w: shutting down", ErrRefreshUnavailable)
		close(f.done)
		return f
	}
	m.flights[s.ID] = f
	m.work.Go(func() {
		m.refresh(context.WithoutCancel(ctx), s, f)
		forget := func() {
			m.mu.Lock()
			delete(m.flights, s.ID)
			m.mu.Unlock()
		}
		if f.rest > 0 {
			time.AfterFunc(f.rest, forget)
		} else {
			forget()
		}
		close(f.done)
	})
	return f
}

// fly waits for a flight that serves a purpose, and for those before it, for a while in all. One that has failed and
// rests serves every purpose: the OP is in trouble.
func (m *Manager) fly(ctx context.Context, s *Session, p purpose) (*flight, error) {
	timer := time.NewTimer(waitTimeout)
	defer timer.Stop()
	for {
		f := m.join(ctx, s, p)
		select {
		case <-f.done:
		case <-timer.C:
			return nil, fmt.Errorf("%w: it takes too long", ErrRefreshUnavailable)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if f.serves(p) || f.rest > 0 {
			return f, nil
		}
	}
}

// refresh flies: it waits for the lease, refreshes, and gives the lease back.
func (m *Manager) refresh(ctx context.Context, s *Session, f *flight) {
	f.session, f.rest, f.err = m.turn(ctx, s, f)
	if f.session != nil || f.err != nil {
		return
	}
	stop := m.keepLease(ctx, s.ID)
	if f.abandoned {
		m.giveWay(ctx, s, f)
	}
	f.session, f.rest, f.err = m.redeem(ctx, s.ticket, f)
	if f.claims && f.renewed && f.err == nil && !f.session.doubt {
		f.session, f.err = m.reclaim(ctx, f.session)
	}
	stop()
	if err := m.store.Release(ctx, s.ID, m.owner, f.rest); err != nil {
		m.log.WarnContext(ctx, "a refresh lease could not be released and runs out by itself",
			"session", s.ID, "err", err)
	}
}

// turn returns neither a session nor an error when this replica has the lease. It returns a session when another has
// refreshed it meanwhile (RFR-26), unless the refresh is forced: the other may not have finished. Without a store there
// is no lease, and no refresh (RFR-30). A store that was hanging may give us the lease after we have gone away; then it
// is ours at the next try.
func (m *Manager) turn(ctx context.Context, s *Session, f *flight) (*Session, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	var changed <-chan struct{}
	for {
		hold, err := m.store.Acquire(ctx, s.ID, m.owner, leaseTTL)
		switch {
		case err != nil:
			return nil, 0, unavailable(err)
		case hold.Taken:
			f.abandoned = hold.Abandoned
			return nil, 0, nil
		case hold.Resting:
			return nil, hold.Left, fmt.Errorf("%w: it has just failed", ErrRefreshUnavailable)
		}
		if changed == nil {
			var stop func()
			changed, stop = m.store.Watch(s.ID)
			defer stop()
		}
		newest, due, err := m.reread(ctx, s.ticket, f.audience)
		if err != nil || !due && !f.forced() {
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

// giveWay waits for a while when the lease has run out in the hands of another replica. That one may live, and have new
// tokens which it could not store while the store was away: to send the old refresh token once more would look like
// theft (RFR-20, RFR-29). What it stores now, redeem finds.
func (m *Manager) giveWay(ctx context.Context, s *Session, f *flight) {
	changed, stop := m.store.Watch(s.ID)
	defer stop()
	patience := time.After(giveWay)
	first, due, err := m.reread(ctx, s.ticket, f.audience)
	for last := first; err == nil && last.version == first.version && (due || f.forced()); {
		select {
		case <-changed:
		case <-patience:
			return
		}
		last, _, err = m.reread(ctx, s.ticket, f.audience)
	}
}

// reread opens the session as it is now and says whether its token for an audience still has to be refreshed.
func (m *Manager) reread(ctx context.Context, ticket Ticket, a Audience) (s *Session, due bool, err error) {
	s, err = m.load(ctx, ticket)
	if err != nil {
		return nil, false, err
	}
	now := m.now()
	if reason := m.exhausted(s, now); reason != "" {
		return nil, false, m.finish(ctx, s, reason)
	}
	return s, m.refreshable(s) && !now.Before(m.refreshAt(s, a)), nil
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
func (m *Manager) redeem(ctx context.Context, ticket Ticket, f *flight) (newest *Session, rest time.Duration, err error) {
	s, due, err := m.reread(ctx, ticket, f.audience)
	if err == nil && f.forced() && m.refreshable(s) {
		f.renewed, err = m.admit(ctx, s, f.purpose)
	}
	if err != nil || !due && !f.renewed {
		return s, 0, err
	}
	got, err := m.ask(ctx, s, f.audience)
	if err == nil {
		newest, err = m.refreshed(ctx, s, f.audience, got)
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
	case f.audience != (Audience{}):
		// It may be this audience alone: the session does not rest, and does not wait for a turn behind it.
		if !errors.Is(err, ErrAudienceRefused) {
			err = fmt.Errorf("%w: %w", ErrRefreshUnavailable, err)
		}
		now := m.now()
		rest = pauseAfter(err, s.tokenFor(f.audience).ExpiresAt.Sub(now))
		m.exchanges.rest(s, f.audience, err, now, now.Add(rest))
		return s, 0, err
	default:
		rest = pauseAfter(err, s.Tokens.ExpiresAt.Sub(m.now()))
		return s, rest, fmt.Errorf("%w: %w", ErrRefreshUnavailable, err)
	}
}

// pauseAfter is the pause after a failure, when the token that is there is good for a while.
func pauseAfter(err error, left time.Duration) time.Duration {
	if errors.Is(err, ErrAudienceRefused) { // until somebody changes a configuration
		return maxPause
	}
	return min(max(left/4, minPause), maxPause)
}

// ask sends the refresh token. After a panic nobody knows whether it was sent.
func (m *Manager) ask(ctx context.Context, s *Session, a Audience) (got *Refreshed, err error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	err = m.guard(ctx, s, func() (err error) {
		if a == (Audience{}) {
			got, err = m.opts.Refresher.Refresh(ctx, s)
		} else {
			got, err = m.opts.Refresher.RefreshFor(ctx, s, a)
		}
		return err
	})
	if errors.Is(err, errPanic) {
		err = fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return got, err
}

// refreshed stores what the OP sent before anyone uses it (RFR-22). If the session has ended meanwhile it stays ended,
// and what came for it is revoked like the tokens of a session that ends (RFR-24, BCL-24); nobody uses it either way.
func (m *Manager) refreshed(ctx context.Context, s *Session, a Audience, got *Refreshed) (*Session, error) {
	change := func(s *Session) *Session { return s.renewedFor(a, got, m.now()) }
	next, err := m.write(ctx, s, change)
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
		if m.revokes(change(s), Cause(err)) {
			m.revoke(ctx, s, got.Tokens)
		}
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
		last, err = m.load(settle, s.ticket)
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
