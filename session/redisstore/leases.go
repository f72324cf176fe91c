package redisstore

import (
	"context"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

func (s *Store) leaseKeys(id session.ID) []string {
	return []string{s.key("lease", id), s.key("work", id)}
}

// Acquire implements [session.Store].
func (s *Store) Acquire(ctx context.Context, id session.ID, owner string, ttl time.Duration) (session.Hold, error) {
	var answer []int64
	err := try(ctx, func(ctx context.Context) (err error) {
		answer, err = acquireScript.Run(ctx, s.client, s.leaseKeys(id),
			owner, milliseconds(ttl), milliseconds(ttl+session.AbandonedFor)).Int64Slice()
		return err
	})
	if err != nil {
		return session.Hold{}, err
	}
	left := time.Duration(answer[1]) * time.Millisecond
	return session.Hold{
		Taken: answer[0] == 1 || answer[0] == 3, Abandoned: answer[0] == 3, Resting: answer[0] == 2, Left: left,
	}, nil
}

// Renew implements [session.Store].
func (s *Store) Renew(ctx context.Context, id session.ID, owner string, ttl time.Duration) error {
	var renewed int
	err := try(ctx, func(ctx context.Context) (err error) {
		renewed, err = renewScript.Run(ctx, s.client, s.leaseKeys(id),
			owner, milliseconds(ttl), milliseconds(ttl+session.AbandonedFor)).Int()
		return err
	})
	if err == nil && renewed == 0 {
		return session.ErrNotFound
	}
	return err
}

// Release implements [session.Store].
func (s *Store) Release(ctx context.Context, id session.ID, owner string, pause time.Duration) error {
	return try(ctx, func(ctx context.Context) error {
		return releaseScript.Run(ctx, s.client, s.leaseKeys(id),
			owner, pause.Milliseconds(), s.channel(), string(id)).Err()
	})
}
