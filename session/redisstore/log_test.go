package redisstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestClientLog: what the client library repeats about every connection is said once in a minute, whatever it is about.
func TestClientLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		log := &clientLog{log: slog.New(slog.NewTextHandler(&lines, nil)), last: map[string]time.Time{}}
		say := func() {
			log.Printf(t.Context(), "dial %s failed", "10.0.0.1")
			log.Printf(t.Context(), "dial %s failed", "10.0.0.2")
			log.Printf(t.Context(), "new primary")
		}
		say()
		if got := lines.String(); strings.Count(got, `level=INFO msg="redis client"`) != 2 ||
			!strings.Contains(got, `text="dial 10.0.0.1 failed"`) || !strings.Contains(got, `text="new primary"`) {
			t.Errorf("logged:\n%s", got)
		}
		time.Sleep(quietFor)
		say()
		if got := strings.Count(lines.String(), "\n"); got != 4 {
			t.Errorf("%d lines after a minute, want 4", got)
		}
	})
}
