package memstore

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// index enters a session under an index.
func (s *Store) index(index session.Index, id session.ID, until time.Time) {
	shard := s.name(string(index))
	defer shard.Unlock()
	if shard.found[index] == nil {
		shard.found[index] = map[session.ID]time.Time{}
	}
	shard.found[index][id] = until
}

// Find implements [session.Store].
func (s *Store) Find(_ context.Context, index session.Index) ([]session.ID, error) {
	shard := s.name(string(index))
	defer shard.Unlock()
	var ids []session.ID
	now := time.Now()
	for id, until := range shard.found[index] {
		if now.Before(until) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Scan implements [session.Store]. An index is one part, and all sessions are as many as there are shards; each is gone
// through in the order of ids. The cursor is the part and the last id there.
func (s *Store) Scan(ctx context.Context, index session.Index, cursor string, limit int) (ids []session.ID, next string, err error) {
	parts, part := 1, func(int) []session.ID {
		ids, _ := s.Find(ctx, index) // never fails
		return ids
	}
	if index == session.AllSessions {
		parts, part = shards, s.inShard
	}
	at, after, err := parseCursor(cursor)
	if err != nil || at >= parts {
		return nil, "", session.ErrCursor
	}
	for ; at < parts; at++ {
		rest := slices.DeleteFunc(part(at), func(id session.ID) bool { return id <= after })
		slices.Sort(rest)
		if room := limit - len(ids); len(rest) > room {
			if room > 0 {
				after = rest[room-1]
			}
			return append(ids, rest[:room]...), strconv.Itoa(at) + "." + string(after), nil
		}
		ids, after = append(ids, rest...), ""
	}
	return ids, "", nil
}

func parseCursor(cursor string) (at int, after session.ID, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	number, id, ok := strings.Cut(cursor, ".")
	at, err = strconv.Atoi(number)
	if !ok || err != nil || at < 0 {
		return 0, "", session.ErrCursor
	}
	return at, session.ID(id), nil
}

func (s *Store) inShard(i int) []session.ID {
	shard := s.lockSessions(i)
	defer shard.Unlock()
	var ids []session.ID
	for id, st := range shard.states {
		if _, ok := st.record.get(); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Bury implements [session.Store].
func (s *Store) Bury(_ context.Context, index session.Index, at time.Time, ttl time.Duration) error {
	shard := s.name(string(index))
	defer shard.Unlock()
	if old, ok := shard.buried[index].get(); ok && old.After(at) {
		at = old
	}
	shard.buried[index] = keep(at, ttl)
	return nil
}

// Buried implements [session.Store].
func (s *Store) Buried(_ context.Context, indexes ...session.Index) ([]time.Time, error) {
	times := make([]time.Time, len(indexes))
	for i, index := range indexes {
		shard := s.name(string(index))
		times[i], _ = shard.buried[index].get()
		shard.Unlock()
	}
	return times, nil
}
