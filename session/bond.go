package session

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// bondShards have a lock each.
const bondShards = 16

var bondSeed = maphash.MakeSeed()

// bonds are the requests under way that end with their session. look.go finds out when that is.
type bonds struct {
	manager *Manager
	shards  [bondShards]bondShard
	ticking atomic.Bool // a tick is to come

	mu      sync.Mutex
	looking bool            // rounds are under way, or about to begin
	told    map[ID]struct{} // sessions that may have changed
	ticked  bool            // it is time for those that are due
}

// bondShard has the youngest request of each session with requests under way.
type bondShard struct {
	mu    sync.Mutex
	first map[ID]*Bond
}

// Bond is one request under way, in the list of those of its session.
type Bond struct {
	shard      *bondShard
	session    *Session
	end        context.CancelCauseFunc
	due        time.Time // when its session is to be looked at, by the clock of the Manager
	out        bool      // of the list
	prev, next *Bond
	length     int // of the list, where this is the first
}

// Bind has end called within a second after the session has ended on any replica (RPL-12, BCL-28), with what
// [Manager.Open] says as the cause. A session that reaches a deadline ends within a second of it. The caller releases the
// bond when the request is over. The error is [ErrTooMany] (Options.MaxRequests).
func (m *Manager) Bind(s *Session, end context.CancelCauseFunc) (*Bond, error) {
	b := &Bond{shard: m.bonds.shard(s.ID), session: s, end: end, due: s.nextLook(m.now(), firstLook)}
	if !b.shard.add(b, m.opts.MaxRequests) {
		return nil, ErrTooMany
	}
	m.bonds.tickLater()
	return b, nil
}

// Release ends the bond; end may have been called, and is not called any more.
func (b *Bond) Release() { b.shard.remove(b) }

// Watch returns a channel that is readable when the session may have changed or ended, by [Manager.Extend] too. The
// reader calls Reopen. stop ends it.
func (m *Manager) Watch(id ID) (changed <-chan struct{}, stop func()) { return m.store.Watch(id) }

// Reopen is Open of the session as it is in the store.
func (m *Manager) Reopen(ctx context.Context, s *Session) (*Session, error) {
	return m.load(ctx, s.ticket)
}

func (b *bonds) shard(id ID) *bondShard {
	return &b.shards[maphash.String(bondSeed, string(id))%bondShards]
}

// add reports whether there was room for one more; limit 0 is none.
func (s *bondShard) add(x *Bond, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = map[ID]*Bond{}
	}
	x.length = 1
	if x.next = s.first[x.session.ID]; x.next != nil {
		if limit > 0 && x.next.length >= limit {
			return false
		}
		x.next.prev = x
		x.length = x.next.length + 1
	}
	s.first[x.session.ID] = x
	return true
}

func (s *bondShard) remove(x *Bond) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.out {
		return
	}
	x.out = true
	if x.next != nil {
		x.next.prev = x.prev
	}
	switch {
	case x.prev != nil:
		x.prev.next = x.next
		s.first[x.session.ID].length--
	case x.next != nil:
		x.next.length = x.length - 1
		s.first[x.session.ID] = x.next
	default:
		delete(s.first, x.session.ID)
	}
}

// end ends the requests of a session.
func (s *bondShard) end(id ID, why error) {
	s.mu.Lock()
	first := s.first[id]
	delete(s.first, id)
	for x := first; x != nil; x = x.next {
		x.out = true
	}
	s.mu.Unlock()
	for x := first; x != nil; x = x.next {
		x.end(why)
	}
}

// sessionOf is the session of the requests under way, or nil when there are none.
func (s *bondShard) sessionOf(id ID) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.first[id]; x != nil {
		return x.session
	}
	return nil
}

// collect returns the sessions with requests that are due by now, and whether there are any requests.
func (s *bondShard) collect(now time.Time) (due []ID, some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, x := range s.first {
		for ; x != nil; x = x.next {
			if !x.due.After(now) {
				due = append(due, id)
				break
			}
		}
	}
	return due, len(s.first) > 0
}

// postpone makes those requests of a session that were due at a time due at another.
func (s *bondShard) postpone(id ID, was, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := s.first[id]; x != nil; x = x.next {
		if !x.due.After(was) {
			x.due = due
		}
	}
}

// hasten makes the requests of a session due at once.
func (s *bondShard) hasten(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := s.first[id]; x != nil; x = x.next {
		x.due = time.Time{}
	}
}

// ids are the sessions with requests under way.
func (s *bondShard) ids() []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.first))
}
