package session

import (
	"context"
	"sync"
	"time"
)

// touchEvery is how often the activity of a session is written, at most, by each replica. The idle deadline is that
// much early, at worst.
const touchEvery = 5 * time.Second

// Touch counts as activity: it moves the idle deadline, and nothing else. It returns the session with its deadline as
// the store has it. The error is ErrStoreUnavailable.
func (m *Manager) Touch(ctx context.Context, s *Session) (*Session, error) {
	now := m.now().Truncate(time.Millisecond) // as a store keeps it
	if now.Sub(s.LastSeenAt) < touchEvery {
		return s, nil
	}
	last, write := m.touches.claim(s.ID, now)
	if write {
		if err := m.store.Touch(ctx, s.ID, now, m.opts.IdleTimeout+Grace); err != nil {
			m.touches.forget(s.ID)
			return nil, unavailable(err)
		}
	}
	next := s.seen(last, m.opts.IdleTimeout)
	m.cache.replace(s, next)
	return next, nil
}

// Extend is Touch for a user who asks for more time: it is written at once, the deadline is the full idle timeout away,
// and watchers on all replicas hear of it. The errors are those of Open.
func (m *Manager) Extend(ctx context.Context, s *Session) (*Session, error) {
	now := m.now().Truncate(time.Millisecond)
	if err := m.store.Touch(ctx, s.ID, now, m.opts.IdleTimeout+Grace); err != nil {
		return nil, unavailable(err)
	}
	m.cache.drop(s.ID)
	extended, err := m.load(ctx, s.ticket) // it may have ended since s was read, and nobody shall be told otherwise
	if err != nil {
		return nil, err
	}
	m.emit(ctx, Event{Kind: EventExtended}, extended)
	if err := m.store.Tell(ctx, s.ID); err != nil {
		m.log.WarnContext(ctx, "other tabs may not have heard that a session was extended", "session", s.ID, "err", err)
	}
	return extended, nil
}

// touches remembers what this replica has written lately, so that requests which read a session at the same time do not
// all write.
type touches struct {
	mu     sync.Mutex
	at     map[ID]time.Time
	pruned time.Time
}

// claim returns the time of the last activity to go by, and whether the caller has to write it.
func (t *touches) claim(id ID, now time.Time) (last time.Time, write bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.at[id]; ok && now.Sub(last) < touchEvery {
		return last, false
	}
	if now.Sub(t.pruned) >= touchEvery {
		fresh := map[ID]time.Time{}
		for id, at := range t.at {
			if now.Sub(at) < touchEvery {
				fresh[id] = at
			}
		}
		t.at, t.pruned = fresh, now
	}
	t.at[id] = now
	return now, true
}

func (t *touches) forget(id ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.at, id)
}
