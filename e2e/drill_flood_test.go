//go:build drills

package e2e_test

import (
	"fmt"
	"testing"
	"time"
)

// TestDrillFlood: 10 000 bad logout tokens a second for 5 s, or as many as the machine can send beside the gateway. The
// OP is asked for its keys twice at most, and everything else goes on.
func TestDrillFlood(t *testing.T) {
	withoutRaceDetector(t)
	for _, addresses := range []int{1, 200} {
		t.Run(fmt.Sprint(addresses, " addresses"), func(t *testing.T) { testFlood(t, 10_000, addresses, 5*time.Second) })
	}
}
