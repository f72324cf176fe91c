package session

import (
	"fmt"
	"testing"
	"time"
)

// TestExchangesAreBounded: a replica keeps so many, and forgets first what is of no use.
func TestExchangesAreBounded(t *testing.T) {
	now := time.Now()
	e := exchanges{of: map[ID][]*exchange{}}
	add := func(id string, expires time.Time) {
		e.add(&exchange{session: &Session{ID: ID(id)}, token: AudienceToken{ExpiresAt: expires}}, now)
	}
	for i := range maxExchanges {
		add(fmt.Sprint(i), now.Add(time.Hour))
	}
	for i := range 100 {
		add(fmt.Sprint("more ", i), now.Add(time.Hour))
	}
	listed := 0
	for _, list := range e.of {
		listed += len(list)
	}
	if e.count != maxExchanges || listed != maxExchanges {
		t.Errorf("%d are counted and %d are there", e.count, listed)
	}
	e.prune(now.Add(time.Hour))
	if e.count != 0 || len(e.of) != 0 {
		t.Errorf("%d are left, of %d sessions", e.count, len(e.of))
	}
}
