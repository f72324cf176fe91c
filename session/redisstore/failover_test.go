//go:build !short

package redisstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

var terms = session.Terms{Keep: time.Hour, KeepActivity: time.Hour, Due: time.Now().Add(time.Hour)}

func newRecord() session.Record {
	return session.Record{
		ID: session.NewTicket().ID(), Version: 1, Sealed: []byte("x"),
		Issuer: "i", Subject: "s", SID: "x", CreatedAt: time.Now(),
	}
}

// writer creates sessions one after the other, some hundred a second, and notes what became of them.
type writer struct {
	acknowledged, replicated []session.ID
	failed                   int
	downtime, slowest        time.Duration // between two successes; of a call that failed
	stop                     func()
}

// startWriter takes a session for replicated when the replica, asked directly, has it.
func startWriter(t *testing.T, store session.Store, replica *redis.Client) *writer {
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{}
	var done sync.WaitGroup
	done.Go(func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for last := time.Now(); ctx.Err() == nil; <-pace.C {
			rec := newRecord()
			begin := time.Now()
			if err := store.Create(context.WithoutCancel(ctx), rec, terms); err != nil {
				w.failed++
				w.slowest = max(w.slowest, time.Since(begin))
				continue
			}
			w.downtime = max(w.downtime, time.Since(last))
			last = time.Now()
			w.acknowledged = append(w.acknowledged, rec.ID)
			if replica.Exists(ctx, "cloakroom:rec:{"+string(rec.ID)+"}").Val() == 1 {
				w.replicated = append(w.replicated, rec.ID)
			}
		}
	})
	w.stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(w.stop)
	return w
}

// check stops the writer and says what is lost.
func (w *writer) check(t *testing.T, store session.Store) {
	t.Helper()
	w.stop()
	lost := func(ids []session.ID) (n int) {
		for _, id := range ids {
			if _, _, err := store.Load(t.Context(), id); err != nil {
				n++
			}
		}
		return n
	}
	lostReplicated := lost(w.replicated)
	t.Logf("downtime %v; %d logins refused, each within %v; %d acknowledged, %d of them lost; "+
		"%d known to be replicated, %d of them lost",
		w.downtime.Round(time.Millisecond), w.failed, w.slowest.Round(time.Millisecond),
		len(w.acknowledged), lost(w.acknowledged), len(w.replicated), lostReplicated)
	if lostReplicated != 0 {
		t.Error("sessions are lost that were acknowledged and replicated")
	}
	if len(w.replicated) == 0 {
		t.Error("nothing was replicated before the failover")
	}
	if w.slowest > time.Second {
		t.Errorf("it took %v to refuse a login", w.slowest)
	}
}

// works waits until the store does its work, with a replica of the gateway that has been there all the time. Until all
// Sentinels have heard of a failover, which takes two seconds, a call may still be sent to the old primary.
func works(t *testing.T, store, other session.Store) {
	t.Helper()
	var err error
	defer func() {
		if err != nil {
			t.Log(err)
		}
	}()
	eventually(t, "everything works", func() bool {
		err = work(t, store, other)
		return err == nil
	})
}

func work(t *testing.T, store, other session.Store) error {
	rec := newRecord()
	changed, stop := other.Watch(rec.ID)
	defer stop()
	if err := store.Create(t.Context(), rec, terms); err != nil {
		return err
	}
	rec.Version++
	if err := store.Update(t.Context(), rec); err != nil {
		return err
	}
	select {
	case <-changed:
	case <-time.After(200 * time.Millisecond):
		return errors.New("the watcher is not told")
	}
	if _, _, err := other.Load(t.Context(), rec.ID); err != nil {
		return err
	}
	_, err := store.Delete(t.Context(), rec.ID, session.ReasonLogout)
	return err
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.After(20 * time.Second); !condition(); {
		select {
		case <-deadline:
			t.Fatal("it did not happen in 20 seconds that " + what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestSentinelFailover: whatever happens to the primary, the replica takes over and the store finds it.
func TestSentinelFailover(t *testing.T) {
	for name, fail := range map[string]func(*sessiontest.RedisSentinels){
		"ordered": func(s *sessiontest.RedisSentinels) { s.Failover() },
		"killed":  func(s *sessiontest.RedisSentinels) { s.Servers[0].Stop() },
		"hanging": func(s *sessiontest.RedisSentinels) { s.Servers[0].Pause() },
		"its machine hangs, with a Sentinel on it": func(s *sessiontest.RedisSentinels) {
			s.Servers[0].Pause()
			s.Sentinels[0].Pause()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
			store, other := open(t, servers.URL, redisstore.Options{}), open(t, servers.URL, redisstore.Options{})
			works(t, store, other)
			replica := servers.Client(servers.Servers[1])
			defer replica.Close()
			w := startWriter(t, store, replica)
			eventually(t, "sessions are written", func() bool { return replica.DBSize(t.Context()).Val() > 100 })
			fail(servers)
			eventually(t, "the replica takes over and has new sessions", promoted(t, replica))
			works(t, store, other)
			w.check(t, store)
		})
	}
}

// promoted waits for the replica to be the primary, and for a hundred sessions after that.
func promoted(t *testing.T, replica *redis.Client) func() bool {
	size := int64(-1)
	return func() bool {
		now := replica.DBSize(t.Context()).Val()
		if answer, _ := replica.Do(t.Context(), "ROLE").Slice(); size < 0 && len(answer) > 0 && answer[0] == "master" {
			size = now
		}
		return size >= 0 && now > size+100
	}
}

// TestClusterFailover is the same for one of three primaries. Sessions elsewhere are served meanwhile, as long as
// cluster-require-full-coverage is off, as the README says.
func TestClusterFailover(t *testing.T) {
	for name, fail := range map[string]func(*sessiontest.RedisCluster){
		"killed":  func(c *sessiontest.RedisCluster) { c.Nodes[0].Stop() },
		"hanging": func(c *sessiontest.RedisCluster) { c.Nodes[0].Pause() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := sessiontest.Cluster(t, sessiontest.ClusterOptions{
				Replica: true, Args: []string{"--cluster-require-full-coverage", "no"},
			})
			store, other := open(t, cluster.URL, redisstore.Options{}), open(t, cluster.URL, redisstore.Options{})
			works(t, store, other)
			elsewhere := recordOn(t, store, cluster.Client(cluster.Nodes[1]))
			replica := cluster.Client(cluster.Nodes[3])
			defer replica.Close()
			w := startWriter(t, store, replica)
			eventually(t, "sessions are written", func() bool { return replica.DBSize(t.Context()).Val() > 100 })
			fail(cluster)
			served := promoted(t, replica)
			eventually(t, "the replica takes over and has new sessions", func() bool {
				if _, _, err := store.Load(t.Context(), elsewhere); err != nil {
					t.Errorf("a session that is somewhere else: %v", err)
				}
				return served()
			})
			works(t, store, other)
			w.check(t, store)
		})
	}
}

// recordOn makes a session that a certain node keeps.
func recordOn(t *testing.T, store session.Store, node *redis.Client) session.ID {
	t.Helper()
	defer node.Close()
	for {
		rec := newRecord()
		if err := store.Create(t.Context(), rec, terms); err != nil {
			t.Fatal(err)
		}
		if node.Exists(t.Context(), "cloakroom:rec:{"+string(rec.ID)+"}").Val() == 1 {
			return rec.ID
		}
	}
}
