package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

const (
	clockSkew = time.Minute // how far the clocks of replicas may be apart
	userBatch = 100         // sessions of a user that are read at a time
)

// succession returns when a session that a user begins now counts as created: now, or a moment after the newest of the
// user's sessions, which a replica whose clock is ahead may have created. So the newest session is always the one that
// began last, and limit does not take it for an old one. The error is ErrStoreUnavailable.
func (m *Manager) succession(ctx context.Context, issuer, subject string, now time.Time) (time.Time, error) {
	if m.opts.PerUserLimit == 0 {
		return now, nil
	}
	live, err := m.ofUser(ctx, issuer, subject, now)
	if err != nil {
		return time.Time{}, err
	}
	created := now
	for _, s := range live {
		if begun := s.begun(now); !begun.Before(created) {
			created = begun.Add(time.Millisecond) // the unit of a store
		}
	}
	return created, nil
}

// limit ends the oldest sessions of the user of s until there are PerUserLimit left (SES-03). s is in the store by now:
// of several logins at once the last to count sees all of their sessions. Each count ends only sessions that have
// PerUserLimit newer ones, in an order that is the same on all replicas whose clocks are within clockSkew; so no more
// end than have to, and the newest never does.
//
// A failure does not fail the login, whose session is there already: the user's next login counts again. The count goes
// on when ctx ends.
func (m *Manager) limit(ctx context.Context, s *Session) {
	if m.opts.PerUserLimit == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	live, err := m.ofUser(ctx, s.Issuer, s.Subject, m.now())
	for _, old := range live[:max(0, len(live)-m.opts.PerUserLimit)] {
		err = errors.Join(err, m.EndByID(ctx, old.ID, ReasonUserLimit))
	}
	if err != nil {
		m.log.WarnContext(ctx, "the sessions of a user could not be limited; the next login tries again",
			"session", s.ID, "err", err)
	}
}

// ofUser returns the live sessions of a user as far as they are in clear, the oldest first. The error is
// ErrStoreUnavailable.
func (m *Manager) ofUser(ctx context.Context, issuer, subject string, now time.Time) ([]*Session, error) {
	ids, err := m.store.Find(ctx, SubjectIndex(issuer, subject))
	if err != nil {
		return nil, unavailable(err)
	}
	var live []*Session
	for batch := range slices.Chunk(ids, userBatch) {
		found, err := m.store.LoadAll(ctx, batch)
		if err != nil {
			return nil, unavailable(err)
		}
		live = append(live, m.live(found, now)...)
	}
	slices.SortFunc(live, func(a, b *Session) int {
		return cmp.Or(a.begun(now).Compare(b.begun(now)), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return live, nil
}

// begun is CreatedAt, for the order of sessions. It is zero for one that a clock has dated which is too far ahead to be
// followed: before all others, or else a login on a replica whose clock is right would end itself.
func (s *Session) begun(now time.Time) time.Time {
	if s.CreatedAt.Sub(now) > clockSkew {
		return time.Time{}
	}
	return s.CreatedAt
}
