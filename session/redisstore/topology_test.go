//go:build !short

package redisstore_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/secret"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// secured are the options of a user of the README's rule whose password is in a file, with certificates.
func secured(t *testing.T, certs sessiontest.Certs) redisstore.Options {
	password := filepath.Join(t.TempDir(), "password")
	write(t, password, "first\n")
	return redisstore.Options{
		Username: "cloakroom", PasswordFile: password, SentinelPassword: secret.New("watch"),
		CAFile: certs.CA, CertFile: certs.ClientCert, KeyFile: certs.ClientKey,
	}
}

// TestSentinelStore is the whole contract behind Sentinels, with TLS everywhere, as a user who may do no more than the
// README says (SES-10).
func TestSentinelStore(t *testing.T) {
	certs := sessiontest.NewCerts(t)
	servers := sessiontest.Sentinels(t, sessiontest.SentinelOptions{
		Certs: &certs, Args: []string{"--aclfile", aclFile(t)},
		User: "default", Password: "admin", SentinelPassword: "watch",
	})
	opts := secured(t, certs)
	sessiontest.Run(t, func(t *testing.T) session.Store {
		opts := opts
		opts.Prefix = "cloakroom:" + t.Name() + ":"
		return open(t, servers.URL, opts)
	})
	opts.SentinelPassword = secret.New("marker-wrong")
	err := open(t, servers.URL, opts).Ping(t.Context())
	if err == nil || strings.Contains(err.Error(), "marker") {
		t.Errorf("a wrong password for the Sentinels: %v", err)
	}
}

// TestClusterStore is the whole contract on a Cluster, likewise. Here shows that every script stays in the slot of its
// keys (RED-02): a Cluster refuses it otherwise.
func TestClusterStore(t *testing.T) {
	certs := sessiontest.NewCerts(t)
	cluster := sessiontest.Cluster(t, sessiontest.ClusterOptions{
		Certs: &certs, Args: []string{"--aclfile", aclFile(t)}, User: "default", Password: "admin",
	})
	opts := secured(t, certs)
	sessiontest.Run(t, func(t *testing.T) session.Store {
		opts := opts
		opts.Prefix = "cloakroom:" + t.Name() + ":"
		return open(t, cluster.URL, opts)
	})
	store := open(t, cluster.URL, opts)
	slotMoves(t, cluster, store)
	cluster.Nodes[1].Stop()
	cluster.Nodes[2].Stop()
	eventually(t, "nobody says any more that the Cluster is there", func() bool {
		for range 5 {
			if store.Ping(t.Context()) == nil {
				return false
			}
		}
		return true
	})
}

// slotMoves: a session is found while its slot moves to another node, and afterwards.
func slotMoves(t *testing.T, cluster *sessiontest.RedisCluster, store session.Store) {
	from, to := cluster.Client(cluster.Nodes[0]), cluster.Client(cluster.Nodes[1])
	defer from.Close()
	defer to.Close()
	var id session.ID
	var rec, act string
	var slot int64
	for from.ClusterCountKeysInSlot(t.Context(), int(slot)).Val() != 2 { // nothing else moves with it
		id = recordOn(t, store, cluster.Client(cluster.Nodes[0]))
		rec, act = "cloakroom:rec:{"+string(id)+"}", "cloakroom:act:{"+string(id)+"}"
		slot = from.ClusterKeySlot(t.Context(), rec).Val()
	}
	load := func(when string) {
		t.Helper()
		if _, seen, err := store.Load(t.Context(), id); err != nil || seen.IsZero() {
			t.Errorf("%s: last activity %v, error %v", when, seen, err)
		}
	}
	do := func(node *redis.Client, args ...any) string {
		t.Helper()
		answer, err := node.Do(t.Context(), args...).Text()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return answer
	}
	source, target := do(from, "CLUSTER", "MYID"), do(to, "CLUSTER", "MYID")
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	load("before its keys move")
	host, port, _ := net.SplitHostPort(cluster.Nodes[1].Addr)
	do(from, "MIGRATE", host, port, act, 0, 1000, "AUTH", "admin")
	load("between its keys")
	do(from, "MIGRATE", host, port, rec, 0, 1000, "AUTH", "admin")
	load("after its keys")
	do(to, "CLUSTER", "SETSLOT", slot, "NODE", target)
	do(from, "CLUSTER", "SETSLOT", slot, "NODE", target)
	load("after the slot")
}

// TestSentinelUser: the README's rule for Sentinels is enough, and nothing is asked of them beyond it (SES-10).
func TestSentinelUser(t *testing.T) {
	t.Parallel()
	servers := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
	sentinel := redis.NewClient(&redis.Options{Addr: servers.Sentinels[0].Addr})
	defer sentinel.Close()
	rule := strings.Fields(strings.Replace(aclRule(t, "sentinel-client"), ">PASSWORD", ">watch", 1))
	args := []any{"ACL", "SETUSER"}
	for _, word := range rule[1:] {
		args = append(args, word)
	}
	if err := sentinel.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	url := "redis+sentinel://" + servers.Sentinels[0].Addr + "/mymaster"
	opts := redisstore.Options{SentinelUsername: "sentinel-client", SentinelPassword: secret.New("watch")}
	ping(t, open(t, url, opts))
	eventually(t, "its subscription is there", func() bool {
		return sentinel.Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").Val().(string) != ""
	})
	if log, err := sentinel.Do(t.Context(), "ACL", "LOG").Slice(); err != nil || len(log) > 0 {
		t.Errorf("refused: %v, error %v", log, err)
	}
}

// TestReplicaIsRefused: a Sentinel is not believed that names a replica, which may not have the newest sessions (RED-03).
func TestReplicaIsRefused(t *testing.T) {
	t.Parallel()
	servers := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: servers.Sentinels[0].Addr})
	defer sentinel.Close()
	host, port, _ := net.SplitHostPort(servers.Servers[1].Addr)
	if err := sentinel.Monitor(t.Context(), "replica", host, port, "1").Err(); err != nil {
		t.Fatal(err)
	}
	store := open(t, "redis+sentinel://"+servers.Sentinels[0].Addr+"/replica", redisstore.Options{})
	_, _, err := store.Load(t.Context(), "id")
	if err == nil || !strings.Contains(err.Error(), "is not the primary any more") {
		t.Errorf("error %v", err)
	}
}

// TestWrongPrimary: a name that no Sentinel knows is said at once, by every call.
func TestWrongPrimary(t *testing.T) {
	t.Parallel()
	servers := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
	store := open(t, strings.Replace(servers.URL, "/mymaster", "/other", 1), redisstore.Options{})
	for name, call := range map[string]func() error{
		"Ping":  func() error { return store.Ping(t.Context()) },
		"Touch": func() error { return store.Touch(t.Context(), "id", time.Now(), time.Hour) },
		"Load":  func() error { _, _, err := store.Load(t.Context(), "id"); return err },
	} {
		const want = "the Sentinels know no primary of the name in the store URL"
		if err := call(); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
}
