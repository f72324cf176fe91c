//go:build !short

package redisstore_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// TestFeedOfAnotherServer: a feed is worth nothing that is connected to a server which calls do not use any more, as
// behind a name or an address that has moved to a new primary while the old one lives on.
func TestFeedOfAnotherServer(t *testing.T) {
	t.Parallel()
	old, young := sessiontest.Redis(t), sessiontest.Redis(t)
	address := newMovingAddress(t, old.Addr)
	store := open(t, "redis://"+address.String(), redisstore.Options{})
	e := follow(t, store)
	direct := open(t, young.URL, redisstore.Options{})
	rec := create(t, direct)

	address.move(young.Addr)
	if err := admin(t, old).ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err) // the feed stays
	}
	if _, _, err := store.Load(t.Context(), rec.ID); err != nil {
		t.Fatalf("calls do not go to the new server: %v", err)
	}
	moved, before := time.Now(), e.misses()
	eventually(t, "the feed moves, too", func() bool { return e.misses() > before })
	if took := time.Since(moved); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := direct.Delete(t.Context(), rec.ID, session.ReasonLogout); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what happens there is told", func() bool { return e.heard(rec.ID) })
}

// movingAddress passes connections on to a server, new ones to another after move.
type movingAddress struct {
	net.Listener
	mu sync.Mutex
	to string
}

func newMovingAddress(t *testing.T, to string) *movingAddress {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &movingAddress{Listener: l, to: to}
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			server, err := net.Dial("tcp", a.to)
			a.mu.Unlock()
			if err != nil {
				_ = conn.Close()
				continue
			}
			conns.Go(func() { pass(conn, server) })
			conns.Go(func() { pass(server, conn) })
		}
	})
	return a
}

func (a *movingAddress) String() string { return a.Addr().String() }

func (a *movingAddress) move(to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.to = to
}

func pass(from, to net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestFeedSentinel: after a failover the feed is the new primary's, whichever way the old one went.
func TestFeedSentinel(t *testing.T) {
	for name, fail := range map[string]func(*sessiontest.RedisSentinels){
		"ordered": func(s *sessiontest.RedisSentinels) { s.Failover() },
		"killed":  func(s *sessiontest.RedisSentinels) { s.Servers[0].Stop() },
		"hanging": func(s *sessiontest.RedisSentinels) { s.Servers[0].Pause() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
			store := open(t, servers.URL, redisstore.Options{})
			e := follow(t, store)
			client := servers.Client(servers.Servers[1])
			defer client.Close()
			before := e.misses()
			fail(servers)
			eventually(t, "the replica takes over", func() bool {
				answer, _ := client.Do(t.Context(), "ROLE").Slice()
				return len(answer) > 0 && answer[0] == "master"
			})
			promoted := time.Now()
			eventually(t, "the new primary is heard", func() bool {
				rec := newRecord()
				if store.Create(t.Context(), rec, terms) != nil || client.Del(t.Context(), recKey(rec.ID)).Val() != 1 {
					return false
				}
				return store.HeardAt().After(promoted) && e.heard(rec.ID)
			})
			t.Logf("heard %v after the promotion", time.Since(promoted).Round(time.Millisecond))
			if e.misses() == before {
				t.Error("it has not said that it may have missed something")
			}
		})
	}
}

// TestFeedCluster: there is a feed for each primary, and nothing counts as heard while one is missing.
func TestFeedCluster(t *testing.T) {
	t.Parallel()
	cluster := sessiontest.Cluster(t, sessiontest.ClusterOptions{
		Replica: true, Args: []string{"--cluster-require-full-coverage", "no"},
	})
	store := open(t, cluster.URL, redisstore.Options{})
	e := follow(t, store)
	for _, node := range cluster.Nodes[:3] {
		id := recordOn(t, store, cluster.Client(node))
		client := cluster.Client(node)
		defer client.Close()
		eventually(t, "what a node does is told", func() bool { return e.heard(id) }) // its creation
		e.forget()
		if err := client.Del(t.Context(), recKey(id)).Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "what a node does is told", func() bool { return e.heard(id) })
	}

	elsewhere, before := recordOn(t, store, cluster.Client(cluster.Nodes[1])), e.misses()
	cluster.Nodes[0].Stop()
	eventually(t, "a primary is missing", func() bool { return store.HeardAt().IsZero() })
	if _, _, err := store.Load(t.Context(), elsewhere); err != nil {
		t.Errorf("a session that is somewhere else: %v", err)
	}
	eventually(t, "its replica is heard in its place", func() bool { return hears(store) })
	if e.misses() == before {
		t.Error("it has not said that it may have missed something")
	}
	client := cluster.Client(cluster.Nodes[3])
	defer client.Close()
	id := recordOn(t, store, cluster.Client(cluster.Nodes[3]))
	e.forget()
	if err := client.Del(t.Context(), recKey(id)).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what the new primary does is told", func() bool { return e.heard(id) })
}

// TestFeedClusterRoles: a primary that changes its role with its replica is followed though both are alive.
func TestFeedClusterRoles(t *testing.T) {
	t.Parallel()
	cluster := sessiontest.Cluster(t, sessiontest.ClusterOptions{Replica: true})
	store := open(t, cluster.URL, redisstore.Options{})
	e := follow(t, store)
	id := recordOn(t, store, cluster.Client(cluster.Nodes[0]))
	replica := cluster.Client(cluster.Nodes[3])
	defer replica.Close()
	eventually(t, "the replica may take over", func() bool {
		return replica.Exists(t.Context(), recKey(id)).Val() == 1 && replica.ClusterFailover(t.Context()).Err() == nil
	})
	before := e.misses()
	eventually(t, "it takes over", func() bool {
		answer, _ := replica.Do(t.Context(), "ROLE").Slice()
		return len(answer) > 0 && answer[0] == "master"
	})
	promoted := time.Now()
	eventually(t, "it is followed", func() bool { return e.misses() > before })
	t.Logf("followed %v after the promotion", time.Since(promoted).Round(time.Millisecond))
	eventually(t, "it is heard", func() bool { return hears(store) })
	e.forget()
	if err := replica.Del(t.Context(), recKey(id)).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what it does is told", func() bool { return e.heard(id) })
}
