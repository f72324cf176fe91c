package e2e_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// redisServer is a real redis-server with a connection of the test's own.
type redisServer struct {
	*sessiontest.RedisServer
	t      *testing.T
	client *redis.Client
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	server := sessiontest.Redis(t)
	s := &redisServer{server, t, redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})}
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// dump returns every key with everything in it, as text. Nothing may be in Redis that this does not know how to read.
func (s *redisServer) dump() string {
	s.t.Helper()
	ctx := s.t.Context()
	keys, err := s.client.Keys(ctx, "*").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for _, key := range keys {
		var value any
		switch kind := s.client.Type(ctx, key).Val(); kind {
		case "string":
			value, err = s.client.Get(ctx, key).Result()
		case "hash":
			value, err = s.client.HGetAll(ctx, key).Result()
		case "set":
			value, err = s.client.SMembers(ctx, key).Result()
		case "zset":
			value, err = s.client.ZRangeWithScores(ctx, key, 0, -1).Result()
		case "list":
			value, err = s.client.LRange(ctx, key, 0, -1).Result()
		case "none": // it has just expired
			continue
		default:
			err = fmt.Errorf("the type %s", kind)
		}
		if err != nil {
			s.t.Fatalf("key %q: %v", key, err)
		}
		fmt.Fprintf(&b, "%s %v\n", key, value)
	}
	return b.String()
}

// monitor records every command that the server gets from now on.
func (s *redisServer) monitor() *transcript {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "MONITOR\r\n"); err != nil {
		s.t.Fatal(err)
	}
	got := &transcript{}
	go func() { _, _ = io.Copy(got, conn) }() // ends with the server or the test
	eventually(s.t, startTime, "MONITOR", func() bool { return strings.HasPrefix(got.String(), "+OK") })
	return got
}
