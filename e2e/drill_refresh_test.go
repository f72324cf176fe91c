//go:build drills

package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestDrillRotation: access tokens live for two seconds, every page asks three replicas at the same time, and the OP takes
// every refresh token once (RFR-20 to RFR-22).
func TestDrillRotation(t *testing.T) {
	const (
		sessions, bursts, replicas = 300, 34, 3 // 30 600 requests
		lifetime                   = 2 * time.Second
		period                     = lifetime - lifetime/3 // when a token is due for refresh
	)
	f := startFleet(t, replicas, persistentRedis(t).URL, lifetime, time.Minute)
	visitors := f.signIn(sessions)
	began, before := time.Now(), f.op.count(asked)
	tr := f.send(visitors, pace{every: 900 * time.Millisecond, bursts: bursts, patient: true})
	tr.end(false)
	took := time.Since(began)
	t.Logf("%d sessions, %d replicas: %s, in %v", sessions, replicas, tr, round(took))
	n := f.op.count(asked) - before
	t.Logf("%d refreshes, %.1f per session; at least %v between two of one session; %d families revoked; "+
		"an access token was at most %v too old at the API",
		n, float64(n)/sessions, round(f.op.pause()), f.op.revoked(), round(max(f.op.late, 0)))
	tr.want("200")
	f.all(visitors)
	// A refresh is sent up to some hundred milliseconds after the moment from which the gateway counts.
	if pause := f.op.pause(); pause < period*2/3 {
		t.Errorf("two refreshes of one session within %v, want one in %v", pause, period)
	}
	if most := sessions * (int(took/period) + 1); n > most {
		t.Errorf("%d refreshes, want at most %d", n, most)
	}
	if n < sessions*int(took/lifetime)*3/4 {
		t.Errorf("only %d refreshes: the drill was none", n)
	}
	if f.op.count(refused) > 0 {
		t.Errorf("the OP has refused %d refreshes", f.op.count(refused))
	}
	if f.op.late > time.Second {
		t.Errorf("an access token that had expired %v before came to the API", f.op.late)
	}
}

// TestDrillSlowOP: the token endpoint takes five seconds, and nobody waits for it while the old token is good (RFR-27).
func TestDrillSlowOP(t *testing.T) {
	const (
		sessions, slow = 60, 5 * time.Second
		lifetime       = 18 * time.Second // due after 12
	)
	f := startFleet(t, 2, persistentRedis(t).URL, lifetime, time.Minute)
	visitors := f.signIn(sessions)
	f.op.behaves(optest.OnRefresh(optest.TokenMember("expires_in", 300)))
	f.op.during(func(_ *family, gone <-chan struct{}, work func()) {
		work()
		select {
		case <-time.After(slow):
		case <-gone:
		}
	})
	tr := f.send(visitors, pace{every: 500 * time.Millisecond})
	eventually(t, 2*lifetime, "a refresh of every session", func() bool {
		return f.op.count(func(f *family) int { return len(f.answered) }) == 2*sessions
	})
	<-time.After(slow + time.Second)
	tr.end(true)
	t.Logf("%d sessions: %s; %d refreshes of %v each", sessions, tr, f.op.count(asked), slow)
	tr.want("200")
	if _, _, all := tr.slowest(); all > time.Second {
		t.Errorf("a request took %v", all)
	}
	f.op.wantRefreshes(t, sessions)
}

// TestDrillClientsGone: all browsers hang up while their sessions are being refreshed (RFR-24, RFR-25).
func TestDrillClientsGone(t *testing.T) {
	const sessions, lifetime = 100, time.Second
	f := startFleet(t, 2, persistentRedis(t).URL, lifetime, 0)
	visitors := f.signIn(sessions)
	awaitExpiry(t, lifetime)
	before := f.op.count(asked)
	f.op.behaves(optest.OnRefresh(optest.TokenMember("expires_in", 300)))
	release := make(chan struct{})
	f.op.during(func(_ *family, gone <-chan struct{}, work func()) {
		work()
		select {
		case <-release:
		case <-gone:
		}
	})
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan result)
	for _, v := range visitors {
		for _, g := range f.replicas {
			go func() { gone <- f.insist(ctx, g, v) }()
		}
	}
	eventually(t, startTime, "all refreshes at the OP", func() bool { return f.op.count(asked)-before >= sessions })
	hangUp()
	answered := 0
	for range sessions * len(f.replicas) {
		if (<-gone).api != nil {
			answered++
		}
	}
	close(release)
	f.all(visitors)
	t.Logf("%d sessions, %d requests: %d answered, the others hung up; %d refreshes, %d families revoked",
		sessions, sessions*len(f.replicas), answered, f.op.count(asked)-before, f.op.revoked())
	f.op.wantRefreshes(t, before+sessions)
	if answered > 0 {
		t.Errorf("%d requests were answered before the OP was", answered)
	}
}
