package bff

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// spentStore is a store that another replica has told of the same name a moment before.
type spentStore struct{ session.Store }

func (s spentStore) Consume(ctx context.Context, name string, keep time.Duration) error {
	return errors.Join(s.Store.Consume(ctx, name, keep), s.Store.Consume(ctx, name, keep))
}

// A token that comes to two replicas at the same time has done its work at both.
func TestBackchannelTwiceAtOnce(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	s := a.visitor("alice", "s1")
	a.store.Store = spentStore{a.store.Store}
	wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "s1")))
	if a.isOpen(s) {
		t.Error("the session is open")
	}
}

// racingStore runs something once, before a session is written.
type racingStore struct {
	session.Store
	once   sync.Once
	before func()
}

func (s *racingStore) Create(ctx context.Context, rec session.Record, terms session.Terms) error {
	s.once.Do(s.before)
	return s.Store.Create(ctx, rec, terms)
}

// BCL-25: a logout that overtakes a login wins. The user is told, and what was granted is revoked, once, unless it was for
// offline access (BCL-24).
func TestBackchannelLogoutDuringLogin(t *testing.T) {
	t.Parallel()
	for scope, revocations := range map[string]int{"profile": 1, "offline_access": 0} {
		t.Run(scope, func(t *testing.T) {
			a := newApp(t, func(o *setup) { o.RP[0].Scopes = []string{"openid", scope} })
			b := a.browser()
			callback := b.startLogin("")
			a.store.Store = &racingStore{Store: a.store.Store, before: func() {
				wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "")))
			}}
			b.wantFailed(b.get(callback))
			page := b.get("/bff/error")
			if !strings.Contains(page.body, "signed out at the sign-in service") || !strings.Contains(page.body, string(problem.LoginFailed)) {
				t.Errorf("the page says %s", page.body)
			}
			if err := a.Sessions.Close(t.Context()); err != nil { // which waits for the revocation
				t.Fatal(err)
			}
			if n := a.op.Count(optest.RevocationEndpoint); n != revocations {
				t.Errorf("%d revocations, want %d", n, revocations)
			}
		})
	}
}
