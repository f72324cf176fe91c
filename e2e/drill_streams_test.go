//go:build drills

package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestDrillStreams has 1 000 WebSockets and 1 000 event streams open at one replica while their sessions end at another.
// Each is closed within a second, and the replica has no goroutine and no descriptor left of them (RPL-12, PX-21).
func TestDrillStreams(t *testing.T) {
	const sessions, each = 20, 50 // of both kinds
	withoutRaceDetector(t)
	live, _ := startLive(t)
	c := newConfig(t, startAPI(t))
	c.useRedis(t, startRedis(t))
	c.Routes = fmt.Sprintf(`
- {path: /live/, upstream: %[1]s, token: user, csrf: origin}
- {path: /live/socket, upstream: %[1]s, token: user, csrf: origin, websocket: true}
`, quote(live.URL))
	c.startOP(t, optest.Config{})
	here, there := serve(t, c), serve(t, c.replica(t))

	var users []*agent
	for range sessions {
		a := newAgent(here)
		a.login()
		users = append(users, a)
	}
	before := here.holding()
	open := make([][]*connection, sessions)
	for i, a := range users {
		for range each {
			open[i] = append(open[i], a.open(t, "/live/events"), a.open(t, "/live/socket", asWebSocket))
		}
	}
	during := here.holding()
	t.Logf("%d WebSockets and %d event streams: %d descriptors, %d goroutines and %d MiB, before them %d, %d and %d",
		sessions*each, sessions*each, during.descriptors, during.goroutines, during.resident>>20,
		before.descriptors, before.goroutines, before.resident>>20)
	if during.descriptors < 4*sessions*each {
		t.Errorf("%s: they are not all open", during)
	}

	var slowest time.Duration
	for i, a := range users {
		elsewhere := a.via(there)
		began := time.Now()
		elsewhere.fetch(http.MethodPost, "/bff/logout").want(t, http.StatusOK)
		for _, one := range open[i] {
			select {
			case <-one.closed:
			case <-time.After(time.Until(began.Add(atOnce))):
				t.Errorf("%s is open %v after the end of its session", one.path, atOnce)
			}
		}
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("the %d connections of a session are closed %v after the logout at another replica began, at most",
		2*each, slowest.Round(time.Millisecond))
	var after holding
	eventually(t, 15*time.Second, "the descriptors and goroutines of the connections to be gone", func() bool {
		after = here.holding()
		return after.descriptors <= before.descriptors && after.goroutines <= before.goroutines
	})
	t.Logf("afterwards %s, before %s", after, before)
}

// TestDrillTransfers is TestTransfers with 10 GiB, without the race detector.
func TestDrillTransfers(t *testing.T) {
	withoutRaceDetector(t)
	transfers(t, 10<<30, 32<<20)
}
