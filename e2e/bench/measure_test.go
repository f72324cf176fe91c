package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestUsage compares what the kernel says of this process in two ways, and finds a child.
func TestUsage(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	pids, err := family(os.Getpid())
	if err != nil || len(pids) != 2 || pids[1] != child.Process.Pid {
		t.Errorf("the family is %v (%v), want this process and %d", pids, err, child.Process.Pid)
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		_ = strings.Repeat("work", 1000)
	}
	got, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var want syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &want); err != nil {
		t.Fatal(err)
	}
	cpu := time.Duration(want.Utime.Nano() + want.Stime.Nano())
	if d := cpu - got.cpu; d < 0 || d > 50*time.Millisecond {
		t.Errorf("%v of CPU, getrusage says %v", got.cpu, cpu)
	}
	if got.resident < 1<<20 || got.peak < got.resident || got.peak > want.Maxrss<<10+1<<20 {
		t.Errorf("%+v, getrusage says %d KiB", got, want.Maxrss)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	if _, err := find("no-program-of-the-bench"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("what is not installed: %v", err)
	}
	if path, err := find("sh"); err != nil || !filepath.IsAbs(path) {
		t.Errorf("sh is %q: %v", path, err)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1); r.Header.Get("Authorization") == "" || r.Header.Get("X-CSRF") != "1" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer upstream.Close()
	s := &subject{address: upstream.Listener.Addr().String(), field: plainToken}
	took, err := pace(t.Context(), s, payloads[0], 1000, 200*time.Millisecond)
	if err != nil || len(took) != 200 || requests.Load() != 200 {
		t.Errorf("%d requests, %d of them at the server: %v", len(took), requests.Load(), err)
	}
	s.field = "Cookie: a=b"
	if _, err := pace(t.Context(), s, payloads[0], 100, 100*time.Millisecond); err == nil {
		t.Error("403 is taken for an answer")
	}
}

// TestPaceCountsWaiting: a request that was due while the server did nothing has waited, and its time says so.
func TestPaceCountsWaiting(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer upstream.Close()
	time.AfterFunc(300*time.Millisecond, func() { close(release) })
	s := &subject{address: upstream.Listener.Addr().String(), field: plainToken}
	took, err := pace(t.Context(), s, payloads[0], 1000, 200*time.Millisecond) // more than there are connections
	if err != nil {
		t.Fatal(err)
	}
	if took[0] < 100*time.Millisecond || took[len(took)-1] < 300*time.Millisecond {
		t.Errorf("between %v and %v", took[0], took[len(took)-1])
	}
}
