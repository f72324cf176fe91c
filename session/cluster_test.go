package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// backend makes stores for one test. What it returns opens the same store again, as another replica does.
type backend struct {
	name string
	open func(t *testing.T) (replica func() session.Store)
}

var backends = []backend{{"memory", func(*testing.T) func() session.Store {
	store := memstore.New()
	return func() session.Store { return store }
}}}

// everywhere runs a test on every backend, beside other tests: most of its time it waits for a server.
func everywhere(t *testing.T, test func(t *testing.T, open func() session.Store)) {
	t.Parallel()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) { test(t, b.open(t)) })
	}
}

// cluster is some replicas on one store, with one clock and one OP.
type cluster struct {
	t        *testing.T
	store    session.Store
	op       *testOP
	ring     *session.KeyRing
	managers []*session.Manager
	ahead    atomic.Int64 // of the real clock, in nanoseconds

	mu     sync.Mutex
	events []session.Event
}

func newCluster(t *testing.T, open func() session.Store, replicas int) *cluster {
	c := &cluster{t: t, ring: session.NewKeyRing()}
	c.op = &testOP{now: c.now, current: map[string]bool{}}
	for range replicas {
		c.store = open()
		c.managers = append(c.managers, session.NewManager(c.store, c.ring, c.options()))
	}
	return c
}

func (c *cluster) options() session.Options {
	return session.Options{
		IdleTimeout: 30 * time.Minute, Lifetime: 2 * time.Hour, RefreshBefore: time.Minute,
		Refresher: c.op, RevokeTokens: true, Now: c.now, OnEvent: c.note,
	}
}

func (c *cluster) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *cluster) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func (c *cluster) note(_ context.Context, e session.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

// kinds are the kinds of the events so far, with the reasons of ends, sorted.
func (c *cluster) kinds() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var kinds []string
	for _, e := range c.events {
		kind := string(e.Kind)
		if e.Reason != "" {
			kind += " " + string(e.Reason)
		}
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

func (c *cluster) login() *session.Session {
	c.t.Helper()
	s, err := c.managers[0].Create(c.t.Context(), session.Login{
		Provider: "default", Issuer: "https://op.example.com", Subject: "alice", SID: "sid-1",
		Identity: []byte(`{"sub":"alice"}`), Claims: map[string]json.RawMessage{"name": json.RawMessage(`"Alice"`)},
		Tokens: c.op.grant(), UserAgent: "test",
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// close waits for the work under way in all replicas.
func (c *cluster) close() {
	c.t.Helper()
	for _, m := range c.managers {
		if err := m.Close(context.Background()); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) wantCalls(want int) {
	c.t.Helper()
	if calls, reused := c.op.count(); calls != want || reused != 0 {
		c.t.Errorf("the OP saw %d refreshes and %d reused tokens, want %d and 0", calls, reused, want)
	}
}

func (c *cluster) wantEvents(want ...string) {
	c.t.Helper()
	slices.Sort(want)
	if got := c.kinds(); !slices.Equal(got, want) {
		c.t.Errorf("events %q, want %q", got, want)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error %v, want %v", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// receive fails the test instead of hanging.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came in 10 seconds")
		panic("unreachable")
	}
}
