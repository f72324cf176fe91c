//go:build drills

package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestDrillKeyRotation: the key ring is rotated under load as README.md says, which nobody notices. Then the old key is
// removed too early: sessions that were sealed with it end, and only those, and their users sign in again.
func TestDrillKeyRotation(t *testing.T) {
	const each = 40
	f := startFleet(t, 2, persistentRedis(t).URL, 3*time.Second, time.Minute)
	f.op.behaves(optest.TokenMember("expires_in", 600)) // for those whose records are not written again
	old := f.signIn(each)
	f.op.behaves()
	renewed := f.signIn(each)
	visitors := slices.Concat(old, renewed)

	file := f.replicas[0].config.Keys // of all replicas
	first, second := f.ring, newRing(t)
	step := func(ring string) {
		t.Helper()
		writeFile(t, file, ring)
		for _, g := range f.replicas {
			id, _, _ := strings.Cut(ring, " ")
			eventually(t, startTime, "a look at the keys", func() bool { return g.readKeys(id, strings.Count(ring, "\n")) })
		}
	}
	tr := f.send(visitors, pace{every: 400 * time.Millisecond})
	step(first + second)
	step(second + first)
	<-time.After(4 * time.Second) // all short-lived tokens are refreshed, and sealed with the new key
	tr.end(true)
	t.Logf("%d sessions while the ring is rotated: %s; %d refreshes, %d families revoked",
		len(visitors), tr, f.op.count(asked), f.op.revoked())
	tr.want("200")
	f.all(visitors)

	tr = f.send(visitors, pace{every: 400 * time.Millisecond})
	step(second)
	<-time.After(2 * time.Second)
	tr.end(true)
	t.Logf("the old key is removed: %s", tr)
	tr.want("200", "401 session_ended")
	for _, v := range old {
		if tr.lost[v] == "" {
			t.Error("a session under the removed key is still there")
		}
		f.login(v, f.replicas[0])
	}
	for _, v := range renewed {
		if tr.lost[v] != "" {
			t.Errorf("a session under the new key is lost: %s", tr.lost[v])
		}
	}
	f.all(visitors)
}

// readKeys reports whether the last that a replica has said of its key file is that it has so many keys, and which one
// seals.
func (g *gateway) readKeys(seals string, keys int) bool {
	var last struct {
		Seals string
		Keys  []string
	}
	for line := range strings.Lines(g.stdout.String() + g.stderr.String()) {
		if strings.Contains(line, "the session keys were read again") {
			_ = json.Unmarshal([]byte(line), &last) // half a line is read in full the next time
		}
	}
	return last.Seals == seals && len(last.Keys) == keys
}
