//go:build !short

package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

func init() {
	backends = append(backends, backend{"redis", func(t *testing.T) func() session.Store {
		return replicas(t, sessiontest.Redis(t))
	}})
}

func replicas(t *testing.T, server *sessiontest.RedisServer) func() session.Store {
	return func() session.Store {
		store, err := redisstore.Open(server.URL, redisstore.Options{})
		must(t, err)
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
}

// TestStoreDown is SES-12 and RFR-30: without the store there is no answer about a session, and no refresh.
func TestStoreDown(t *testing.T) {
	for name, fail := range map[string]func(*sessiontest.RedisServer){
		"stopped": (*sessiontest.RedisServer).Stop,
		"hanging": (*sessiontest.RedisServer).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := sessiontest.Redis(t)
			c := newCluster(t, replicas(t, server), 1)
			m := c.managers[0]
			s := c.login()
			c.advance(tokenLife)
			fail(server)
			var calls sync.WaitGroup
			for name, call := range map[string]func() error{
				"Open":    func() error { _, err := m.Open(t.Context(), s.Ticket()); return err },
				"Touch":   func() error { _, err := m.Touch(t.Context(), s); return err },
				"Fresh":   func() error { _, err := m.Fresh(t.Context(), s); return err },
				"End":     func() error { return m.End(t.Context(), s, session.ReasonLogout) },
				"Consume": func() error { return m.Consume(t.Context(), "state", time.Minute) },
				"Ping":    func() error { return m.Ping(t.Context()) },
				"Create":  func() error { _, err := m.Create(t.Context(), session.Login{Tokens: c.op.grant()}); return err },
			} {
				calls.Go(func() {
					begin := time.Now()
					if err := call(); !isUnavailable(err) {
						t.Errorf("%s: %v, want ErrStoreUnavailable", name, err)
					}
					if took := time.Since(begin); took > 1500*time.Millisecond {
						t.Errorf("%s took %v", name, took)
					}
				})
			}
			calls.Wait()
			c.wantCalls(0)
		})
	}
}

// TestStoreFailsDuringRefresh: what the OP sent is stored when Redis is back, and not lost.
func TestStoreFailsDuringRefresh(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	c := newCluster(t, replicas(t, server), 1)
	m := c.managers[0]
	s := c.login()
	c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
		server.Pause()
		return got, nil
	}
	c.advance(tokenLife)
	time.AfterFunc(1500*time.Millisecond, server.Resume)
	got, err := m.Fresh(t.Context(), s)
	must(t, err)
	stored, err := m.Open(t.Context(), s.Ticket())
	must(t, err)
	if !stored.Tokens.Refresh.Equal(got.Tokens.Refresh) || got.Tokens.Refresh.Equal(s.Tokens.Refresh) {
		t.Error("the rotated token is lost")
	}
	c.wantCalls(1)
}

// TestDump is CK-08 and SES-10: the server's whole memory, as it writes it to disk, holds nothing that opens anything.
func TestDump(t *testing.T) {
	dir := t.TempDir()
	server := sessiontest.Redis(t, "--dir", dir, "--rdbcompression", "no")
	c := newCluster(t, replicas(t, server), 1)
	m := c.managers[0]
	live, ended := c.login(), c.login()
	live.Claims["x"] = json.RawMessage(`"marker-claim"`)
	c.advance(tokenLife)
	refreshed, err := m.Fresh(t.Context(), live)
	must(t, err)
	_, err = m.Touch(t.Context(), refreshed)
	must(t, err)
	must(t, m.End(t.Context(), ended, session.ReasonLogout))
	must(t, m.Consume(t.Context(), "marker-state", time.Hour))
	_, err = c.store.Acquire(t.Context(), live.ID, "owner", time.Hour)
	must(t, err)

	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	must(t, client.Save(t.Context()).Err())
	dump, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	must(t, err)
	if !bytes.Contains(dump, []byte("alice")) {
		t.Fatal("the dump is not readable")
	}
	for _, secret := range []string{"marker-", live.Ticket().Reveal(), ended.Ticket().Reveal()} {
		if bytes.Contains(dump, []byte(secret)) {
			t.Errorf("%.7s... is in Redis in clear", secret)
		}
	}
	for _, key := range client.Keys(t.Context(), "*").Val() {
		if ttl := client.TTL(t.Context(), key).Val(); ttl <= 0 && key != "cloakroom:due" {
			t.Errorf("%s lives for ever", key)
		}
		if !strings.HasPrefix(key, "cloakroom:") {
			t.Errorf("%s is outside of the prefix", key)
		}
	}
}
