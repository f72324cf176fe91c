package session

import (
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"
)

// cachedSession is a session under a key in a shard of its own.
func cachedSession(shard byte) (digest, *Session) {
	ticket := NewTicket()
	key := ticket.digest()
	key[0] = shard
	return key, &Session{ID: ID(base64.RawURLEncoding.EncodeToString(key[:])), ticket: ticket}
}

// TestCacheLateFill: a load that was begun before something was invalidated does not get in after it (SES-06, BCL-28).
func TestCacheLateFill(t *testing.T) {
	key, s := cachedSession(1)
	_, other := cachedSession(1)
	_, elsewhere := cachedSession(2)
	for name, test := range map[string]struct {
		meanwhile func(c *cache)
		kept      bool
	}{
		"nothing":                    {func(*cache) {}, true},
		"it":                         {func(c *cache) { c.drop(s.ID) }, false},
		"its neighbour":              {func(c *cache) { c.drop(other.ID) }, false}, // one generation for both
		"one elsewhere":              {func(c *cache) { c.drop(elsewhere.ID) }, true},
		"everything":                 {func(c *cache) { c.clear() }, false},
		"what is no session":         {func(c *cache) { c.drop("x") }, true},
		"everything, and it is over": {func(c *cache) { c.close() }, false},
	} {
		c, now := newCache(100), time.Now()
		fill := c.begin(key, now, nil)
		test.meanwhile(c)
		fill(s, digest{})
		if got := c.get(key, now, nil); (got == s) != test.kept {
			t.Errorf("%s was invalidated: kept %v, want %v", name, got == s, test.kept)
		}
	}
}

// TestCacheGet: what is there is served for two seconds since its load was begun, under the keys of that time.
func TestCacheGet(t *testing.T) {
	key, s := cachedSession(1)
	c, now := newCache(100), time.Now()
	keys, others := &[]ringKey{}, &[]ringKey{}
	c.begin(key, now, keys)(s, digest{})
	if c.get(key, now.Add(maxStale-1), keys) != s {
		t.Error("it is not served")
	}
	if c.get(key, now.Add(maxStale), keys) != nil {
		t.Error("it is served after two seconds")
	}
	if c.get(key, now, others) != nil {
		t.Error("it is served under other keys")
	}

	// An older load that comes later does not take its place.
	_, older := cachedSession(1)
	c.begin(key, now.Add(-time.Second), keys)(older, digest{})
	if c.get(key, now, keys) != s {
		t.Error("an older one took its place")
	}

	// What is put in its place does not live longer; what was made of something else has no place.
	next := *s
	c.replace(s, &next)
	if c.get(key, now, keys) != &next || c.get(key, now.Add(maxStale), keys) != nil {
		t.Error("the replacement is not served for the rest of the time")
	}
	c.replace(s, s)
	if c.get(key, now, keys) != &next {
		t.Error("it was replaced by something older")
	}
	c.drop(s.ID)
	c.replace(&next, s)
	if c.get(key, now, keys) != nil {
		t.Error("a replacement brings back what was dropped")
	}
}

// TestCacheOpened: a record is not opened again while it is the same one, as long as it is in memory at all; a changed one,
// another version of it (SES-10), and the same one under other keys are.
func TestCacheOpened(t *testing.T) {
	key, s := cachedSession(1)
	s.version = 3
	c, keys, others := newCache(100), &[]ringKey{}, &[]ringKey{}
	record, changed := digest{1}, digest{2}
	c.begin(key, time.Now().Add(-time.Minute), keys)(s, record)
	if c.opened(key, record, 3, keys) != s {
		t.Error("the same record is opened again")
	}
	other, _ := cachedSession(1)
	for what, got := range map[string]*Session{
		"another record":      c.opened(key, changed, 3, keys),
		"another version":     c.opened(key, record, 4, keys),
		"keys that have gone": c.opened(key, record, 3, others),
		"another session":     c.opened(other, record, 3, keys),
	} {
		if got != nil {
			t.Errorf("%s is not opened", what)
		}
	}
	c.drop(s.ID)
	if c.opened(key, record, 3, keys) != nil {
		t.Error("it is there after it was dropped")
	}
}

// TestCacheSize: the bound holds, and what is stale goes first.
func TestCacheSize(t *testing.T) {
	const room = 10
	c, now := newCache(room*cacheShards), time.Now()
	count := func() (n int) {
		for i := range c.shards {
			n += len(c.shards[i].entries)
		}
		return n
	}
	for range 100 * room * cacheShards / 10 {
		ticket := NewTicket()
		c.begin(ticket.digest(), now, nil)(&Session{ticket: ticket}, digest{})
	}
	if got := count(); got > room*cacheShards || got < room*cacheShards*9/10 {
		t.Errorf("%d sessions, want about %d", got, room*cacheShards)
	}
	c.clear()
	if got := count(); got != 0 {
		t.Errorf("%d sessions after clear", got)
	}

	fresh := map[digest]bool{}
	for i := range room {
		key, s := cachedSession(1)
		begun := now
		if i%2 == 0 {
			begun = now.Add(-maxStale)
		} else {
			fresh[key] = true
		}
		c.begin(key, begun, nil)(s, digest{})
	}
	key, s := cachedSession(1)
	c.begin(key, now, nil)(s, digest{})
	if c.get(key, now, nil) == nil {
		t.Error("there was no room for the newest")
	}
	for key := range fresh {
		if c.get(key, now, nil) == nil {
			t.Error("one was evicted that is good, and others are stale")
		}
	}

	c.prune(now.Add(lingers - maxStale))
	if got := count(); got != room-room/2+1 {
		t.Errorf("%d sessions after pruning", got)
	}
	c.prune(now.Add(lingers))
	if got := count(); got != 0 {
		t.Errorf("%d sessions after a minute", got)
	}

	off := newCache(0)
	off.begin(key, now, nil)(s, digest{})
	if off.get(key, now, nil) != nil {
		t.Error("a cache of no size keeps a session")
	}
}

// TestTicketOf: the ticket is there while the session is.
func TestTicketOf(t *testing.T) {
	m := &Manager{cache: newCache(100)}
	key, s := cachedSession(1)
	m.cache.begin(key, time.Now(), nil)(s, digest{})
	if ticket, ok := m.ticketOf(s.ID); !ok || ticket != s.ticket {
		t.Error("the ticket is not there")
	}
	m.cache.drop(s.ID)
	for _, id := range []ID{s.ID, "", "x", ID(fmt.Sprintf("%043d", 0)), ID(fmt.Sprintf("%43s", "!"))} {
		if _, ok := m.ticketOf(id); ok {
			t.Errorf("%q has a ticket", id)
		}
	}
}

// TestCacheRace is for the race detector.
func TestCacheRace(t *testing.T) {
	m := &Manager{cache: newCache(cacheShards)}
	var work sync.WaitGroup
	for shard := range byte(4) {
		work.Go(func() {
			for i := range 1000 {
				key, s := cachedSession(shard / 2)
				m.cache.begin(key, time.Now(), nil)(s, digest{})
				m.cache.get(key, time.Now(), nil)
				m.cache.replace(s, s)
				m.ticketOf(s.ID)
				m.cache.drop(s.ID)
				if i%100 == 0 {
					m.cache.clear()
					m.cache.prune(time.Now())
				}
			}
		})
	}
	work.Wait()
	m.cache.close()
}
