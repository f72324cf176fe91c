//go:build drills

package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestDrillLogoutDuringRefresh: people sign out at one replica while another one refreshes their tokens. They stay signed
// out, and what the OP gave to nobody is revoked there (RFR-24).
func TestDrillLogoutDuringRefresh(t *testing.T) {
	const sessions, lifetime = 50, 2 * time.Second
	f := startFleet(t, 2, persistentRedis(t).URL, lifetime, 0)
	visitors := f.signIn(sessions)
	awaitExpiry(t, lifetime)
	before := f.op.count(asked)
	release := make(chan struct{})
	f.op.during(func(_ *family, gone <-chan struct{}, work func()) {
		work()
		select {
		case <-release:
		case <-gone:
		}
	})
	waiting := make(chan result)
	for _, v := range visitors {
		go func() { waiting <- f.insist(t.Context(), f.replicas[0], v) }()
	}
	eventually(t, startTime, "all refreshes at the OP", func() bool { return f.op.count(asked)-before >= sessions })
	outcomes := map[string]int{}
	for _, v := range visitors {
		outcomes["signed out: "+f.request(t.Context(), f.replicas[1], v, http.MethodPost, "/bff/logout").outcome]++
	}
	close(release)
	for range visitors {
		outcomes["waited for the refresh: "+(<-waiting).outcome]++
	}
	for _, v := range visitors {
		for _, g := range f.replicas {
			outcomes["afterwards: "+f.call(t.Context(), g, v).outcome]++
		}
	}
	// Each session has an old pair of tokens, which the logout revokes, and a fresh one.
	eventually(t, startTime, "the revocation of every fresh token", func() bool { return len(f.op.freshRevoked()) == sessions })
	t.Logf("%d sessions: %v; %d fresh refresh tokens revoked, of %d", sessions, outcomes, len(f.op.freshRevoked()), sessions)
	want := map[string]int{
		"signed out: 200": sessions,
		"waited for the refresh: 401 session_ended": sessions,
		"afterwards: 401 session_ended":             2 * sessions,
	}
	for outcome, n := range outcomes {
		if want[outcome] != n {
			t.Errorf("%d times %s, want %d", n, outcome, want[outcome])
		}
	}
}

// freshRevoked returns the families whose newest refresh token was revoked at the OP.
func (l *ledger) freshRevoked() map[int]bool {
	newest := map[*family]time.Time{}
	revoked := map[*family]time.Time{}
	requests := l.Requests(optest.RevocationEndpoint)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, token := range l.tokens {
		if token.at.After(newest[token.family]) {
			newest[token.family] = token.at
		}
	}
	for _, r := range requests {
		if token, ok := l.tokens[r.Form.Get("token")]; ok && token.at.After(revoked[token.family]) {
			revoked[token.family] = token.at
		}
	}
	fresh := map[int]bool{}
	for f, at := range newest {
		if revoked[f].Equal(at) {
			fresh[f.number] = true
		}
	}
	return fresh
}
