//go:build !short

package session_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/secret"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// twoReplicas are gateways with a connection each, of which the second has a cache that works.
func twoReplicas(t *testing.T, url string, opts redisstore.Options) (c *cluster, here, there *session.Manager, store *askedStore) {
	t.Helper()
	connect := func() session.Store {
		store, err := redisstore.Open(url, opts)
		must(t, err)
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	c = newCluster(t, connect, 1)
	store = &askedStore{Store: connect()}
	there = c.addCached(store)
	return c, c.managers[0], there, store
}

// warm opens a session until that takes no round trip.
func warm(t *testing.T, m *session.Manager, store *askedStore, s *session.Session) {
	t.Helper()
	poll(t, "the session is served from memory", func() bool {
		open(t, m, s)
		before := store.asked.Load()
		open(t, m, s)
		return store.asked.Load() == before
	})
}

func poll(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.After(20 * time.Second); !condition(); {
		select {
		case <-deadline:
			t.Fatal("it did not happen in 20 seconds that " + what)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestEndIsSeenElsewhere is SES-06 and BCL-28: what one replica ends another does not serve from its cache, wherever the
// sessions are and whichever way the replicas hear of it.
func TestEndIsSeenElsewhere(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (url string, opts redisstore.Options){
		"one server": func(t *testing.T) (string, redisstore.Options) {
			return sessiontest.Redis(t).URL, redisstore.Options{}
		},
		"one server that refuses tracking": func(t *testing.T) (string, redisstore.Options) {
			server := sessiontest.Redis(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr})
			defer client.Close()
			must(t, client.Do(t.Context(), "ACL", "SETUSER", "plain", "on", ">x", "~*", "&*", "+@all", "-client").Err())
			return server.URL, redisstore.Options{Username: "plain", Password: secret.New("x")}
		},
		"Sentinels": func(t *testing.T) (string, redisstore.Options) {
			return sessiontest.Sentinels(t, sessiontest.SentinelOptions{}).URL, redisstore.Options{}
		},
		"a Cluster": func(t *testing.T) (string, redisstore.Options) {
			return sessiontest.Cluster(t, sessiontest.ClusterOptions{}).URL, redisstore.Options{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, opts := start(t)
			c, here, there, store := twoReplicas(t, url, opts)
			var took []time.Duration
			for range 20 {
				s := c.login()
				warm(t, there, store, s)
				must(t, here.End(t.Context(), s, session.ReasonLogout))
				ended := time.Now()
				poll(t, "the session is over", func() bool {
					_, err := there.Open(t.Context(), s.Ticket())
					return errors.Is(err, session.ErrEnded)
				})
				took = append(took, time.Since(ended))
			}
			slices.Sort(took)
			t.Logf("seen after %v, at most %v", took[len(took)/2], took[len(took)-1])
			if took[len(took)-1] > time.Second {
				t.Errorf("it took %v", took[len(took)-1])
			}
		})
	}
}

// TestCacheWithoutFeed: a session that is ended while the connection is down on which that would be told is not served
// from memory for longer than two seconds, and not at all once the connection is back.
func TestCacheWithoutFeed(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	c, here, there, store := twoReplicas(t, server.URL, redisstore.Options{})
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	for range 5 {
		s := c.login()
		warm(t, there, store, s)
		_, err := client.TxPipelined(t.Context(), func(p redis.Pipeliner) error { // no moment in between
			p.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
			p.Del(t.Context(), "cloakroom:rec:{"+string(s.ID)+"}")
			return nil
		})
		must(t, err)
		cut := time.Now()
		poll(t, "the session is over", func() bool {
			_, err := there.Open(t.Context(), s.Ticket())
			return errors.Is(err, session.ErrNone)
		})
		if took := time.Since(cut); took > time.Second {
			t.Errorf("it was served for %v", took)
		}
		must(t, here.End(t.Context(), s, session.ReasonLogout))
	}
}

// TestCacheAndHangingStore: while Redis hangs sessions are served from memory for two seconds at most, then nothing is
// (SES-12).
func TestCacheAndHangingStore(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	c, _, there, store := twoReplicas(t, server.URL, redisstore.Options{})
	s := c.login()
	warm(t, there, store, s)
	server.Pause()
	paused, last := time.Now(), time.Time{}
	for time.Since(paused) < 4*time.Second {
		asked := time.Now()
		_, err := there.Open(t.Context(), s.Ticket())
		switch {
		case err == nil:
			last = asked
		case !isUnavailable(err):
			t.Fatal(err)
		}
	}
	t.Logf("served for %v", last.Sub(paused))
	if last.Sub(paused) > 2*time.Second {
		t.Errorf("it was served for %v", last.Sub(paused))
	}
	if last.IsZero() {
		t.Error("it was not served at all")
	}
	server.Resume()
	warm(t, there, store, s)
}

// TestCacheAcrossFailover: what was in memory before a failover is not served after it, if the new primary says
// otherwise.
func TestCacheAcrossFailover(t *testing.T) {
	t.Parallel()
	sentinels := func(fail func(*sessiontest.RedisSentinels)) func(*testing.T) (string, func(), *redis.Client) {
		return func(t *testing.T) (string, func(), *redis.Client) {
			servers := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
			return servers.URL, func() { fail(servers) }, servers.Client(servers.Servers[1])
		}
	}
	for name, start := range map[string]func(t *testing.T) (url string, fail func(), replica *redis.Client){
		"Sentinels, ordered":             sentinels(func(s *sessiontest.RedisSentinels) { s.Failover() }),
		"Sentinels, the primary hanging": sentinels(func(s *sessiontest.RedisSentinels) { s.Servers[0].Pause() }),
		"Cluster, the primary killed": func(t *testing.T) (string, func(), *redis.Client) {
			c := sessiontest.Cluster(t, sessiontest.ClusterOptions{Replica: true})
			return c.URL, c.Nodes[0].Stop, c.Client(c.Nodes[3])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, fail, replica := start(t)
			defer replica.Close()
			c, _, there, store := twoReplicas(t, url, redisstore.Options{})
			var sessions []*session.Session // of which some are on the primary that fails
			for range 40 {
				sessions = append(sessions, c.login())
			}
			key := func(s *session.Session) string { return "cloakroom:rec:{" + string(s.ID) + "}" }
			var s *session.Session
			poll(t, "a session is on the replica", func() bool {
				keys := replica.Keys(t.Context(), "*").Val()
				i := slices.IndexFunc(sessions, func(s *session.Session) bool { return slices.Contains(keys, key(s)) })
				if i >= 0 {
					s = sessions[i]
				}
				return i >= 0
			})
			warm(t, there, store, s)
			last := time.Now()
			fail()
			var gone time.Time
			over := false
			poll(t, "the session is over, and the new primary is heard", func() bool {
				if gone.IsZero() && replica.Del(t.Context(), key(s)).Val() == 1 { // it has taken over
					gone = time.Now()
				}
				asked := time.Now()
				_, err := there.Open(t.Context(), s.Ticket())
				switch {
				case err == nil && over:
					t.Fatal("it is served after it was said to be over")
				case err == nil:
					last = asked
				case errors.Is(err, session.ErrNone):
					over = true
				case !isUnavailable(err):
					t.Fatal(err)
				}
				return over && time.Since(store.HeardAt()) < time.Second
			})
			t.Logf("served until %v after it was gone", last.Sub(gone))
			if last.Sub(gone) > 4*time.Second { // an old primary that lives serves for some seconds
				t.Error("that is too long")
			}
		})
	}
}

func BenchmarkOpenRedis(b *testing.B) {
	server := sessiontest.Redis(b)
	for name, size := range map[string]int{"cache=on": 50_000, "cache=off": 0} {
		b.Run(name, func(b *testing.B) {
			store, err := redisstore.Open(server.URL, redisstore.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = store.Close() })
			benchmarkOpen(b, store, size)
		})
	}
}
