package sessiontest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisCluster is a Cluster of three primaries, and perhaps a replica of the first, as processes on loopback. A dead
// primary with a replica is replaced within three seconds or so.
type RedisCluster struct {
	URL   string         // redis+cluster:// or rediss+cluster://, without credentials
	Nodes []*RedisServer // three primaries, then the replica

	t      testing.TB
	client *redis.Options // for the test's own connections, without an address
}

// ClusterOptions are what can differ from an open Cluster of three primaries without TLS.
type ClusterOptions struct {
	Replica        bool     // the first primary has one
	Certs          *Certs   // nil: no TLS
	Args           []string // for every node
	User, Password string   // an administrator: of the replica and the test
}

// Cluster starts one that is stopped when the test ends.
func Cluster(t testing.TB, opts ClusterOptions) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t, client: clientOptions(t, opts.Certs)}
	c.client.Username, c.client.Password = opts.User, opts.Password
	args := append([]string{
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000",
		"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0",
	}, opts.Args...)
	if opts.Certs != nil {
		args = append(args, "--tls-cluster", "yes", "--tls-replication", "yes",
			"--tls-client-cert-file", opts.Certs.ClientCert, "--tls-client-key-file", opts.Certs.ClientKey)
	}
	if opts.Password != "" {
		args = append(args, "--masteruser", opts.User, "--masterauth", opts.Password)
	}
	nodes := newNodes(t, opts.Replica)
	for i := range nodes {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "nodes.conf"), []byte(nodesFile(nodes, i)), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Nodes = append(c.Nodes, startRedisAt(t, nodes[i].addr, opts.Certs,
			append([]string{"--dir", dir, "--cluster-port", nodes[i].bus}, args...)))
	}
	addrs := make([]string, 3)
	for i := range addrs {
		addrs[i] = nodes[i].addr
	}
	c.URL = c.Nodes[0].scheme() + "+cluster://" + strings.Join(addrs, ",")
	c.await(len(nodes) - 3)
	return c
}

// clusterNode is a line of the file in which a node keeps what it knows of the others. Written by hand it spares the
// seconds of introduction.
type clusterNode struct{ id, addr, bus, role, slots string }

func newNodes(t testing.TB, replica bool) []clusterNode {
	nodes := []clusterNode{
		{role: "master -", slots: "0-5460"},
		{role: "master -", slots: "5461-10922"},
		{role: "master -", slots: "10923-16383"},
	}
	if replica {
		nodes = append(nodes, clusterNode{})
	}
	for i := range nodes {
		nodes[i].id, nodes[i].addr = nodeID(), freeAddr(t)
		_, nodes[i].bus, _ = net.SplitHostPort(freeAddr(t))
	}
	if replica {
		nodes[3].role = "slave " + nodes[0].id
	}
	return nodes
}

func nodesFile(nodes []clusterNode, myself int) string {
	file := &strings.Builder{}
	for i, node := range nodes {
		role := node.role
		if i == myself {
			role = "myself," + role
		}
		fmt.Fprintf(file, "%s %s@%s %s 0 0 %d connected %s\n", node.id, node.addr, node.bus, role, i+1, node.slots)
	}
	fmt.Fprintf(file, "vars currentEpoch %d lastVoteEpoch 0\n", len(nodes))
	return file.String()
}

// await waits until every node serves all slots, and the first primary has so many replicas that are up to date.
func (c *RedisCluster) await(replicas int) {
	c.t.Helper()
	for i, node := range c.Nodes {
		client := open(c.client, node)
		defer client.Close()
		await(c.t, "the Cluster is complete", func(ctx context.Context) bool {
			return strings.Contains(client.ClusterInfo(ctx).Val(), "cluster_state:ok") &&
				(i > 0 || strings.Contains(client.Info(ctx, "replication").Val(), fmt.Sprintf("connected_slaves:%d", replicas))) &&
				(i < 3 || strings.Contains(client.Info(ctx, "replication").Val(), "master_link_status:up"))
		})
	}
}

// Client connects to one of the nodes as the administrator. A replica answers for its keys, too.
func (c *RedisCluster) Client(node *RedisServer) *redis.Client {
	opts := *c.client
	opts.OnConnect = func(ctx context.Context, conn *redis.Conn) error { return conn.ReadOnly(ctx).Err() }
	return open(&opts, node)
}
