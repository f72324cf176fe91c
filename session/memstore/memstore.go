// Package memstore keeps sessions in the memory of one process: for the demo, for development, for tests, and for
// deployments of one replica that may lose its sessions at a restart.
package memstore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// sweepEvery is how often, at most, what has run out is thrown away. It is invisible before that too.
const sweepEvery = time.Minute

// Store is a [session.Store]. It never fails.
type Store struct {
	mu      sync.Mutex
	records map[session.ID]entry[session.Record]
	seen    map[session.ID]entry[time.Time]
	dead    map[session.ID]entry[session.Reason]
	leases  map[session.ID]entry[string] // the owner; "" while it rests
	spent   map[string]entry[struct{}]
	indexes map[session.Index]map[session.ID]struct{}
	due     map[session.ID]time.Time
	notices session.Notices
	swept   time.Time
}

type entry[T any] struct {
	value T
	until time.Time
}

// New makes an empty Store.
func New() *Store {
	return &Store{
		records: map[session.ID]entry[session.Record]{},
		seen:    map[session.ID]entry[time.Time]{},
		dead:    map[session.ID]entry[session.Reason]{},
		leases:  map[session.ID]entry[string]{},
		spent:   map[string]entry[struct{}]{},
		indexes: map[session.Index]map[session.ID]struct{}{},
		due:     map[session.ID]time.Time{},
	}
}

// get returns what has not run out.
func get[K comparable, T any](m map[K]entry[T], key K) (T, bool) {
	e, ok := m[key]
	if !ok || !time.Now().Before(e.until) {
		var zero T
		return zero, false
	}
	return e.value, true
}

func put[K comparable, T any](m map[K]entry[T], key K, value T, keep time.Duration) {
	m[key] = entry[T]{value, time.Now().Add(keep)}
}

// lock locks the store, and sweeps it when that is due.
func (s *Store) lock() (unlock func()) {
	s.mu.Lock()
	now := time.Now()
	if now.Sub(s.swept) < sweepEvery {
		return s.mu.Unlock
	}
	s.swept = now
	for id, e := range s.records {
		if !now.Before(e.until) {
			delete(s.records, id)
			s.unindex(e.value)
		}
	}
	drop(s.seen, now)
	drop(s.dead, now)
	drop(s.leases, now)
	drop(s.spent, now)
	return s.mu.Unlock
}

func drop[K comparable, T any](m map[K]entry[T], now time.Time) {
	maps.DeleteFunc(m, func(_ K, e entry[T]) bool { return !now.Before(e.until) })
}

func (s *Store) unindex(rec session.Record) {
	for _, index := range rec.Indexes() {
		delete(s.indexes[index], rec.ID)
		if len(s.indexes[index]) == 0 {
			delete(s.indexes, index)
		}
	}
}

// Create implements [session.Store].
func (s *Store) Create(_ context.Context, rec session.Record, terms session.Terms) error {
	defer s.lock()()
	if old, ok := get(s.records, rec.ID); ok {
		if old.Version == rec.Version && bytes.Equal(old.Sealed, rec.Sealed) {
			return nil
		}
		return session.ErrConflict
	}
	if _, dead := get(s.dead, rec.ID); dead {
		return session.ErrConflict
	}
	for _, index := range rec.Indexes() {
		if s.indexes[index] == nil {
			s.indexes[index] = map[session.ID]struct{}{}
		}
		s.indexes[index][rec.ID] = struct{}{}
	}
	s.due[rec.ID] = terms.Due
	put(s.seen, rec.ID, rec.CreatedAt, terms.KeepActivity)
	put(s.records, rec.ID, rec, terms.Keep)
	return nil
}

// Load implements [session.Store].
func (s *Store) Load(_ context.Context, id session.ID) (session.Record, time.Time, error) {
	defer s.lock()()
	rec, ok := get(s.records, id)
	if !ok {
		reason, _ := get(s.dead, id)
		return session.Record{}, time.Time{}, &session.Gone{Reason: reason}
	}
	seen, _ := get(s.seen, id)
	return rec, seen, nil
}

