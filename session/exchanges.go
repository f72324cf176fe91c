package session

import (
	"slices"
	"sync"
	"time"
)

// maxExchanges bounds what a replica keeps of all sessions together. A token takes a kilobyte or two.
const maxExchanges = 50_000

// exchanges are the tokens by exchange of this replica's sessions, and the audiences for which none is to be asked at the
// moment, by exchange or by the refresh token.
type exchanges struct {
	mu    sync.Mutex
	of    map[ID][]*exchange // one for each audience
	count int
}

// rest notes why a token for an audience is not to be asked for until a time.
func (e *exchanges) rest(s *Session, a Audience, why error, now, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(e.find(s.ID, a))
	e.add(&exchange{audience: a, session: s, err: why, rests: until}, now)
}

// resting returns why a token for an audience is not to be asked for now, or nil.
func (e *exchanges) resting(id ID, a Audience, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.find(id, a); x != nil && now.Before(x.rests) {
		return x.err
	}
	return nil
}

// ticketOf returns the ticket of a session that is known here.
func (e *exchanges) ticketOf(id ID) (Ticket, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if list := e.of[id]; len(list) > 0 {
		return list[0].session.ticket, true
	}
	return Ticket{}, false
}

// drop forgets a session.
func (e *exchanges) drop(id ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.of[id] {
		e.remove(x)
	}
}

// clear forgets all sessions, of which any may have ended.
func (e *exchanges) clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.of)
	e.count = 0
}

// prune forgets what is of no use any more.
func (e *exchanges) prune(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, list := range e.of {
		for _, x := range list {
			if x.over(now) {
				e.remove(x)
			}
		}
	}
}

// over reports whether an exchange is of no use any more.
func (x *exchange) over(now time.Time) bool {
	return x.flight == nil && !now.Before(x.token.ExpiresAt) && !now.Before(x.rests)
}

// The following want the lock to be held.

// find returns nil where there is none.
func (e *exchanges) find(id ID, a Audience) *exchange {
	for _, x := range e.of[id] {
		if x.audience == a {
			return x
		}
	}
	return nil
}

func (e *exchanges) add(x *exchange, now time.Time) {
	if e.count >= maxExchanges {
		e.evict(now)
	}
	id := x.session.ID
	e.of[id] = append(e.of[id], x)
	e.count++
}

// remove does nothing with what is not there, or is nil. The list that it was in stays as it was, for whoever goes
// through it.
func (e *exchanges) remove(x *exchange) {
	if x == nil {
		return
	}
	id := x.session.ID
	without := slices.DeleteFunc(slices.Clone(e.of[id]), func(other *exchange) bool { return other == x })
	e.count -= len(e.of[id]) - len(without)
	if e.of[id] = without; len(without) == 0 {
		delete(e.of, id)
	}
}

// evict makes room: of a few sessions, which a map yields in no order, it takes one that is of no use, or else any.
func (e *exchanges) evict(now time.Time) {
	tried := 0
	for _, list := range e.of {
		if tried++; tried == 8 || tried == len(e.of) || list[0].over(now) {
			e.remove(list[0])
			return
		}
	}
}
