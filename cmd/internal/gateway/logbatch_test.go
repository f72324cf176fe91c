package gateway

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// writes keeps what is written, piece by piece.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

// TestBatch: lines are written together, in their order, 10 ms later at most, or as soon as there are many.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		b := &batch{w: &got}
		say := func(line string) {
			if _, err := io.WriteString(b, line); err != nil {
				t.Fatal(err)
			}
		}
		want := func(pieces ...string) {
			t.Helper()
			synctest.Wait()
			b.mu.Lock() // for the race detector
			defer b.mu.Unlock()
			if fmt.Sprint(got) != fmt.Sprint(writes(pieces)) {
				t.Errorf("%.60q, want %.60q", got, pieces)
			}
			got = nil
		}
		say("1\n")
		time.Sleep(batchTime / 2)
		say("2\n")
		want()
		time.Sleep(batchTime / 2)
		want("1\n2\n")
		time.Sleep(time.Hour)
		want()

		long := strings.Repeat("x", batchSize-1) + "\n"
		say("3\n")
		say(long)
		want("3\n" + long)
		say("4\n")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		want("4\n")
		time.Sleep(time.Hour)
		want()
	})
}
