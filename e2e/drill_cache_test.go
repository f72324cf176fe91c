//go:build drills

package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// TestDrillLogoutElsewhere: people sign out at one replica, and the others, which have their sessions in memory, hear of
// it. So they do of records that somebody deletes by hand.
func TestDrillLogoutElsewhere(t *testing.T) {
	const sessions, byHand, replicas = 200, 50, 3
	server := persistentRedis(t)
	f := startFleet(t, replicas, server.URL, 10*time.Minute, time.Minute)
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	visitors := f.signIn(sessions + byHand)
	tr := f.send(f.signIn(20), pace{every: 200 * time.Millisecond})
	var heard, heardByHand []time.Duration
	for i, v := range visitors {
		here := f.replicas[i%replicas]
		elsewhere := slices.DeleteFunc(slices.Clone(f.replicas), func(g *gateway) bool { return g == here })
		for _, g := range elsewhere {
			f.call(t.Context(), g, v) // has it in memory now
		}
		took := &heard
		if i < sessions {
			if got := f.signOut(here, v); got != "200" {
				t.Fatalf("signing out: %s", got)
			}
		} else {
			took = &heardByHand
			if n, err := client.Del(t.Context(), recordKey(v.session(t))).Result(); n != 1 {
				t.Fatalf("%d records deleted: %v", n, err)
			}
		}
		done := time.Now()
		for _, g := range elsewhere {
			if _, outcome := f.untilGone(g, v, done); outcome[:3] != "401" {
				t.Errorf("in the end: %s", outcome)
			}
			*took = append(*took, time.Since(done))
		}
	}
	tr.end(true)
	tr.want("200")
	for _, each := range []struct {
		what string
		took []time.Duration
	}{{"signed out at one replica", heard}, {"deleted in Redis", heardByHand}} {
		slices.Sort(each.took)
		n := len(each.took)
		half, most, all := each.took[n/2], each.took[n*99/100], each.took[n-1]
		t.Logf("%d sessions %s: the others say 401 within %v (half), %v (99 %%), %v (all)",
			n/(replicas-1), each.what, fine(half), fine(most), fine(all))
		if most > 50*time.Millisecond || all > staleness {
			t.Errorf("%s: %v and %v", each.what, most, all)
		}
	}
}

func (f *fleet) signOut(g *gateway, v *visitor) string {
	return f.request(f.t.Context(), g, v, http.MethodPost, "/bff/logout").outcome
}

// TestDrillSentinelLogouts: a primary dies while people sign out.
func TestDrillSentinelLogouts(t *testing.T) {
	redis := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
	drillLogouts(t, redis.URL, redis.Servers[0].Stop, 0)
}

// TestDrillSentinelOrderedLogouts: an operator has the Sentinels replace a primary that is well, while people sign out.
// For a second or so it takes writes that nobody will ever know of.
func TestDrillSentinelOrderedLogouts(t *testing.T) {
	redis := sessiontest.Sentinels(t, sessiontest.SentinelOptions{})
	drillLogouts(t, redis.URL, redis.Failover, 4*time.Second)
}

// TestDrillClusterLogouts: one of three primaries dies while people sign out.
func TestDrillClusterLogouts(t *testing.T) {
	redis := sessiontest.Cluster(t, sessiontest.ClusterOptions{Replica: true})
	drillLogouts(t, redis.URL, redis.Nodes[0].Stop, 0)
}

// drillLogouts has people sign out at one replica before, in and after a failover, as soon as each logout is taken. The
// others, which have all sessions in memory, must not serve any for longer than the cache may, however they have come
// through the failover. A logout that a primary has taken and not passed on is lost, as every write is that Redis loses;
// it may have done that until some time after the order.
func drillLogouts(t *testing.T, store string, fail func(), forgets time.Duration) {
	const sessions, enders, replicas = 160, 4, 3
	f := startFleet(t, replicas, store, 10*time.Minute, time.Minute)
	here, elsewhere := f.replicas[0], f.replicas[1:]
	visitors := f.signIn(sessions)
	tr := f.send(visitors, pace{every: 600 * time.Millisecond, replicas: elsewhere})
	queue := make(chan *visitor)
	var mu sync.Mutex
	ended := map[*visitor]time.Time{}
	served := map[*visitor]time.Duration{}
	var group sync.WaitGroup
	for range enders {
		group.Go(func() {
			for v := range queue {
				for f.signOut(here, v) != "200" {
					<-time.After(10 * time.Millisecond)
				}
				at := time.Now()
				mu.Lock()
				ended[v] = at
				mu.Unlock()
				for _, g := range elsewhere {
					group.Go(func() {
						last, _ := f.untilGone(g, v, at)
						mu.Lock()
						served[v] = max(served[v], last)
						mu.Unlock()
					})
				}
			}
		})
	}
	began := time.Now()
	var failed time.Time
	for i, v := range visitors {
		queue <- v
		<-time.After(70 * time.Millisecond)
		if i == sessions/4 {
			fail()
			failed = time.Now()
		}
	}
	close(queue)
	group.Wait()
	tr.end(true)
	f.judge(visitors, ended, served, failed, forgets)
	t.Logf("in %v: %s; 503 until %v after the failover began",
		round(time.Since(began)), tr, round(max(0, tr.last503.Sub(failed))))
	tr.want("200", "503 store_unavailable", "401 session_ended")
}

// judge looks at how long each session was served after its end.
func (f *fleet) judge(
	visitors []*visitor, ended map[*visitor]time.Time, served map[*visitor]time.Duration,
	failed time.Time, forgets time.Duration,
) {
	f.t.Helper()
	var before, after time.Duration
	first := time.Hour
	back := 0
	for _, v := range visitors {
		at := ended[v].Sub(failed)
		lost := false
		for _, g := range f.replicas {
			lost = lost || f.call(f.t.Context(), g, v).outcome == "200"
		}
		switch {
		case lost && at > -inFlight && at < forgets:
			back++
		case lost:
			f.t.Errorf("a session that ended %v after the failover began is back", at)
		case at < 0:
			before = max(before, served[v])
		default:
			after, first = max(after, served[v]), min(first, at)
		}
	}
	f.t.Logf("%d sessions signed out, the first after the failover began %v later; still served elsewhere for %v at most "+
		"before it and for %v afterwards; %d logouts that the old primary took are lost",
		len(visitors), round(first), fine(before), fine(after), back)
	if max(before, after) > staleness {
		f.t.Errorf("a session was served for %v after its end", max(before, after))
	}
	if back > len(visitors)/5 {
		f.t.Errorf("%d sessions are back", back)
	}
}

// session is the id of a visitor's session.
func (v *visitor) session(t *testing.T) session.ID {
	t.Helper()
	_, text, _ := strings.Cut(v.ticket, "=")
	ticket, err := session.ParseTicket(text)
	if err != nil {
		t.Fatal(err)
	}
	return ticket.ID()
}
