package sessiontest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisSentinels are a primary, a replica and three Sentinels that watch them, as processes on loopback. A dead
// primary is replaced within two seconds or so, sometimes six: Sentinels that do not agree wait before they try again.
type RedisSentinels struct {
	URL       string // redis+sentinel:// or rediss+sentinel://, without credentials
	Servers   [2]*RedisServer
	Sentinels [3]*RedisServer

	t                testing.TB
	client           *redis.Options // for the test's own connections to a server, without an address
	sentinelPassword string
}

// SentinelOptions are what can differ from an open set-up without TLS.
type SentinelOptions struct {
	Certs            *Certs   // nil: no TLS
	Args             []string // for both servers
	User, Password   string   // an administrator of the servers: of the replica, the Sentinels and the test
	SentinelPassword string
}

// primaryName is what the Sentinels call the primary.
const primaryName = "mymaster"

// Sentinels starts servers and Sentinels that are stopped when the test ends.
func Sentinels(t testing.TB, opts SentinelOptions) *RedisSentinels {
	t.Helper()
	s := &RedisSentinels{t: t, client: clientOptions(t, opts.Certs), sentinelPassword: opts.SentinelPassword}
	s.client.Username, s.client.Password = opts.User, opts.Password
	args := append([]string{"--repl-diskless-sync-delay", "0"}, opts.Args...)
	if opts.Certs != nil {
		args = append(args, "--tls-replication", "yes",
			"--tls-client-cert-file", opts.Certs.ClientCert, "--tls-client-key-file", opts.Certs.ClientKey)
	}
	if opts.Password != "" {
		args = append(args, "--masteruser", opts.User, "--masterauth", opts.Password)
	}
	s.Servers[0] = startRedis(t, opts.Certs, args)
	s.Servers[1] = startRedis(t, opts.Certs, append(args, replicaOf(s.Servers[0].Addr)...))
	s.startSentinels(opts)
	s.URL = s.Sentinels[0].scheme() + "+sentinel://" + strings.Join([]string{
		s.Sentinels[0].Addr, s.Sentinels[1].Addr, s.Sentinels[2].Addr,
	}, ",") + "/" + primaryName
	s.awaitReplica()
	return s
}

func replicaOf(addr string) []string {
	host, port, _ := net.SplitHostPort(addr)
	return []string{"--replicaof", host, port}
}

// startSentinels writes down for each what it would find out about the others in some seconds.
func (s *RedisSentinels) startSentinels(opts SentinelOptions) {
	s.t.Helper()
	var addrs, ids [3]string
	for i := range addrs {
		addrs[i], ids[i] = freeAddr(s.t), nodeID()
	}
	for i := range s.Sentinels {
		config := &strings.Builder{}
		line := func(format string, args ...any) { fmt.Fprintf(config, format+"\n", args...) }
		hostPort := func(addr string) string { return strings.Replace(addr, ":", " ", 1) }
		line("sentinel myid %s", ids[i])
		line("sentinel monitor %s %s 2", primaryName, hostPort(s.Servers[0].Addr))
		line("sentinel down-after-milliseconds %s 500", primaryName)
		line("sentinel failover-timeout %s 2000", primaryName)
		if opts.Password != "" {
			line("sentinel auth-user %s %s", primaryName, opts.User)
			line("sentinel auth-pass %s %s", primaryName, opts.Password)
		}
		if opts.SentinelPassword != "" {
			line("requirepass %s", opts.SentinelPassword)
			line("sentinel sentinel-pass %s", opts.SentinelPassword)
		}
		if opts.Certs != nil {
			line("tls-replication yes")
			line("tls-client-cert-file %s", opts.Certs.ClientCert)
			line("tls-client-key-file %s", opts.Certs.ClientKey)
		}
		line("sentinel known-replica %s %s", primaryName, hostPort(s.Servers[1].Addr))
		for other := range addrs {
			if other != i {
				line("sentinel known-sentinel %s %s %s", primaryName, hostPort(addrs[other]), ids[other])
			}
		}
		file := filepath.Join(s.t.TempDir(), "sentinel.conf")
		if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
			s.t.Fatal(err)
		}
		s.Sentinels[i] = startRedisAt(s.t, addrs[i], opts.Certs, []string{"--sentinel"}, file)
	}
	for _, sentinel := range s.Sentinels {
		client := s.sentinel(sentinel)
		defer client.Close()
		await(s.t, "the Sentinels agree", func(ctx context.Context) bool {
			replicas, _ := client.Replicas(ctx, primaryName).Result()
			return client.CkQuorum(ctx, primaryName).Err() == nil && len(replicas) == 1 && replicas[0]["flags"] == "slave"
		})
	}
}

// Failover orders one, which the Sentinels carry out while the primary is alive. It comes back as the replica.
func (s *RedisSentinels) Failover() {
	s.t.Helper()
	client := s.sentinel(s.Sentinels[0])
	defer client.Close()
	if err := client.Failover(s.t.Context(), primaryName).Err(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *RedisSentinels) sentinel(server *RedisServer) *redis.SentinelClient {
	opts := *s.client
	opts.Addr, opts.Username, opts.Password = server.Addr, "", s.sentinelPassword
	return redis.NewSentinelClient(&opts)
}

// awaitReplica waits until the replica has everything.
func (s *RedisSentinels) awaitReplica() {
	s.t.Helper()
	client := s.Client(s.Servers[0])
	defer client.Close()
	await(s.t, "the replica is there", func(ctx context.Context) bool {
		return client.Wait(ctx, 1, time.Second).Val() == 1
	})
}

// Client connects to one of the servers as the administrator.
func (s *RedisSentinels) Client(server *RedisServer) *redis.Client { return open(s.client, server) }

// nodeID names a Sentinel or a node of a Cluster.
func nodeID() string {
	id := make([]byte, 20)
	_, _ = rand.Read(id)
	return hex.EncodeToString(id)
}
