//go:build drills

package e2e_test

import (
	"strings"
	"testing"
	"time"
)

// TestDrillKill: the replica that holds the leases of three sessions dies. Of the first the OP has not done the refresh, of
// the second it has and did not say so, of the third the answer has come and could not be stored. Others carry on, and the
// three are decided when the leases have run out (RFR-23, RFR-29).
func TestDrillKill(t *testing.T) {
	const lifetime = 4 * time.Second
	redis := persistentRedis(t)
	f := startFleet(t, 3, redis.URL, lifetime, time.Minute)
	doomed, rest := f.replicas[0], f.replicas[1:]
	others := f.signIn(60)
	victims := f.signIn(3)
	released := make(chan struct{})
	f.op.during(onlyOnce(map[int]tokenHook{
		victims[0].family: func(_ *family, gone <-chan struct{}, _ func()) { <-gone },
		victims[1].family: func(_ *family, gone <-chan struct{}, work func()) { work(); <-gone },
		victims[2].family: func(_ *family, _ <-chan struct{}, work func()) { <-released; work() },
	}))
	tr := f.send(others, pace{every: 500 * time.Millisecond, replicas: rest})
	for _, v := range victims {
		eventually(t, startTime, "a refresh at the OP", func() bool {
			f.call(t.Context(), doomed, v)
			return f.op.count(func(f *family) int {
				if f.number != v.family {
					return 0
				}
				return len(f.asked)
			}) > 0
		})
	}
	redis.Stop() // so that the third answer cannot be stored
	close(released)
	<-time.After(300 * time.Millisecond)
	doomed.kill()
	redis.Start()
	killed := time.Now()

	for i, v := range victims {
		var got result
		eventually(t, time.Minute, "a decision", func() bool {
			got = f.call(t.Context(), rest[0], v)
			return strings.HasPrefix(got.outcome, "401") || (got.api != nil && got.api.Issued.After(killed))
		})
		t.Logf("refresh %s: %s, decided %v after the kill", []string{
			"not done by the OP", "done and not answered", "answered and not stored",
		}[i], got.outcome, round(time.Since(killed)))
		want := "401 session_ended"
		if i == 0 {
			want = "200"
		}
		if got.outcome != want {
			t.Errorf("session %d: %s, want %s", i, got.outcome, want)
		}
		if time.Since(killed) > 25*time.Second {
			t.Errorf("it took %v", time.Since(killed))
		}
		if got.api == nil {
			f.login(v, rest[0])
		}
	}
	tr.end(true)
	t.Logf("%d other sessions on the other replicas: %s; %d families revoked", len(others), tr, f.op.revoked())
	tr.want("200", "503 store_unavailable") // Redis was gone for a moment
	f.replicas = rest
	f.all(others)
	f.all(victims)
	if n := f.op.revoked(); n != 2 {
		t.Errorf("%d families revoked, want the two whose refresh tokens died with the replica", n)
	}
}