// Update implements [session.Store].
func (s *Store) Update(_ context.Context, rec session.Record) error {
	defer s.lock()()
	old, ok := get(s.records, rec.ID)
	if !ok {
		return session.ErrNotFound
	}
	if old.Version == rec.Version && bytes.Equal(old.Sealed, rec.Sealed) {
		return nil
	}
	if old.Version+1 != rec.Version {
		return session.ErrConflict
	}
	old.Version, old.Sealed = rec.Version, rec.Sealed
	s.records[rec.ID] = entry[session.Record]{old, s.records[rec.ID].until}
	s.notices.Tell(rec.ID)
	return nil
}

// Touch implements [session.Store].
func (s *Store) Touch(_ context.Context, id session.ID, at time.Time, keep time.Duration) error {
	defer s.lock()()
	if _, ok := get(s.seen, id); ok {
		put(s.seen, id, at, keep)
	}
	return nil
}

// Delete implements [session.Store].
func (s *Store) Delete(_ context.Context, id session.ID, reason session.Reason) (session.Record, error) {
	defer s.lock()()
	rec, ok := get(s.records, id)
	if _, dead := get(s.dead, id); !dead {
		put(s.dead, id, reason, session.TombstoneLife)
	}
	delete(s.seen, id)
	delete(s.due, id)
	s.notices.Tell(id)
	if !ok {
		return session.Record{}, session.ErrNotFound
	}
	delete(s.records, id)
	s.unindex(rec)
	return rec, nil
}

// Acquire implements [session.Store].
func (s *Store) Acquire(_ context.Context, id session.ID, owner string, ttl time.Duration) (session.Hold, error) {
	defer s.lock()()
	if holder, ok := get(s.leases, id); ok && holder != owner {
		return session.Hold{Resting: holder == "", Left: time.Until(s.leases[id].until)}, nil
	}
	put(s.leases, id, owner, ttl)
	return session.Hold{Taken: true}, nil
}

// Renew implements [session.Store].
func (s *Store) Renew(_ context.Context, id session.ID, owner string, ttl time.Duration) error {
	defer s.lock()()
	if holder, ok := get(s.leases, id); !ok || holder != owner {
		return session.ErrNotFound
	}
	put(s.leases, id, owner, ttl)
	return nil
}

// Release implements [session.Store].
func (s *Store) Release(_ context.Context, id session.ID, owner string, pause time.Duration) error {
	defer s.lock()()
	if holder, ok := get(s.leases, id); !ok || holder != owner {
		return nil
	}
	put(s.leases, id, "", pause)
	s.notices.Tell(id)
	return nil
}

// Watch implements [session.Store].
func (s *Store) Watch(id session.ID) (changed <-chan struct{}, stop func()) {
	return s.notices.Watch(id)
}

// Consume implements [session.Store].
func (s *Store) Consume(_ context.Context, name string, keep time.Duration) error {
	defer s.lock()()
	if _, ok := get(s.spent, name); ok {
		return session.ErrSpent
	}
	put(s.spent, name, struct{}{}, keep)
	return nil
}

// Find implements [session.Store].
func (s *Store) Find(_ context.Context, index session.Index) ([]session.ID, error) {
	defer s.lock()()
	return slices.Collect(maps.Keys(s.indexes[index])), nil
}

// Due implements [session.Store].
func (s *Store) Due(_ context.Context, now time.Time, limit int) ([]session.ID, error) {
	defer s.lock()()
	var ids []session.ID
	for id, due := range s.due {
		if !due.After(now) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b session.ID) int { return s.due[a].Compare(s.due[b]) })
	return ids[:min(len(ids), limit)], nil
}

// Schedule implements [session.Store].
func (s *Store) Schedule(_ context.Context, id session.ID, due time.Time) error {
	defer s.lock()()
	if _, ok := s.due[id]; ok {
		s.due[id] = due
	}
	return nil
}

// Ping implements [session.Store].
func (s *Store) Ping(context.Context) error { return nil }
