package session

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	tickEvery = 250 * time.Millisecond // while there are requests under way
	// firstLook is how long a request is under way when its session is looked at, which may have ended after it was read
	// and before it was bound. Most requests are over by then, and cost nothing here.
	firstLook   = 250 * time.Millisecond
	looksEvery  = time.Minute // afterwards, whether the feed says anything or not (PX-21)
	looksAtOnce = 16
)

// look is called when something has happened to a session. It does not wait for the store, which may be the caller.
func (b *bonds) look(id ID) {
	if b.shard(id).sessionOf(id) != nil {
		b.tell(id)
	}
}

// lookAll is called when something may have happened to any session.
func (b *bonds) lookAll() {
	for i := range b.shards {
		b.tell(b.shards[i].ids()...)
	}
}

func (b *bonds) tell(ids ...ID) {
	if len(ids) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told == nil {
		b.told = map[ID]struct{}{}
	}
	for _, id := range ids {
		b.told[id] = struct{}{}
	}
	b.begin()
}

// tickLater sees to it that a tick comes.
func (b *bonds) tickLater() {
	if !b.ticking.Load() && b.ticking.CompareAndSwap(false, true) {
		time.AfterFunc(tickEvery, b.tick)
	}
}

func (b *bonds) tick() {
	b.ticking.Store(false) // before a round looks for requests: whoever comes too late for it sees to the next tick
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ticked = true
	b.begin()
}

// begin begins the rounds unless they are going on. The caller has the lock.
func (b *bonds) begin() {
	if !b.looking {
		b.looking = b.manager.start(b.rounds)
	}
}

// start runs f apart from its caller, for Close to wait for, and reports whether it does: after Close it does not.
func (m *Manager) start(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.work.Go(f)
	}
	return !m.closed
}

func (m *Manager) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// rounds go on while there is something to do, until Close. There is one at a time, so that a store that hangs has few
// callers.
func (b *bonds) rounds() {
	for {
		b.mu.Lock()
		told, ticked := b.told, b.ticked
		b.told, b.ticked = nil, false
		b.looking = (told != nil || ticked) && !b.manager.isClosed()
		looking := b.looking
		b.mu.Unlock()
		if !looking {
			return
		}
		b.round(told, ticked)
	}
}

// round looks at the sessions that may have changed, and, if it is time, at those that are due.
func (b *bonds) round(told map[ID]struct{}, ticked bool) {
	var group errgroup.Group
	group.SetLimit(looksAtOnce)
	settle := func(id ID) {
		group.Go(func() error {
			b.settle(id)
			return nil
		})
	}
	for id := range told {
		settle(id)
	}
	if ticked {
		for i := range b.shards {
			due, some := b.shards[i].collect(b.manager.now())
			for _, id := range due {
				settle(id)
			}
			if some {
				b.tickLater()
			}
		}
	}
	_ = group.Wait()
}

// settle ends the requests of a session that is over. A failure of the store ends nothing: the next tick tries again.
// What Open has in memory will do, since it forgets a session before we hear that something has happened to it.
func (b *bonds) settle(id ID) {
	shard, now := b.shard(id), b.manager.now()
	bound := shard.sessionOf(id)
	if bound == nil {
		return // the requests are over
	}
	s, err := b.manager.Open(context.Background(), bound.ticket)
	if _, over := Anonymous(err); over {
		shard.end(id, err)
	} else if err != nil {
		shard.hasten(id)
	} else {
		shard.postpone(id, now, s.nextLook(now, looksEvery))
	}
}

// nextLook is when to look at the session again: some time from now, or at its deadline.
func (s *Session) nextLook(now time.Time, after time.Duration) time.Time {
	if next := now.Add(after); next.Before(s.due()) {
		return next
	}
	return s.due()
}
