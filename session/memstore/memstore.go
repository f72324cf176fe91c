// Package memstore keeps sessions in the memory of one process: for the demo, for development, for tests, and for
// deployments of one replica that may lose its sessions at a restart.
package memstore

import (
	"context"
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// MaxSessions is how many sessions a Store keeps, at most.
const MaxSessions = 100_000

const (
	shards     = 64
	sweepEvery = time.Minute // in each shard, at most: what has run out is thrown away. It is invisible before that too.
)

// Store is a [session.Store]. It fails only when it is full.
//
// It is in shards with a lock each: those of sessions, by id, and those of names, which are indexes and whatever is used
// once. Who has locked a session may lock a name, and not the other way round.
type Store struct {
	seed     maphash.Seed
	sessions [shards]sessionShard
	names    [shards]nameShard
	room     int64        // for so many records
	count    atomic.Int64 // of them
	notices  session.Notices
}

type sessionShard struct {
	sync.Mutex
	states map[session.ID]state
	swept  time.Time
}

// state is what there is about one session, each part for a time.
type state struct {
	record timed[session.Record]
	due    time.Time // while there is a record
	seen   timed[time.Time]
	dead   timed[session.Reason]
	lease  timed[string] // the owner; "" while it rests
	work   timed[string] // the last owner, until it has released the lease
}

type nameShard struct {
	sync.Mutex
	found  map[session.Index]map[session.ID]time.Time // until when
	buried map[session.Index]timed[time.Time]
	spent  map[string]timed[struct{}]
	swept  time.Time
}

// timed is a value until it runs out. The zero value has run out.
type timed[T any] struct {
	value T
	until time.Time
}

func keep[T any](value T, ttl time.Duration) timed[T] { return timed[T]{value, time.Now().Add(ttl)} }

func (t timed[T]) get() (value T, ok bool) {
	if t.over(time.Now()) {
		return value, false
	}
	return t.value, true
}

func (t timed[T]) over(now time.Time) bool { return !now.Before(t.until) }

// New makes an empty Store.
func New() *Store {
	s := &Store{seed: maphash.MakeSeed(), room: MaxSessions}
	for i := range shards {
		s.sessions[i].states = map[session.ID]state{}
		s.names[i].found = map[session.Index]map[session.ID]time.Time{}
		s.names[i].buried = map[session.Index]timed[time.Time]{}
		s.names[i].spent = map[string]timed[struct{}]{}
	}
	return s
}

func (s *Store) shardOf(key string) int { return int(maphash.String(s.seed, key) % shards) }

// session returns the shard of a session, locked.
func (s *Store) session(id session.ID) *sessionShard { return s.lockSessions(s.shardOf(string(id))) }

func (s *Store) lockSessions(i int) *sessionShard {
	shard := &s.sessions[i]
	shard.Lock()
	now := time.Now()
	if now.Sub(shard.swept) < sweepEvery {
		return shard
	}
	shard.swept = now
	for id, st := range shard.states {
		if st.record.over(now) {
			s.forget(&st)
			shard.states[id] = st
			if st.seen.over(now) && st.dead.over(now) && st.lease.over(now) && st.work.over(now) {
				delete(shard.states, id)
			}
		}
	}
	return shard
}

// forget removes the record, if there is one, and what finds it.
func (s *Store) forget(st *state) {
	rec := st.record.value
	if rec.ID == "" {
		return
	}
	st.record, st.due = timed[session.Record]{}, time.Time{}
	s.count.Add(-1)
	for _, index := range rec.Indexes() {
		shard := s.name(string(index))
		delete(shard.found[index], rec.ID)
		if len(shard.found[index]) == 0 {
			delete(shard.found, index)
		}
		shard.Unlock()
	}
}

// name returns the shard of a name, locked.
func (s *Store) name(name string) *nameShard {
	shard := &s.names[s.shardOf(name)]
	shard.Lock()
	if now := time.Now(); now.Sub(shard.swept) >= sweepEvery {
		shard.swept = now
		sweep(shard.buried, now)
		sweep(shard.spent, now)
	}
	return shard
}

func sweep[K comparable, T any](m map[K]timed[T], now time.Time) {
	maps.DeleteFunc(m, func(_ K, t timed[T]) bool { return t.over(now) })
}

// Consume implements [session.Store].
func (s *Store) Consume(_ context.Context, name string, ttl time.Duration) error {
	shard := s.name(name)
	defer shard.Unlock()
	if _, ok := shard.spent[name].get(); ok {
		return session.ErrSpent
	}
	shard.spent[name] = keep(struct{}{}, ttl)
	return nil
}

// Consumed implements [session.Store].
func (s *Store) Consumed(_ context.Context, name string) (bool, error) {
	shard := s.name(name)
	defer shard.Unlock()
	_, ok := shard.spent[name].get()
	return ok, nil
}

// Ping implements [session.Store].
func (s *Store) Ping(context.Context) error { return nil }
