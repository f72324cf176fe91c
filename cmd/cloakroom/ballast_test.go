package main

import (
	"runtime"
	"testing"
)

// TestBallast: the heap may grow by the size of the ballast before it is collected, unless the operator says otherwise.
func TestBallast(t *testing.T) {
	nextCollection := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.NextGC
	}
	ballast := newBallast()
	if got := nextCollection(); got < 2*ballastSize {
		t.Errorf("the next collection is at %d bytes, want %d at least", got, 2*ballastSize)
	}
	runtime.KeepAlive(ballast)
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "100")
			if ballast := newBallast(); ballast != nil {
				t.Errorf("%d bytes", len(ballast))
			}
		})
	}
}
