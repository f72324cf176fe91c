package memstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// Create implements [session.Store].
func (s *Store) Create(_ context.Context, rec session.Record, terms session.Terms) error {
	shard := s.session(rec.ID)
	defer shard.Unlock()
	st := shard.states[rec.ID]
	if old, ok := st.record.get(); ok {
		if old.Version == rec.Version && bytes.Equal(old.Sealed, rec.Sealed) {
			return nil
		}
		return session.ErrConflict
	}
	if _, dead := st.dead.get(); dead {
		return session.ErrConflict
	}
	s.forget(&st) // what has run out
	if s.count.Add(1) > s.room {
		s.count.Add(-1)
		return fmt.Errorf("memstore: there are %d sessions, and no room for more; use Redis", s.room)
	}
	st.record, st.due = keep(rec, terms.Keep), terms.Due
	st.seen = keep(rec.CreatedAt, terms.KeepActivity)
	for _, index := range rec.Indexes() {
		s.index(index, rec.ID, st.record.until)
	}
	shard.states[rec.ID] = st
	return nil
}

// Load implements [session.Store].
func (s *Store) Load(_ context.Context, id session.ID) (session.Record, time.Time, error) {
	shard := s.session(id)
	defer shard.Unlock()
	st := shard.states[id]
	rec, ok := st.record.get()
	if !ok {
		reason, _ := st.dead.get()
		return session.Record{}, time.Time{}, &session.Gone{Reason: reason}
	}
	seen, _ := st.seen.get()
	return rec, seen, nil
}

// LoadAll implements [session.Store].
func (s *Store) LoadAll(ctx context.Context, ids []session.ID) ([]session.Found, error) {
	var found []session.Found
	for _, id := range ids {
		if rec, seen, err := s.Load(ctx, id); err == nil {
			found = append(found, session.Found{Record: rec, Seen: seen})
		}
	}
	return found, nil
}

// Update implements [session.Store].
func (s *Store) Update(_ context.Context, rec session.Record) error {
	shard := s.session(rec.ID)
	defer shard.Unlock()
	st := shard.states[rec.ID]
	old, ok := st.record.get()
	if !ok {
		return session.ErrNotFound
	}
	if old.Version == rec.Version && bytes.Equal(old.Sealed, rec.Sealed) {
		return nil
	}
	if old.Version+1 != rec.Version {
		return session.ErrConflict
	}
	st.record.value.Version, st.record.value.Sealed = rec.Version, rec.Sealed
	shard.states[rec.ID] = st
	s.notices.Tell(rec.ID)
	s.notices.Changed(rec.ID)
	return nil
}

// Touch implements [session.Store].
func (s *Store) Touch(_ context.Context, id session.ID, at time.Time, ttl time.Duration) error {
	shard := s.session(id)
	defer shard.Unlock()
	st := shard.states[id]
	if _, ok := st.seen.get(); ok {
		st.seen = keep(at, ttl)
		shard.states[id] = st
	}
	return nil
}

// Delete implements [session.Store].
func (s *Store) Delete(_ context.Context, id session.ID, reason session.Reason) (session.Record, error) {
	shard := s.session(id)
	defer shard.Unlock()
	st := shard.states[id]
	rec, ok := st.record.get()
	s.forget(&st)
	st.seen = timed[time.Time]{}
	if _, dead := st.dead.get(); !dead {
		st.dead = keep(reason, session.TombstoneLife)
	}
	shard.states[id] = st
	s.notices.Tell(id)
	s.notices.Changed(id)
	if !ok {
		return session.Record{}, session.ErrNotFound
	}
	return rec, nil
}

// Due implements [session.Store].
func (s *Store) Due(_ context.Context, now time.Time, limit int) ([]session.ID, error) {
	due := map[session.ID]time.Time{}
	for i := range shards {
		shard := s.lockSessions(i)
		for id, st := range shard.states {
			if !st.due.IsZero() && !st.due.After(now) {
				due[id] = st.due
			}
		}
		shard.Unlock()
	}
	ids := slices.SortedFunc(maps.Keys(due), func(a, b session.ID) int { return due[a].Compare(due[b]) })
	return ids[:min(len(ids), limit)], nil
}

// Schedule implements [session.Store].
func (s *Store) Schedule(_ context.Context, id session.ID, due time.Time) error {
	shard := s.session(id)
	defer shard.Unlock()
	if st := shard.states[id]; !st.due.IsZero() {
		st.due = due
		shard.states[id] = st
	}
	return nil
}
