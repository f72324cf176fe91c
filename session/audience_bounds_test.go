package session_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// TestManyResources: a session has at most 32 tokens beside its own, of which those that expire first go.
func TestManyResources(t *testing.T) {
	c := newCluster(t, func() session.Store { return memstore.New() }, 1)
	m := c.managers[0]
	s := c.login()
	resource := func(i int) session.Audience {
		return session.Audience{Resource: fmt.Sprintf("https://%d.example.com", i)}
	}
	for i := range 40 {
		c.advance(time.Millisecond)
		_, err := call(m, s.Ticket(), resource(i))
		must(t, err)
	}
	s, err := m.Reopen(t.Context(), s)
	must(t, err)
	if n := len(s.Resources()); n != 32 || s.Resources()[0] == resource(0).Resource {
		t.Errorf("%d tokens: %q", n, s.Resources())
	}
	c.advance(tokenLife)
	_, err = call(m, s.Ticket(), orders)
	must(t, err)
	s, err = m.Reopen(t.Context(), s)
	must(t, err)
	if got := s.Resources(); len(got) != 1 {
		t.Errorf("expired tokens are kept: %q", got)
	}
}

// TestResourceGivesWay is RFR-20 and RFR-29 where a replica that had the lease cannot store what the OP sent: the next one
// does not send the spent refresh token for another audience.
func TestResourceGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New()
		c := newCluster(t, func() session.Store { return shared }, 1)
		defer c.close()
		s := c.login()
		store := &cutStore{Store: c.store}
		holder := session.NewManager(store, c.ring, c.options())
		c.managers = append(c.managers, holder)
		c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
			store.cut.Store(true)
			return got, nil
		}
		_, err := holder.TokenFor(t.Context(), s, orders)
		wantError(t, err, session.ErrRefreshUnavailable)
		c.op.answer = nil
		time.Sleep(11 * time.Second) // the lease has run out
		go func() {
			time.Sleep(100 * time.Millisecond)
			store.cut.Store(false)
		}()
		token, err := call(c.managers[0], s.Ticket(), stock)
		must(t, err)
		if !isFor(token, stock) {
			t.Errorf("got %s", token.Reveal())
		}
		c.wantCalls(2)
	})
}
