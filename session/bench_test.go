package session_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

// benchOP answers at once. Its tokens have the size of usual ones.
type benchOP struct {
	session.Refresher // for what no benchmark asks

	ahead  atomic.Int64 // of the real clock, in nanoseconds
	serial atomic.Int64
}

var jwt = strings.Repeat("x", 1200)

func (op *benchOP) now() time.Time { return time.Now().Add(time.Duration(op.ahead.Load())) }

func (op *benchOP) grant() session.Tokens {
	serial := op.serial.Add(1)
	return session.Tokens{
		Access: secret.New(fmt.Sprint(serial, jwt)), Refresh: secret.New(fmt.Sprint(serial)), ID: secret.New(jwt),
		IssuedAt: op.now(), ExpiresAt: op.now().Add(tokenLife), Scope: []string{"openid", "profile"},
	}
}

func (op *benchOP) Refresh(context.Context, *session.Session) (*session.Refreshed, error) {
	return &session.Refreshed{Tokens: op.grant()}, nil
}

func (op *benchOP) Claims(context.Context, *session.Session) (map[string]json.RawMessage, error) {
	return nil, nil
}

func (op *benchOP) Revoke(context.Context, string, session.Tokens) error { return nil }

func (op *benchOP) manager(b *testing.B, store session.Store, cache int) *session.Manager {
	m := session.NewManager(store, session.NewKeyRing(), session.Options{
		IdleTimeout: 10000 * time.Hour, Lifetime: 10000 * time.Hour, RefreshBefore: time.Minute,
		Refresher: op, Now: op.now, CacheSize: 50_000, Uncached: cache == 0,
	})
	b.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

func (op *benchOP) login(b *testing.B, m *session.Manager, subject string) *session.Session {
	s, err := m.Create(b.Context(), session.Login{
		Provider: "default", Issuer: "https://op.example.com", Subject: subject, SID: subject, Tokens: op.grant(),
		Identity:  []byte(`{"iss":"https://op.example.com","sub":"alice","iat":1763800000,"auth_time":1763800000}`),
		Claims:    map[string]json.RawMessage{"name": json.RawMessage(`"Alice"`), "email": json.RawMessage(`"a@example.com"`)},
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// benchmarkOpen is an API call as far as sessions go.
func benchmarkOpen(b *testing.B, store session.Store, cache int) {
	op := &benchOP{}
	m := op.manager(b, store, cache)
	ticket := op.login(b, m, "alice").Ticket()
	if cache > 0 {
		for deadline := time.Now().Add(10 * time.Second); time.Since(store.HeardAt()) > time.Second; {
			if time.Now().After(deadline) {
				b.Fatal("the store hears nothing")
			}
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s, err := m.Open(b.Context(), ticket)
			if err == nil {
				s, err = m.Fresh(b.Context(), s)
			}
			if err == nil {
				_, err = m.Touch(b.Context(), s)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	b.Run("store=memory/cache=on", func(b *testing.B) { benchmarkOpen(b, memstore.New(), 50_000) })
	b.Run("store=memory/cache=off", func(b *testing.B) { benchmarkOpen(b, memstore.New(), 0) })
}

// BenchmarkRefresh is ten thousand sessions whose access tokens have expired, each asked for by one request, a hundred
// at a time.
func BenchmarkRefresh(b *testing.B) {
	const sessions, atOnce = 10_000, 100
	op := &benchOP{}
	m := op.manager(b, memstore.New(), 50_000)
	all := make([]*session.Session, sessions)
	for i := range all {
		all[i] = op.login(b, m, fmt.Sprint("user ", i))
	}
	logins := op.serial.Load()
	b.ReportAllocs()
	for b.Loop() {
		op.ahead.Add(int64(2 * tokenLife))
		var next atomic.Int64
		var work sync.WaitGroup
		for range atOnce {
			work.Go(func() {
				for i := next.Add(1) - 1; i < sessions; i = next.Add(1) - 1 {
					s, err := m.Fresh(b.Context(), all[i])
					if err != nil {
						b.Error(err)
						return
					}
					all[i] = s
				}
			})
		}
		work.Wait()
	}
	if got := op.serial.Load() - logins; got != int64(b.N)*sessions {
		b.Errorf("%d refreshes in %d rounds of %d", got, b.N, sessions)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sessions, "ns/refresh")
}
