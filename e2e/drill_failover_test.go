//go:build drills

package e2e_test

import (
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// TestDrillSentinelFailover: the primary dies under load, and its replica takes over.
func TestDrillSentinelFailover(t *testing.T) {
	redis := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
	drillFailover(t, redis.URL, redis.Servers[0])
}

// TestDrillClusterFailover: one of three primaries dies under load, and its replica takes over. The sessions in the slots
// of the others notice nothing.
func TestDrillClusterFailover(t *testing.T) {
	redis := sessiontest.Cluster(t, sessiontest.ClusterOptions{Replica: true})
	drillFailover(t, redis.URL, redis.Nodes[0])
}

// inFlight is how long before a failover something may have been written and not been passed on.
const inFlight = time.Second

// drillFailover kills a primary. Sessions whose tokens were refreshed around that time may be lost, as what a primary
// has not passed on always is in Redis; no others may.
func drillFailover(t *testing.T, store string, primary *sessiontest.RedisServer) {
	const sessions, replicas = 100, 2
	f := startFleet(t, replicas, store, 4*time.Second, time.Minute)
	visitors := f.signIn(sessions)
	tr := f.send(visitors, pace{every: 500 * time.Millisecond})
	<-time.After(4 * time.Second)
	primary.Stop()
	killed := time.Now()
	<-time.After(16 * time.Second) // a lease that was lost with the primary would have run out by now
	tr.end(true)
	down := tr.last503.Sub(killed)
	var excused []*visitor
	for v, outcome := range tr.lost {
		if f.op.touched(v.family, killed.Add(-inFlight), tr.last503.Add(inFlight)) {
			excused = append(excused, v)
		} else {
			t.Errorf("a session whose tokens nobody was refreshing is lost: %s", outcome)
		}
	}
	t.Logf("%d sessions, primary killed: %s; the last 503 was after %v; %d of the lost ones were being refreshed; "+
		"%d refreshes, %d families revoked", sessions, tr, round(down), len(excused), f.op.count(asked), f.op.revoked())
	tr.want("200", "503 store_unavailable", "503 refresh_unavailable", "401 session_ended", "401 unauthenticated")
	if down > 15*time.Second {
		t.Errorf("503 for %v", down)
	}
	if len(excused) > sessions/10 {
		t.Errorf("%d sessions are lost", len(excused))
	}
	for _, v := range excused {
		f.login(v, f.replicas[0])
	}
	f.all(visitors)
}
