//go:build !short

package redisstore_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/secret"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// ear is a follower that remembers what it hears.
type ear struct {
	mu      sync.Mutex
	changed []session.ID
	missed  int
}

func (e *ear) Changed(id session.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed = append(e.changed, id)
}

func (e *ear) Missed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missed++
}

func (e *ear) heard(id session.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.changed, id)
}

func (e *ear) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed = nil
}

func (e *ear) misses() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.missed
}

// follow listens to a store whose feed is there.
func follow(t *testing.T, store session.Store) *ear {
	t.Helper()
	eventually(t, "the feed hears", func() bool { return hears(store) })
	e := &ear{}
	t.Cleanup(store.Follow(e))
	return e
}

// hears is what a cache goes by.
func hears(store session.Store) bool { return time.Since(store.HeardAt()) < 2*time.Second }

func create(t *testing.T, store session.Store) session.Record {
	t.Helper()
	rec := newRecord()
	if err := store.Create(t.Context(), rec, terms); err != nil {
		t.Fatal(err)
	}
	return rec
}

func recKey(id session.ID) string { return "cloakroom:rec:{" + string(id) + "}" }

// admin is a connection that may do everything.
func admin(t *testing.T, server *sessiontest.RedisServer) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "default", Password: "admin", MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestFeedTracking is what the README's rule buys: everything that happens to a record is told, whoever does it
// (BCL-28).
func TestFeedTracking(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t, "--aclfile", aclFile(t))
	var log syncBuffer
	opts := redisstore.Options{
		Username: "cloakroom", Password: secret.New("first"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	store, other := open(t, server.URL, opts), open(t, server.URL, opts)
	e, client := follow(t, store), admin(t, server)
	for name, do := range map[string]func(session.Record) error{
		"an update": func(rec session.Record) error {
			rec.Version++
			return other.Update(t.Context(), rec)
		},
		"a logout": func(rec session.Record) error {
			_, err := other.Delete(t.Context(), rec.ID, session.ReasonLogout)
			return err
		},
		"a deletion by hand": func(rec session.Record) error { return client.Del(t.Context(), recKey(rec.ID)).Err() },
		"the end of its time": func(rec session.Record) error {
			return client.PExpire(t.Context(), recKey(rec.ID), time.Millisecond).Err()
		},
	} {
		rec := create(t, other)
		eventually(t, "the creation is told", func() bool { return e.heard(rec.ID) })
		e.forget()
		if err := do(rec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		eventually(t, name+" is told", func() bool { return e.heard(rec.ID) })
	}
	before := e.misses()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a flush is told", func() bool { return e.misses() > before })
	if got := strings.Count(log.String(), "CLIENT TRACKING"); got != 2 { // two stores
		t.Errorf("the log says %d times how changes are heard of:\n%s", got, log.String())
	}
	if refused, err := client.Do(t.Context(), "ACL", "LOG").Slice(); err != nil || len(refused) > 0 {
		t.Errorf("refused: %v, error %v", refused, err)
	}
}

// TestFeedWithoutTracking: where the server does not allow it, what stores do is told all the same.
func TestFeedWithoutTracking(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users.acl")
	rule := strings.Replace(aclRule(t, "cloakroom"), ">PASSWORD", ">first", 1)
	write(t, file, strings.Replace(rule, " +client|tracking", "", 1)+"\nuser default on >admin ~* &* +@all\n")
	server := sessiontest.Redis(t, "--aclfile", file)
	var log syncBuffer
	opts := redisstore.Options{Username: "cloakroom", Password: secret.New("first")}
	other := open(t, server.URL, opts)
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	store := open(t, server.URL, opts)
	e, client := follow(t, store), admin(t, server)

	deleted, updated, ended := create(t, other), create(t, other), create(t, other)
	if err := client.Del(t.Context(), recKey(deleted.ID)).Err(); err != nil {
		t.Fatal(err)
	}
	updated.Version++
	if err := other.Update(t.Context(), updated); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Delete(t.Context(), ended.ID, session.ReasonLogout); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a logout is told", func() bool { return e.heard(ended.ID) })
	if !e.heard(updated.ID) {
		t.Error("not told of an update")
	}
	if e.heard(deleted.ID) {
		t.Error("told of what others did: this server was to refuse that")
	}

	before := e.misses()
	kill(t, client)
	eventually(t, "it listens again", func() bool { return e.misses() > before && hears(store) })
	if got := strings.Count(log.String(), "Redis refuses CLIENT TRACKING"); got != 1 {
		t.Errorf("the log says %d times that tracking is refused:\n%s", got, log.String())
	}
}

// kill ends the connections that listen.
func kill(t *testing.T, client *redis.Client) {
	t.Helper()
	killed, err := client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result()
	if err != nil || killed == 0 {
		t.Fatalf("%d connections killed, error %v", killed, err)
	}
}

// TestFeedIsCut: nothing counts as heard until there is a new connection, and then everything may have been missed.
func TestFeedIsCut(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	store := open(t, server.URL, redisstore.Options{})
	e := follow(t, store)
	client := admin(t, server)
	for range 3 {
		before := e.misses()
		cut := time.Now()
		kill(t, client)
		eventually(t, "it listens again", func() bool {
			at := store.HeardAt() // before misses: what is heard after the cut comes after Missed
			if at.After(cut) && e.misses() == before {
				t.Fatal("it hears after a cut, and has not said that it may have missed something")
			}
			return at.After(cut)
		})
	}
}

// TestFeedHangs: a server that does not answer is not heard, though the connection is there.
func TestFeedHangs(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	store := open(t, server.URL, redisstore.Options{})
	e := follow(t, store)
	server.Pause()
	paused, before := time.Now(), e.misses()
	eventually(t, "the feed is given up", func() bool { return store.HeardAt().IsZero() })
	if took := time.Since(paused); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	server.Resume()
	eventually(t, "it hears again", func() bool { return hears(store) })
	if e.misses() == before {
		t.Error("it has not said that it may have missed something")
	}
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
