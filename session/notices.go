package session

import "sync"

// Notices is the part of [Store.Watch] that happens in this process. The zero value is ready.
type Notices struct {
	mu       sync.Mutex
	watchers map[ID]map[chan struct{}]struct{}
}

// Watch is that of a [Store].
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

// TellAll notifies everybody, after notices may have been missed.
func (n *Notices) TellAll() {
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
