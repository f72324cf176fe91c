package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strconv"
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

	stopListening context.CancelFunc
	listening     sync.WaitGroup
}

// meta is the part of a record that is in clear.
type meta struct {
	Provider  string `json:"provider"`
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	SID       string `json:"sid,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	CreatedAt int64  `json:"created_at"` // Unix milliseconds
	ExpiresAt int64  `json:"expires_at"`
}

func (s *Store) key(kind string, id session.ID) string {
	return s.prefix + kind + ":{" + string(id) + "}"
}

func (s *Store) indexKey(index session.Index) string { return s.prefix + string(index) }
func (s *Store) dueKey() string                      { return s.prefix + "due" }
func (s *Store) channel() string                     { return s.prefix + "changed" }

func dueAt(id session.ID, due time.Time) redis.Z {
	return redis.Z{Score: float64(due.UnixMilli()), Member: string(id)}
}

// milliseconds of a time to live, which Redis wants to be positive.
func milliseconds(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// Create implements [session.Store].
func (s *Store) Create(ctx context.Context, rec session.Record, terms session.Terms) error {
	text, err := json.Marshal(meta{
		rec.Provider, rec.Issuer, rec.Subject, rec.SID, rec.UserAgent,
		rec.CreatedAt.UnixMilli(), rec.ExpiresAt.UnixMilli(),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, budget) // for both steps
	defer cancel()
	err = try(ctx, func(ctx context.Context) error {
		for _, index := range rec.Indexes() {
			keys := []string{s.indexKey(index)}
			if err := indexScript.Run(ctx, s.client, keys, string(rec.ID), milliseconds(terms.Keep)).Err(); err != nil {
				return err
			}
		}
		return s.client.ZAdd(ctx, s.dueKey(), dueAt(rec.ID, terms.Due)).Err()
	})
	if err != nil {
		return err
	}
	var created int
	err = try(ctx, func(ctx context.Context) (err error) {
		created, err = createScript.Run(ctx, s.client,
			[]string{s.key("rec", rec.ID), s.key("act", rec.ID), s.key("dead", rec.ID)},
			strconv.FormatUint(rec.Version, 10), rec.Sealed, text, milliseconds(terms.Keep),
			rec.CreatedAt.UnixMilli(), milliseconds(terms.KeepActivity)).Int()
		return err
	})
	if err == nil && created == 0 {
		return session.ErrConflict
	}
	return err
}

// Load implements [session.Store].
func (s *Store) Load(ctx context.Context, id session.ID) (rec session.Record, seen time.Time, err error) {
	var fields *redis.SliceCmd
	var activity, dead *redis.StringCmd
	err = try(ctx, func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			fields = p.HMGet(ctx, s.key("rec", id), "v", "s", "m")
			activity = p.Get(ctx, s.key("act", id))
			dead = p.Get(ctx, s.key("dead", id))
			return nil
		})
		if ignoreNil(err) == nil { // it is that of the first of the three to fail, or to be missing
			return errors.Join(fields.Err(), ignoreNil(activity.Err()), ignoreNil(dead.Err()))
		}
		return err
	})
	if err != nil {
		return session.Record{}, time.Time{}, err
	}
	if fields.Val()[0] == nil {
		return session.Record{}, time.Time{}, &session.Gone{Reason: session.Reason(dead.Val())}
	}
	if at, err := strconv.ParseInt(activity.Val(), 10, 64); err == nil {
		seen = time.UnixMilli(at).UTC()
	}
	return decode(id, fields.Val()), seen, nil
}

// Update implements [session.Store].
func (s *Store) Update(ctx context.Context, rec session.Record) error {
	var result int
	err := try(ctx, func(ctx context.Context) (err error) {
		result, err = updateScript.Run(ctx, s.client, []string{s.key("rec", rec.ID)},
			strconv.FormatUint(rec.Version-1, 10), strconv.FormatUint(rec.Version, 10), rec.Sealed,
			s.channel(), string(rec.ID)).Int()
		return err
	})
	switch {
	case err != nil:
		return err
	case result < 0:
		return session.ErrNotFound
	case result == 0:
		return session.ErrConflict
	default:
		return nil
	}
}

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, id session.ID, at time.Time, keep time.Duration) error {
	return try(ctx, func(ctx context.Context) error {
		err := s.client.SetXX(ctx, s.key("act", id), at.UnixMilli(), keep).Err()
		return ignoreNil(err)
	})
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, id session.ID, reason session.Reason) (session.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	var fields []any
	err := try(ctx, func(ctx context.Context) (err error) {
		fields, err = deleteScript.Run(ctx, s.client,
			[]string{s.key("rec", id), s.key("act", id), s.key("dead", id)},
			string(reason), session.TombstoneLife.Milliseconds(), s.channel(), string(id)).Slice()
		return err
	})
	if err != nil {
		return session.Record{}, err
	}
	found := len(fields) == 3 && fields[0] != nil
	var rec session.Record
	if found {
		rec = decode(id, fields)
	}
	// The session is gone by now. These entries are hints; one that stays behind is removed by the sweep or runs out.
	_, _ = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, s.dueKey(), string(id))
		if found {
			for _, index := range rec.Indexes() {
				p.ZRem(ctx, s.indexKey(index), string(id))
			}
		}
		return nil
	})
	if !found {
		return session.Record{}, session.ErrNotFound
	}
	return rec, nil
}

// Acquire implements [session.Store].
func (s *Store) Acquire(ctx context.Context, id session.ID, owner string, ttl time.Duration) (session.Hold, error) {
	var answer []int64
	err := try(ctx, func(ctx context.Context) (err error) {
		answer, err = acquireScript.Run(ctx, s.client, []string{s.key("lease", id)}, owner, milliseconds(ttl)).Int64Slice()
		return err
	})
	if err != nil {
		return session.Hold{}, err
	}
	left := time.Duration(answer[1]) * time.Millisecond
	return session.Hold{Taken: answer[0] == 1, Resting: answer[0] == 2, Left: left}, nil
}

// Renew implements [session.Store].
func (s *Store) Renew(ctx context.Context, id session.ID, owner string, ttl time.Duration) error {
	var renewed int
	err := try(ctx, func(ctx context.Context) (err error) {
		renewed, err = renewScript.Run(ctx, s.client, []string{s.key("lease", id)}, owner, milliseconds(ttl)).Int()
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
		return releaseScript.Run(ctx, s.client, []string{s.key("lease", id)},
			owner, pause.Milliseconds(), s.channel(), string(id)).Err()
	})
}

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

// Find implements [session.Store].
func (s *Store) Find(ctx context.Context, index session.Index) (ids []session.ID, err error) {
	err = try(ctx, func(ctx context.Context) error {
		ids, err = sessionIDs(s.client.ZRange(ctx, s.indexKey(index), 0, -1).Result())
		return err
	})
	return ids, err
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

func sessionIDs(members []string, err error) ([]session.ID, error) {
	ids := make([]session.ID, len(members))
	for i, member := range members {
		ids[i] = session.ID(member)
	}
	return ids, err
}

// decode makes a record of the fields v, s and m of its hash. What is malformed there is left empty: without its version
// a record does not open, and without its times the sweep ends it. An error instead would stop the sweep.
func decode(id session.ID, fields []any) session.Record {
	text := make([]string, len(fields))
	for i, field := range fields {
		text[i], _ = field.(string)
	}
	version, _ := strconv.ParseUint(text[0], 10, 64)
	var m meta
	_ = json.Unmarshal([]byte(text[2]), &m)
	return session.Record{
		ID: id, Version: version, Sealed: []byte(text[1]),
		Provider: m.Provider, Issuer: m.Issuer, Subject: m.Subject, SID: m.SID, UserAgent: m.UserAgent,
		CreatedAt: time.UnixMilli(m.CreatedAt).UTC(), ExpiresAt: time.UnixMilli(m.ExpiresAt).UTC(),
	}
}
