package memstore

import (
	"context"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// Acquire implements [session.Store].
func (s *Store) Acquire(_ context.Context, id session.ID, owner string, ttl time.Duration) (session.Hold, error) {
	shard := s.session(id)
	defer shard.Unlock()
	st := shard.states[id]
	if holder, ok := st.lease.get(); ok && holder != owner {
		return session.Hold{Resting: holder == "", Left: time.Until(st.lease.until)}, nil
	}
	last, abandoned := st.work.get()
	st.lease, st.work = keep(owner, ttl), keep(owner, ttl+session.AbandonedFor)
	shard.states[id] = st
	return session.Hold{Taken: true, Abandoned: abandoned && last != owner}, nil
}

// Renew implements [session.Store].
func (s *Store) Renew(_ context.Context, id session.ID, owner string, ttl time.Duration) error {
	shard := s.session(id)
	defer shard.Unlock()
	st := shard.states[id]
	if holder, ok := st.lease.get(); !ok || holder != owner {
		return session.ErrNotFound
	}
	st.lease, st.work = keep(owner, ttl), keep(owner, ttl+session.AbandonedFor)
	shard.states[id] = st
	return nil
}

// Release implements [session.Store].
func (s *Store) Release(_ context.Context, id session.ID, owner string, pause time.Duration) error {
	shard := s.session(id)
	defer shard.Unlock()
	st := shard.states[id]
	if holder, ok := st.lease.get(); !ok || holder != owner {
		return nil
	}
	st.lease, st.work = keep("", pause), timed[string]{}
	shard.states[id] = st
	s.notices.Tell(id)
	return nil
}

// Watch implements [session.Store].
func (s *Store) Watch(id session.ID) (changed <-chan struct{}, stop func()) {
	return s.notices.Watch(id)
}

// Tell implements [session.Store].
func (s *Store) Tell(_ context.Context, id session.ID) error {
	s.notices.Tell(id)
	return nil
}

// Follow implements [session.Store].
func (s *Store) Follow(f session.Follower) (stop func()) { return s.notices.Follow(f) }

// HeardAt implements [session.Store]: followers hear of a change before its lock is open.
func (s *Store) HeardAt() time.Time { return time.Now() }
