package session

import (
	"context"
	"errors"
	"time"
)

// errOvertaken: the record has another refresh token than the one that was used.
var errOvertaken = errors.New("session: refreshed by somebody else")

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second // well under giveWay
)

// write stores what change makes of s, on top of whatever else has been written meanwhile, as long as the record has
// the refresh token of s; otherwise it returns what is stored, with errOvertaken. It goes on through failures of the
// store for settleTimeout. The other errors are those of [Manager.Open].
func (m *Manager) write(ctx context.Context, s *Session, change func(*Session) *Session) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	used := s.Tokens.Refresh
	for {
		next := change(s)
		next.version = s.version + 1
		rec, err := m.ring.seal(next)
		if err != nil {
			return nil, err
		}
		err = retry(ctx, func() error { return m.update(ctx, rec) })
		if err == nil {
			return next, nil
		}
		if errors.Is(err, ErrStoreUnavailable) {
			return nil, err
		}
		err = retry(ctx, func() error {
			var err error
			s, err = m.load(ctx, next.ticket)
			return err
		})
		if err != nil {
			return nil, err
		}
		if !s.Tokens.Refresh.Equal(used) {
			return s, errOvertaken
		}
	}
}

func (m *Manager) update(ctx context.Context, rec Record) error {
	err := m.store.Update(ctx, rec)
	m.cache.drop(rec.ID) // whatever the answer is: it may be written
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) {
		return unavailable(err)
	}
	return err
}

// retry repeats f, which may be repeated, while the store is unavailable and ctx has not ended.
func retry(ctx context.Context, f func() error) error {
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := f()
		if !errors.Is(err, ErrStoreUnavailable) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}
