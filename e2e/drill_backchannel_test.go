//go:build drills

package e2e_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDrillEndBySubject: the OP says that a user has signed out, while the tokens of all of the user's sessions are being
// refreshed through three replicas. Of half of them the OP's answers come one after the other in the course of the
// logout, of the others when it is done. None lives on (BCL-18, BCL-25, RFR-24). What the OP gives to a session that has
// ended is not revoked, since it was granted for offline access (BCL-24).
func TestDrillEndBySubject(t *testing.T) {
	const sessions, replicas, lifetime = 100, 3, 2 * time.Second
	f := startFleet(t, replicas, persistentRedis(t).URL, lifetime, 0)
	visitors := f.signIn(sessions) // all of them are alice
	f.op.SignIn("bob")
	others := f.signIn(10)
	awaitExpiry(t, lifetime)

	before := f.op.count(asked)
	answers := map[int]chan struct{}{} // by family
	for _, v := range visitors {
		answers[v.family] = make(chan struct{})
	}
	f.op.during(func(of *family, gone <-chan struct{}, work func()) {
		work()
		if answer, ok := answers[of.number]; ok {
			select {
			case <-answer:
			case <-gone:
			}
		}
	})
	waiting := make(chan result)
	for i, v := range visitors {
		go func() { waiting <- f.insist(t.Context(), f.replicas[i%replicas], v) }()
	}
	eventually(t, startTime, "all refreshes at the OP", func() bool { return f.op.count(asked)-before >= sessions })

	token, err := f.op.LogoutToken(f.replicas[0].config.ClientID, "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	meanwhile, afterwards := visitors[:sessions/2], visitors[sessions/2:]
	go func() {
		for _, v := range meanwhile {
			close(answers[v.family])
			<-time.After(4 * time.Millisecond)
		}
	}()
	began := time.Now()
	if status := f.logoutToken(f.replicas[0], token); status != http.StatusOK {
		t.Fatalf("the logout token: %d", status)
	}
	took := time.Since(began)
	seen := f.gone(visitors, time.Now())
	for _, v := range afterwards {
		close(answers[v.family])
	}
	outcomes := map[string]int{}
	for range visitors {
		outcomes[(<-waiting).outcome]++
	}
	f.gone(visitors, time.Now()) // still
	t.Logf("%d sessions whose tokens are being refreshed, one logout token: done after %v, seen by all replicas %v later; "+
		"who waited for the refresh got %v; %d fresh refresh tokens revoked, the others lost with the records",
		sessions, round(took), round(seen), outcomes, len(f.op.freshRevoked()))
	for outcome := range outcomes {
		if !slices.Contains([]string{"200", "401 session_ended"}, outcome) {
			t.Errorf("%d times %s", outcomes[outcome], outcome)
		}
	}
	f.all(others)
}

// logoutToken brings a logout token to a replica, as an OP does.
func (f *fleet) logoutToken(g *gateway, token string) int {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "http://"+g.config.Listen+"/bff/backchannel-logout",
		strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Host = f.host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := f.clients.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	if text := readAll(f.t, res); res.StatusCode != http.StatusOK {
		f.t.Log(text)
	}
	return res.StatusCode
}

// gone waits until every replica says of every visitor that the session has ended, and returns how long after a moment
// the last one was still served.
func (f *fleet) gone(visitors []*visitor, since time.Time) (last time.Duration) {
	f.t.Helper()
	for _, v := range visitors {
		for _, g := range f.replicas {
			served, outcome := f.untilGone(g, v, since)
			last = max(last, served)
			if outcome != "401 session_ended" {
				f.t.Errorf("a session that has ended, in the end: %s", outcome)
			}
		}
	}
	if last > staleness {
		f.t.Errorf("a session was served %v after its end", last)
	}
	return last
}

// staleness is the longest for which a session may be served that has ended elsewhere: the bound of the cache, and what
// a busy machine adds to a request.
const staleness = 2*time.Second + 300*time.Millisecond

// untilGone calls until the answer is neither 200 nor 503, for ten seconds at most. It returns how long after a moment
// the last call was begun that was served, and what the last answer was.
func (f *fleet) untilGone(g *gateway, v *visitor, since time.Time) (served time.Duration, outcome string) {
	for end := since.Add(10 * time.Second); ; <-time.After(2 * time.Millisecond) {
		begun := time.Now()
		outcome = f.call(f.t.Context(), g, v).outcome
		switch {
		case outcome == "200":
			served = begun.Sub(since)
		case !strings.HasPrefix(outcome, "503"):
			return served, outcome
		}
		if time.Now().After(end) {
			return served, outcome
		}
	}
}
