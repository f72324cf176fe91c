//go:build drills

package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// fleet is an application behind several replicas of the gateway.
type fleet struct {
	t        *testing.T
	op       *ledger
	replicas []*gateway
	host     string // of the application, as browsers see it
	ring     string // the first line of the key file
	clients  http.Client
}

// startFleet starts replicas that keep sessions in a store. Access tokens live for lifetime and are refreshed
// refreshBefore before their end, or a third of lifetime. Further settings are lines of the block session.
func startFleet(
	t *testing.T, replicas int, store string, lifetime, refreshBefore time.Duration, settings ...string,
) *fleet {
	t.Helper()
	withoutRaceDetector(t)
	f := &fleet{t: t, op: startLedger(t), ring: newRing(t)}
	c := newConfig(t, f.op.api)
	c.Store, c.Keys = store, filepath.Join(t.TempDir(), "keys")
	writeFile(t, c.Keys, f.ring)
	c.Session = strings.Join(append(settings, "refresh_before: "+refreshBefore.String()), "\n")
	f.op.startOP(t, c, lifetime)
	origin, err := url.Parse(c.Origin)
	if err != nil {
		t.Fatal(err)
	}
	f.host = origin.Host
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	f.clients = http.Client{Transport: transport, Timeout: time.Minute}
	f.replicas = append(f.replicas, serve(t, c))
	for range replicas - 1 {
		f.replicas = append(f.replicas, serve(t, c.replica(t)))
	}
	return f
}

var quickBinary = sync.OnceValues(func() (string, error) {
	program := filepath.Join(filepath.Dir(binary), "quick", "cloakroom")
	build := exec.Command("go", "build", "-o", program, "./cmd/cloakroom")
	build.Dir = ".."
	text, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return program, err
})

// withoutRaceDetector makes the program what operators run: the race detector takes a multiple of time and memory, and
// the other tests have it. Drills run one at a time.
func withoutRaceDetector(t *testing.T) {
	t.Helper()
	program, err := quickBinary()
	if err != nil {
		t.Fatal("cloakroom cannot be built:", err)
	}
	binary = program
}

// persistentRedis starts a server that has everything again after it was stopped.
func persistentRedis(t *testing.T) *sessiontest.RedisServer {
	t.Helper()
	return sessiontest.Redis(t, "--appendonly", "yes")
}

// newRing is a line of a key file.
func newRing(t *testing.T) string {
	t.Helper()
	line, err := exec.Command(binary, "keygen", "session").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

// kill ends a replica as kill -9 does.
func (g *gateway) kill() {
	g.ended.Do(func() { // the end of the test leaves it alone
		_ = g.cmd.Process.Signal(syscall.SIGKILL)
		<-g.exited
	})
}

// gauge reads a metric of a replica that has no labels.
func (g *gateway) gauge(name string) float64 {
	g.t.Helper()
	res, err := http.Get("http://" + g.config.Admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(readAll(g.t, res)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return n
		}
	}
	g.t.Fatalf("there is no metric %s", name)
	return 0
}

// size is what a replica needs while it works.
type size struct {
	goroutines int
	memory     int64 // bytes
}

func (f *fleet) size() size {
	var s size
	for _, g := range f.replicas {
		s.goroutines = max(s.goroutines, int(g.gauge("go_goroutines")))
		s.memory = max(s.memory, g.memory())
	}
	return s
}

// peak is the largest size within some time.
func (f *fleet) peak(d time.Duration) size {
	var s size
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		now := f.size()
		s = size{max(s.goroutines, now.goroutines), max(s.memory, now.memory)}
	}
	return s
}

func (s size) String() string {
	return fmt.Sprintf("%d goroutines and %d MiB", s.goroutines, s.memory>>20)
}
