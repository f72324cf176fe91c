package session

import (
	"slices"
	"sync"
)

// Notices is the part of a [Feed] that happens in this process. The zero value is ready.
type Notices struct {
	mu       sync.Mutex
	watchers map[ID]map[chan struct{}]struct{}

	hearing   sync.Mutex // held while followers are told, one thing after the other
	followers []*Follower
}

// Follow is that of a [Feed].
func (n *Notices) Follow(f Follower) (stop func()) {
	n.hearing.Lock()
	defer n.hearing.Unlock()
	n.followers = append(n.followers, &f)
	return func() {
		n.hearing.Lock()
		defer n.hearing.Unlock()
		n.followers = slices.DeleteFunc(n.followers, func(each *Follower) bool { return each == &f })
	}
}

// Changed tells the followers, and nobody else, of a record.
func (n *Notices) Changed(id ID) {
	n.hearing.Lock()
	defer n.hearing.Unlock()
	for _, f := range n.followers {
		(*f).Changed(id)
	}
}

// Missed tells everybody, watchers too, that something may have been missed.
func (n *Notices) Missed() {
	n.tellAll()
	n.hearing.Lock()
	defer n.hearing.Unlock()
	for _, f := range n.followers {
		(*f).Missed()
	}
}

// Watch is that of a [Feed].
func (n *Notices) Watch(id ID) (changed <-chan struct{}, stop func()) {
	notice := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watchers == nil {
		n.watchers = map[ID]map[chan struct{}]struct{}{}
	}
	if n.watchers[id] == nil {
		n.watchers[id] = map[chan struct{}]struct{}{}
	}
	n.watchers[id][notice] = struct{}{}
	return notice, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.watchers[id], notice)
		if len(n.watchers[id]) == 0 {
			delete(n.watchers, id)
		}
	}
}

// Tell notifies the watchers of a session.
func (n *Notices) Tell(id ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	tell(n.watchers[id])
}

// tellAll notifies everybody, after notices may have been missed.
func (n *Notices) tellAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, watchers := range n.watchers {
		tell(watchers)
	}
}

func tell(watchers map[chan struct{}]struct{}) {
	for notice := range watchers {
		select {
		case notice <- struct{}{}:
		default: // one is waiting already
		}
	}
}
