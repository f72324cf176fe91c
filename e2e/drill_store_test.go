//go:build drills

package e2e_test

import (
	"testing"
	"time"
)

// decided is the longest that a request may take while the store is silent: the budget of two calls, with the race
// detector on a busy machine.
const decided = 2500 * time.Millisecond

// wantFromMemory wants that sessions were not served from memory for longer than the cache may, since Redis is gone. The
// last calls of an outage may see its end.
func wantFromMemory(t *testing.T, tr *traffic, since time.Time, outage time.Duration) {
	t.Helper()
	served := tr.servedIn(since, since.Add(outage-decided))
	t.Logf("sessions were served from memory for %v", round(served))
	if served > staleness {
		t.Errorf("sessions were served for %v without Redis", served)
	}
}

// TestDrillRedisStopped: Redis is gone for ten seconds and comes back with what it had. Until then the answer is 503 as
// soon as what is in memory is too old, and nobody loses a cookie or a session (RFR-30, pain 3).
func TestDrillRedisStopped(t *testing.T) {
	const sessions, outage = 100, 10 * time.Second
	redis := persistentRedis(t)
	f := startFleet(t, 2, redis.URL, 3*time.Second, time.Minute)
	visitors := f.signIn(sessions)
	tr := f.send(visitors, pace{every: 400 * time.Millisecond})
	<-time.After(3 * time.Second)
	redis.Stop()
	stopped := time.Now()
	<-time.After(outage)
	redis.Start()
	back := time.Now()
	<-time.After(6 * time.Second)
	tr.end(true)
	t.Logf("%d sessions, Redis gone for %v: %s; the last 503 was %v after its return; %d refreshes, %d families revoked",
		sessions, outage, tr, round(tr.last503.Sub(back)), f.op.count(asked), f.op.revoked())
	tr.want("200", "503 store_unavailable", "503 refresh_unavailable") // a token that came in the outage has expired since
	wantFromMemory(t, tr, stopped, outage)
	if _, _, all := tr.slowest(); all > decided {
		t.Errorf("a request took %v", all)
	}
	if healed := tr.last503.Sub(back); healed > 3*time.Second {
		t.Errorf("503 for %v after Redis was back", healed)
	}
	f.all(visitors)
}

// TestDrillRedisHangs: Redis takes connections and says nothing, for ten seconds. Requests do not wait for it for long,
// nor do they pile up.
func TestDrillRedisHangs(t *testing.T) {
	const sessions, outage = 100, 10 * time.Second
	redis := persistentRedis(t)
	f := startFleet(t, 2, redis.URL, 3*time.Second, time.Minute)
	visitors := f.signIn(sessions)
	tr := f.send(visitors, pace{every: 500 * time.Millisecond}) // nobody waits for an answer
	before := f.peak(2 * time.Second)
	redis.Pause()
	hung := time.Now()
	early := f.peak(outage / 2)
	late := f.peak(outage / 2)
	redis.Resume()
	back := time.Now()
	<-time.After(4 * time.Second)
	tr.end(true)
	f.clients.CloseIdleConnections() // of which there are many after a hang, each with a goroutine
	<-time.After(time.Second)
	after := f.size()
	t.Logf("%d sessions, Redis hanging for %v: %s; the last 503 was %v after its return; %d refreshes, %d families revoked",
		sessions, outage, tr, round(tr.last503.Sub(back)), f.op.count(asked), f.op.revoked())
	t.Logf("a replica has %s before, %s in the first half of it, %s in the second half, %s afterwards", before, early, late, after)
	tr.want("200", "503 store_unavailable")
	wantFromMemory(t, tr, hung, outage)
	if _, _, all := tr.slowest(); all > decided {
		t.Errorf("a request took %v", all)
	}
	if late.goroutines > early.goroutines*5/4+20 || late.memory > early.memory*5/4 {
		t.Errorf("it piles up: %s, then %s", early, late)
	}
	if after.goroutines > before.goroutines*3/2+20 {
		t.Errorf("%s stay behind, after %s", after, before)
	}
	f.all(visitors)
}
