//go:build drills

package e2e_test

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// sealedSize is how many bytes the sealed part of a session has whose access and ID tokens are JWTs of 1 kB or so.
const sealedSize = 3000

// TestDrillMillion: there are a million sessions in Redis. They cost memory, and nothing else: logins and calls take as
// long as with a few, and an operator who lists them holds nobody up.
func TestDrillMillion(t *testing.T) {
	const lifetime = 10 * time.Minute
	settings := []string{"cache: off"} // so that every call asks Redis
	few := startFleet(t, 1, sessiontest.Redis(t).URL, lifetime, time.Minute, settings...)
	server := sessiontest.Redis(t)
	full := startFleet(t, 1, server.URL, lifetime, time.Minute, settings...)
	crowd := newCrowd(t, full, server)
	sessions := crowd.fits(1_000_000)
	before := crowd.memory()
	began := time.Now()
	crowd.fill(sessions)
	used := crowd.memory() - before
	t.Logf("%d sessions in %v: %d MiB, %d bytes per session, %d of them sealed; %s",
		sessions, round(time.Since(began)), used>>20, used/int64(sessions), sealedSize, crowd.breakdown(sessions))
	if each := used / int64(sessions); each > sealedSize+2000 {
		t.Errorf("%d bytes per session", each)
	}

	a, b := openStore(t, few), openStore(t, full)
	compare(t, "Create and Delete of the store", 1000, a.createAndDelete, b.createAndDelete)
	visitorsA, visitorsB := few.signIn(20), full.signIn(20)
	compare(t, "an API call", 2000,
		func(i int) { few.callWell(visitorsA[i%20]) }, func(i int) { full.callWell(visitorsB[i%20]) })
	compare(t, "a login", 100, func(int) { few.signIn(1) }, func(int) { full.signIn(1) })
	crowd.inspect(visitorsB, sessions)
}

// compare measures the same work with a few sessions and with very many, in turns, so that a busy machine is the same
// for both.
func compare(t *testing.T, what string, times int, few, full func(i int)) {
	t.Helper()
	var took [2][]time.Duration
	for i := range times {
		for which, work := range []func(int){few, full} {
			began := time.Now()
			work(i)
			took[which] = append(took[which], time.Since(began))
		}
	}
	for _, each := range took {
		slices.Sort(each)
	}
	at := func(percent int) (few, full time.Duration, ratio float64) {
		n := times * percent / 100
		return took[0][n], took[1][n], float64(took[1][n]) / float64(took[0][n])
	}
	fewHalf, fullHalf, half := at(50)
	fewMost, fullMost, most := at(99)
	t.Logf("%s, %d times with few sessions and with very many: half within %v and %v (ratio %.2f), "+
		"99 %% within %v and %v (ratio %.2f)",
		what, times, fine(fewHalf), fine(fullHalf), half, fine(fewMost), fine(fullMost), most)
	if half > 1.5 {
		t.Errorf("%s takes %.2f times as long", what, half)
	}
}

func fine(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// callWell is a call that has to succeed.
func (f *fleet) callWell(v *visitor) {
	f.t.Helper()
	if got := f.call(f.t.Context(), f.replicas[0], v); got.outcome != "200" {
		f.t.Fatalf("a call: %s", got.outcome)
	}
}

// openedStore is the store of a fleet, in the hands of the test.
type openedStore struct {
	*redisstore.Store
	t *testing.T
}

func openStore(t *testing.T, f *fleet) openedStore {
	t.Helper()
	s, err := redisstore.Open(f.replicas[0].config.Store, redisstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return openedStore{s, t}
}

// createAndDelete is what a login and a logout do to the store.
func (s openedStore) createAndDelete(int) {
	s.t.Helper()
	now := time.Now()
	rec := session.Record{
		ID: session.NewTicket().ID(), Version: 1, Sealed: make([]byte, sealedSize),
		Provider: "default", Issuer: "https://op.example.com", Subject: rand.Text(), SID: rand.Text(),
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	err := s.Create(s.t.Context(), rec, session.Terms{Keep: time.Hour, KeepActivity: time.Hour, Due: now.Add(time.Hour)})
	if err == nil {
		_, err = s.Delete(s.t.Context(), rec.ID, session.ReasonLogout)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
