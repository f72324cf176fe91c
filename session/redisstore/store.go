package redisstore

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
)

// Store is a [session.Store].
type Store struct {
	client  redis.UniversalClient
	prefix  string
	notices session.Notices
	feeds   feeds

	stopListening context.CancelFunc
	listening     sync.WaitGroup
}

func (s *Store) key(kind string, id session.ID) string {
	return s.prefix + kind + ":{" + string(id) + "}"
}

func (s *Store) indexKey(index session.Index) string  { return s.prefix + string(index) }
func (s *Store) buriedKey(index session.Index) string { return s.prefix + "gone:" + string(index) }
func (s *Store) dueKey() string                       { return s.prefix + "due" }
func (s *Store) channel() string                      { return s.prefix + "changed" }

func dueAt(id session.ID, due time.Time) redis.Z {
	return redis.Z{Score: float64(due.UnixMilli()), Member: string(id)}
}

// milliseconds of a time to live, which Redis wants to be positive.
func milliseconds(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// Consume implements [session.Store].
func (s *Store) Consume(ctx context.Context, name string, keep time.Duration) error {
	mark := rand.Text()
	var first int
	err := try(ctx, func(ctx context.Context) (err error) {
		first, err = consumeScript.Run(ctx, s.client, []string{s.prefix + name}, mark, milliseconds(keep)).Int()
		return err
	})
	if err == nil && first == 0 {
		return session.ErrSpent
	}
	return err
}

// Consumed implements [session.Store].
func (s *Store) Consumed(ctx context.Context, name string) (consumed bool, err error) {
	err = try(ctx, func(ctx context.Context) error {
		err := s.client.Get(ctx, s.prefix+name).Err()
		consumed = err == nil
		return ignoreNil(err)
	})
	return consumed, err
}

// Due implements [session.Store].
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (ids []session.ID, err error) {
	err = try(ctx, func(ctx context.Context) error {
		ids, err = sessionIDs(s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: s.dueKey(), ByScore: true, Start: "-inf", Stop: now.UnixMilli(), Count: int64(limit),
		}).Result())
		return err
	})
	return ids, err
}

// Schedule implements [session.Store].
func (s *Store) Schedule(ctx context.Context, id session.ID, due time.Time) error {
	return try(ctx, func(ctx context.Context) error {
		return s.client.ZAddXX(ctx, s.dueKey(), dueAt(id, due)).Err()
	})
}

// Ping implements [session.Store]. It looks for a key that does not exist, since a node of a Cluster answers PING even
// when it serves no keys; for another one at each attempt, so that a Cluster with one dead node among others is there.
func (s *Store) Ping(ctx context.Context) error {
	return try(ctx, func(ctx context.Context) error {
		return ignoreNil(s.client.Get(ctx, s.prefix+"ping:"+rand.Text()).Err())
	})
}

// pipelined sends what f queues in one round trip; a Cluster needs one for each node, at the same time. The error is the
// first that is more than a missing key.
func (s *Store) pipelined(ctx context.Context, f func(redis.Pipeliner)) error {
	commands, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		f(p)
		return nil
	})
	if ignoreNil(err) != nil {
		return err
	}
	for _, command := range commands { // err is that of the first command that failed, or whose key is missing
		if err := ignoreNil(command.Err()); err != nil {
			return err
		}
	}
	return nil
}
