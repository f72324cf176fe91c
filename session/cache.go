package session

import (
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

const (
	// maxStale is how long the cache answers without the store: since a load was begun, and since it is known that the
	// [Feed] hears everything.
	maxStale = 2 * time.Second
	// lingers is how long a session stays in memory after its load. For most of that time it serves ticketOf alone.
	lingers = time.Minute
	// cacheShards have a lock each.
	cacheShards = 64
)

// cache keeps opened sessions, so that an ordinary API call costs neither a round trip nor a decryption. It forgets what
// has changed: the generation of a shard moves with each invalidation, and a load that was begun before does not get in
// any more, however late it comes.
type cache struct {
	shards [cacheShards]cacheShard
	room   int // of a shard
}

type cacheShard struct {
	mu         sync.Mutex
	generation uint64
	entries    map[digest]cached // nil: the cache is off
}

type cached struct {
	session *Session
	record  digest     // of what the session was opened from
	begun   time.Time  // when the store was asked, or a little before
	keys    *[]ringKey // of the ring, at that time
}

// digest is a SHA-256. That of a ticket is its [ID] as it comes out of the hash: it makes a key without an allocation.
type digest [sha256.Size]byte

// newCache makes a cache for about size sessions, or one that keeps none.
func newCache(size int) *cache {
	c := &cache{room: (size + cacheShards - 1) / cacheShards}
	if size > 0 {
		for i := range c.shards {
			c.shards[i].entries = map[digest]cached{}
		}
	}
	return c
}

func (c *cache) shard(key digest) *cacheShard { return &c.shards[key[0]%cacheShards] }

// shardOf is the shard and the key of an id. An id that is no hash has no session in the cache.
func (c *cache) shardOf(id ID) (shard *cacheShard, key digest, ok bool) {
	if len(id) != base64.RawURLEncoding.EncodedLen(len(key)) {
		return nil, key, false
	}
	if _, err := base64.RawURLEncoding.Decode(key[:], []byte(id)); err != nil {
		return nil, key, false
	}
	return c.shard(key), key, true
}

// get returns a session that was loaded less than maxStale before now, under keys.
func (c *cache) get(key digest, now time.Time, keys *[]ringKey) *Session {
	shard := c.shard(key)
	shard.mu.Lock()
	e, ok := shard.entries[key]
	shard.mu.Unlock()
	if !ok || now.Sub(e.begun) >= maxStale || e.keys != keys {
		return nil
	}
	return e.session
}

// opened returns the session that was made of the same record under the same keys, however long ago: opening it again
// would make the same one.
func (c *cache) opened(key, record digest, version uint64, keys *[]ringKey) *Session {
	shard := c.shard(key)
	shard.mu.Lock()
	e, ok := shard.entries[key]
	shard.mu.Unlock()
	if !ok || e.record != record || e.session.version != version || e.keys != keys {
		return nil
	}
	return e.session
}

// begin is called before a session is loaded, and what it returns with what came. The latter does nothing if anything
// in the shard has been invalidated meanwhile.
func (c *cache) begin(key digest, now time.Time, keys *[]ringKey) (fill func(s *Session, record digest)) {
	shard := c.shard(key)
	shard.mu.Lock()
	generation := shard.generation
	shard.mu.Unlock()
	return func(s *Session, record digest) {
		shard.mu.Lock()
		defer shard.mu.Unlock()
		if shard.entries == nil || shard.generation != generation {
			return
		}
		if old, ok := shard.entries[key]; ok && old.begun.After(now) {
			return
		} else if !ok && len(shard.entries) >= c.room {
			shard.evict(now)
		}
		shard.entries[key] = cached{s, record, now, keys}
	}
}

// evict makes room for one: of a few entries, which a map yields in no order, it takes one that is stale, or else any.
func (s *cacheShard) evict(now time.Time) {
	tried := 0
	for key, e := range s.entries {
		if tried++; tried == 8 || tried == len(s.entries) || now.Sub(e.begun) >= maxStale {
			delete(s.entries, key)
			return
		}
	}
}

// replace puts a session in the place of what it was made of, which came from the cache. It does not make it younger.
func (c *cache) replace(old, s *Session) {
	shard, key, ok := c.shardOf(old.ID)
	if !ok {
		return
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if e, ok := shard.entries[key]; ok && e.session == old {
		e.session = s
		shard.entries[key] = e
	}
}

// drop forgets a session that may have changed.
func (c *cache) drop(id ID) {
	shard, key, ok := c.shardOf(id)
	if !ok {
		return
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.generation++
	delete(shard.entries, key)
}

// clear forgets all sessions, of which any may have changed.
func (c *cache) clear() {
	for i := range c.shards {
		shard := &c.shards[i]
		shard.mu.Lock()
		shard.generation++
		clear(shard.entries)
		shard.mu.Unlock()
	}
}

// prune forgets what has been there for too long by now.
func (c *cache) prune(now time.Time) {
	for i := range c.shards {
		shard := &c.shards[i]
		shard.mu.Lock()
		for key, e := range shard.entries {
			if now.Sub(e.begun) >= lingers {
				delete(shard.entries, key)
			}
		}
		shard.mu.Unlock()
	}
}

// close forgets all sessions and takes no more.
func (c *cache) close() {
	for i := range c.shards {
		shard := &c.shards[i]
		shard.mu.Lock()
		shard.entries = nil
		shard.mu.Unlock()
	}
}

// cached returns the session of a ticket if it is in memory and may be served from there. One that is past a deadline
// may not: it may have been active on another replica.
func (m *Manager) cached(key digest, now time.Time) *Session {
	if m.opts.Uncached {
		return nil
	}
	if now.Sub(m.store.HeardAt()) >= maxStale {
		return nil
	}
	s := m.cache.get(key, now, m.ring.keys.Load())
	if s == nil || s.over(m.now()) != "" {
		return nil
	}
	return s
}

// ticketOf returns the ticket of a session that this replica has served lately.
func (m *Manager) ticketOf(id ID) (Ticket, bool) {
	shard, key, ok := m.cache.shardOf(id)
	if !ok {
		return Ticket{}, false
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	e, ok := shard.entries[key]
	if !ok {
		return Ticket{}, false
	}
	return e.session.ticket, true
}
