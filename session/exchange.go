package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// exchange is what this replica knows of a session's token for an audience. One by exchange is for one access token of
// the session: for the next it is another exchange (EXT-03). The lock is that of exchanges.
type exchange struct {
	audience Audience
	session  *Session      // that it began with
	token    AudienceToken // without a text while none has come
	begun    time.Time     // the last attempt
	flight   chan struct{} // closed at its end; nil when none is under way
	err      error         // what went wrong in it
	rests    time.Time     // until then there is no other attempt
}

// exchanged returns a token by exchange.
func (m *Manager) exchanged(ctx context.Context, s *Session, a Audience) (secret.String, error) {
	if m.opts.Refresher == nil {
		return secret.String{}, ErrNotRefreshable
	}
	x, has := m.beginExchange(ctx, s, a, secret.String{})
	if m.now().Before(has.ExpiresAt) {
		return has.Token, nil
	}
	return m.awaitExchange(ctx, x)
}

// beginExchange returns the exchange of a session for an audience with the token that it has, and sets off another
// attempt if it is time for one: there is no token, or not for much longer, or an upstream has refused it.
func (m *Manager) beginExchange(
	ctx context.Context, s *Session, a Audience, refused secret.String,
) (*exchange, AudienceToken) {
	now, e := m.now(), &m.exchanges
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.find(s.ID, a)
	if x == nil || s.version > x.session.version && !s.hasAccessOf(x.session) {
		e.remove(x)
		x = &exchange{audience: a, session: s}
		e.add(x, now)
	}
	due := !now.Before(m.early(s, x.token)) || x.token.Token.Equal(refused) && now.Sub(x.begun) >= youngToken
	if !due || x.flight != nil || now.Before(x.rests) {
		return x, x.token
	}
	if m.start(func() { m.exchange(context.WithoutCancel(ctx), x) }) {
		x.flight, x.begun = make(chan struct{}), now
	} else {
		x.err = fmt.Errorf("%w: shutting down", ErrRefreshUnavailable)
	}
	return x, x.token
}

// awaitExchange waits for the attempt that is under way, for a while, and returns the token that there is then.
func (m *Manager) awaitExchange(ctx context.Context, x *exchange) (token secret.String, err error) {
	e := &m.exchanges
	e.mu.Lock()
	flight := x.flight
	e.mu.Unlock()
	if flight != nil {
		timer := time.NewTimer(waitTimeout)
		defer timer.Stop()
		select {
		case <-flight:
		case <-timer.C:
			return token, fmt.Errorf("%w: an exchange takes too long", ErrRefreshUnavailable)
		case <-ctx.Done():
			return token, context.Cause(ctx)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case m.now().Before(x.token.ExpiresAt):
		return x.token.Token, nil
	case x.err != nil:
		return token, x.err
	default:
		return token, fmt.Errorf("%w: what came has expired already", ErrRefreshUnavailable)
	}
}

// exchange is one attempt, which belongs to no request. What comes for a session that has ended meanwhile nobody gets.
func (m *Manager) exchange(ctx context.Context, x *exchange) {
	got, err := m.askExchange(ctx, x.session, x.audience)
	if err == nil {
		_, err = m.load(ctx, x.session.ticket)
	}
	now, e := m.now(), &m.exchanges
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		x.token, x.rests = x.session.bounded(*got), time.Time{}
	} else if _, over := Anonymous(err); over {
		x.token = AudienceToken{}
		e.remove(x)
	} else {
		x.rests = now.Add(pauseAfter(err, x.token.ExpiresAt.Sub(now)))
	}
	x.err = err
	close(x.flight)
	x.flight = nil
}

func (m *Manager) askExchange(ctx context.Context, s *Session, a Audience) (got *AudienceToken, err error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	err = m.guard(ctx, s, func() (err error) {
		got, err = m.opts.Refresher.Exchange(ctx, s, a)
		return err
	})
	if err == nil {
		return got, nil
	}
	m.emit(ctx, Event{Kind: EventRefreshFailed, Err: err}, s)
	if errors.Is(err, ErrAudienceRefused) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrRefreshUnavailable, err) // whatever it is: it says nothing about the session
}

// hasAccessOf reports whether the access token is that of another version of the session: an OP may send the same one
// again at a refresh, for longer.
func (s *Session) hasAccessOf(other *Session) bool {
	return s.Tokens.Access.Equal(other.Tokens.Access) && s.Tokens.ExpiresAt.Equal(other.Tokens.ExpiresAt)
}

// bounded is a token that expires no later than the session and its access token.
func (s *Session) bounded(t AudienceToken) AudienceToken {
	for _, end := range []time.Time{s.Tokens.ExpiresAt, s.ExpiresAt} {
		if end.Before(t.ExpiresAt) {
			t.ExpiresAt = end
		}
	}
	return t
}

// lookAtExchanges forgets the tokens of a session that may have ended, if it has. It does not wait for the store, which
// may be the caller.
func (m *Manager) lookAtExchanges(id ID) {
	ticket, ok := m.exchanges.ticketOf(id)
	if !ok {
		return
	}
	m.start(func() {
		_, err := m.Open(context.Background(), ticket)
		if _, over := Anonymous(err); over {
			m.exchanges.drop(id)
		}
	})
}
