package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
)

// Find implements [session.Store].
func (s *Store) Find(ctx context.Context, index session.Index) (ids []session.ID, err error) {
	err = try(ctx, func(ctx context.Context) error {
		ids, err = sessionIDs(s.client.ZRange(ctx, s.indexKey(index), 0, -1).Result())
		return err
	})
	return ids, err
}

// Scan implements [session.Store]. Every session has a due time until it ends.
func (s *Store) Scan(ctx context.Context, index session.Index, cursor string, limit int) (ids []session.ID, next string, err error) {
	key := s.dueKey()
	if index != session.AllSessions {
		key = s.indexKey(index)
	}
	var at, after uint64
	if cursor != "" {
		if at, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, "", session.ErrCursor
		}
	}
	var answer []string // each session is followed by its score
	err = try(ctx, func(ctx context.Context) (err error) {
		answer, after, err = s.client.ZScan(ctx, key, at, "", int64(limit)).Result()
		return err
	})
	if err != nil {
		return nil, "", err
	}
	for i := 0; i < len(answer); i += 2 {
		ids = append(ids, session.ID(answer[i]))
	}
	if after != 0 {
		next = strconv.FormatUint(after, 10)
	}
	return ids, next, nil
}

// Bury implements [session.Store].
func (s *Store) Bury(ctx context.Context, index session.Index, at time.Time, keep time.Duration) error {
	return try(ctx, func(ctx context.Context) error {
		return buryScript.Run(ctx, s.client, []string{s.buriedKey(index)}, at.UnixMilli(), milliseconds(keep)).Err()
	})
}

// Buried implements [session.Store].
func (s *Store) Buried(ctx context.Context, indexes ...session.Index) ([]time.Time, error) {
	answers := make([]*redis.StringCmd, len(indexes))
	err := try(ctx, func(ctx context.Context) error {
		return s.pipelined(ctx, func(p redis.Pipeliner) {
			for i, index := range indexes {
				answers[i] = p.Get(ctx, s.buriedKey(index))
			}
		})
	})
	if err != nil {
		return nil, err
	}
	times := make([]time.Time, len(indexes))
	for i, answer := range answers {
		times[i] = moment(answer)
	}
	return times, nil
}

func sessionIDs(members []string, err error) ([]session.ID, error) {
	ids := make([]session.ID, len(members))
	for i, member := range members {
		ids[i] = session.ID(member)
	}
	return ids, err
}
