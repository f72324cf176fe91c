package redisstore

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
)

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
		err := s.pipelined(ctx, func(p redis.Pipeliner) {
			fields = p.HMGet(ctx, s.key("rec", id), "v", "s", "m")
			activity = p.Get(ctx, s.key("act", id))
		})
		if err != nil || fields.Val()[0] != nil {
			return err
		}
		dead = s.client.Get(ctx, s.key("dead", id))
		return ignoreNil(dead.Err())
	})
	if err != nil {
		return session.Record{}, time.Time{}, err
	}
	if fields.Val()[0] == nil {
		return session.Record{}, time.Time{}, &session.Gone{Reason: session.Reason(dead.Val())}
	}
	return decode(id, fields.Val()), moment(activity), nil
}

// LoadAll implements [session.Store].
func (s *Store) LoadAll(ctx context.Context, ids []session.ID) ([]session.Found, error) {
	records := make([]*redis.SliceCmd, len(ids))
	activities := make([]*redis.StringCmd, len(ids))
	err := try(ctx, func(ctx context.Context) error {
		return s.pipelined(ctx, func(p redis.Pipeliner) {
			for i, id := range ids {
				records[i] = p.HMGet(ctx, s.key("rec", id), "v", "s", "m")
				activities[i] = p.Get(ctx, s.key("act", id))
			}
		})
	})
	if err != nil {
		return nil, err
	}
	var found []session.Found
	for i, id := range ids {
		if fields := records[i].Val(); fields[0] != nil {
			found = append(found, session.Found{Record: decode(id, fields), Seen: moment(activities[i])})
		}
	}
	return found, nil
}

// moment is a time in Unix milliseconds, zero if there is none.
func moment(answer *redis.StringCmd) time.Time {
	at, err := answer.Int64()
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(at).UTC()
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
