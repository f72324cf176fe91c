//go:build !short

package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	t.Parallel()
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

// TestDump is CK-08, SES-10 and RFR-34: the server's whole memory, as it writes it to disk, holds nothing that opens
// anything.
func TestDump(t *testing.T) {
	t.Parallel()
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

// TestLeaseAfterHang: what Redis was asked before it hung it does when it goes on, for callers that have given up. Their
// leases delay nobody.
func TestLeaseAfterHang(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	c := newCluster(t, replicas(t, server), 1)
	m := c.managers[0]
	first, s := c.login(), c.login()
	c.advance(tokenLife)
	_, err := m.Fresh(t.Context(), first) // Redis has the script now
	must(t, err)
	server.Pause()
	_, err = m.Fresh(t.Context(), s)
	if !isUnavailable(err) {
		t.Fatal(err)
	}
	server.Resume()
	for begin := time.Now(); ; {
		_, err = m.Fresh(t.Context(), s)
		if err == nil {
			break
		}
		if !isUnavailable(err) || time.Since(begin) > 5*time.Second {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
	}
	c.wantCalls(2)
}

// TestStoreFull: a server without free memory takes nothing new, and sessions end all the same.
func TestStoreFull(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	c := newCluster(t, replicas(t, server), 1)
	m := c.managers[0]
	s, idle := c.login(), c.login()
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	must(t, client.ConfigSet(t.Context(), "maxmemory", "1mb").Err())
	if err := m.Consume(t.Context(), "state", time.Minute); !isUnavailable(err) {
		t.Fatalf("error %v: the server still has memory", err)
	}
	must(t, m.End(t.Context(), s, session.ReasonLogout))
	must(t, m.End(t.Context(), s, session.ReasonLogout))
	_, err := m.Open(t.Context(), s.Ticket())
	wantError(t, err, session.ErrEnded)
	c.advance(31 * time.Minute)
	must(t, m.Sweep(t.Context()))
	_, err = m.Open(t.Context(), idle.Ticket())
	wantError(t, err, session.ErrIdle)
}

// TestMalformedInStore: whatever somebody has made of one session's keys, the sweep ends that session and the others.
func TestMalformedInStore(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	for name, spoil := range map[string]func(id string) error{
		"version":     func(id string) error { return client.HSet(t.Context(), "cloakroom:rec:{"+id+"}", "v", "x").Err() },
		"description": func(id string) error { return client.HSet(t.Context(), "cloakroom:rec:{"+id+"}", "m", "{").Err() },
		"activity":    func(id string) error { return client.Set(t.Context(), "cloakroom:act:{"+id+"}", "x", time.Hour).Err() },
	} {
		c := newCluster(t, replicas(t, server), 1)
		m := c.managers[0]
		s := c.login()
		c.advance(time.Second)
		later := c.login()
		must(t, spoil(string(s.ID)))
		if _, err := m.Open(t.Context(), s.Ticket()); isUnavailable(err) {
			t.Errorf("%s: %v for as long as the record is kept", name, err)
		}
		c.advance(31 * time.Minute)
		must(t, m.Sweep(t.Context()))
		for _, s := range []*session.Session{s, later} {
			if _, _, err := c.store.Load(t.Context(), s.ID); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: still there: %v", name, err)
			}
		}
	}
}

// TestLostWrite is RFR-31: a server that has lost the newest write has a refresh token that was used before. The OP says
// so, once, and the user logs in again, once.
func TestLostWrite(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	c := newCluster(t, replicas(t, server), 2)
	s := c.login()
	key := "cloakroom:rec:{" + string(s.ID) + "}"
	before, err := client.HGetAll(t.Context(), key).Result()
	must(t, err)
	c.advance(tokenLife)
	_, err = c.managers[0].Fresh(t.Context(), s)
	must(t, err)
	c.advance(tokenLife)
	must(t, client.HSet(t.Context(), key, before).Err())
	for range 3 {
		for _, m := range c.managers {
			old, err := m.Open(t.Context(), s.Ticket())
			if err == nil {
				_, err = m.Fresh(t.Context(), old)
			}
			wantError(t, err, session.ErrEnded)
		}
	}
	if calls, reused := c.op.count(); calls != 2 || reused != 1 {
		t.Errorf("the OP saw %d refreshes and %d reused tokens, want 2 and 1", calls, reused)
	}
	again := c.login()
	c.advance(tokenLife)
	_, err = c.managers[1].Fresh(t.Context(), again)
	must(t, err)
	c.close()
	c.wantEvents("login", "refreshed", "refresh_failed", "ended grant_refused", "revoked", "login", "refreshed")
}
