//go:build drills

package e2e_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

var soakTime = flag.Duration("soak", 140*time.Second, "how long TestDrillSoak sends requests, at most")

const (
	soakHour     = 3600 * 1000 // requests: an hour at 1 000 per second
	soakLifetime = 6 * time.Second

	soakSmall  = `{"item":"coat","state":"kept"}`
	soakLarge  = 1 << 20
	soakUpload = 100 << 10 // more than the gateway keeps for a second try
)

// TestDrillSoak sends what comes in an hour, as fast as the machine can: calls, uploads, downloads, streams, WebSockets,
// logins, logouts and refreshes, clients that hang up and upstreams that break. What the gateway holds at the end it held
// at the beginning (PX-21, PX-22).
func TestDrillSoak(t *testing.T) {
	withoutRaceDetector(t)
	live, _ := startLive(t)
	api := startSoakAPI(t)
	c := newConfig(t, &upstream{Server: api})
	c.useRedis(t, startRedis(t))
	c.Session = "refresh_before: 2s"
	c.Provider = "id_token_signing_alg: ES256\npushed_authorization_requests: off"
	c.Routes = fmt.Sprintf(`
- {path: /live/, upstream: %[1]s, token: user, csrf: origin}
- {path: /live/socket, upstream: %[1]s, token: user, csrf: origin, websocket: true}
`, quote(live.URL))
	op := c.startOP(t, optest.Config{SigningAlg: "ES256", OpaqueAccessTokens: true, AccessTokenLifetime: soakLifetime})
	g, log := serveToFile(t, c)

	s := newSoak(t, g)
	s.signIn(40)
	for collections := g.gauge("go_gc_duration_seconds_count"); g.gauge("go_gc_duration_seconds_count") < collections+3; {
		s.run(*soakTime / 5) // until the heap is as large as it may be between two collections
	}
	s.hangUp(api, live)
	var before, after holding
	eventually(t, startTime, "the gateway to come to rest", func() bool {
		before, after = after, g.holding()
		return before.descriptors == after.descriptors && before.goroutines == after.goroutines
	})

	began, refreshed := time.Now(), countRefreshes(op)
	s.reset()
	samples := s.run(*soakTime)
	took := time.Since(began)
	s.hangUp(api, live)
	t.Logf("%d requests in %v, %.0f per second: as many as come in %v at 1 000 per second; %d token refreshes",
		s.total(), round(took), float64(s.total())/took.Seconds(), time.Duration(s.total())*time.Millisecond,
		countRefreshes(op)-refreshed)
	s.report()
	wantFlat(t, "resident memory", samples, func(h holding) int64 { return h.resident })
	wantFlat(t, "heap at a collection", samples, func(h holding) int64 { return h.heap })

	idle := 10*runtime.NumCPU() + 4 // connections to Redis and to the OP that may be kept
	defer func() {
		t.Logf("before: %v; after: %v; most under load: %v and %v", before, after,
			slices.MaxFunc(samples, func(a, b holding) int { return a.descriptors - b.descriptors }),
			slices.MaxFunc(samples, func(a, b holding) int { return a.goroutines - b.goroutines }))
	}()
	eventually(t, startTime, "connections and goroutines to go", func() bool {
		after = g.holding()
		return after.descriptors <= before.descriptors+idle && after.goroutines <= before.goroutines+idle
	})
	wantCalmLog(t, log)
	if n := countRefreshes(op) - refreshed; n < 40*int(took/soakLifetime)/2 {
		t.Errorf("only %d refreshes", n)
	}
}

// startSoakAPI serves what the visitors of a soak ask for, to those who have a token.
func startSoakAPI(t *testing.T) *httptest.Server {
	t.Helper()
	large := bytes.Repeat([]byte("x"), soakLarge)
	mux := http.NewServeMux()
	mux.HandleFunc("/api/small", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, soakSmall) })
	mux.HandleFunc("/api/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	mux.HandleFunc("/api/upload", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/api/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/api/error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/api/nothing", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/api/half", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			w.WriteHeader(http.StatusTeapot) // which no gateway says by itself
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// serveToFile is serve for a gateway that writes more than should be in memory.
func serveToFile(t *testing.T, c *config) (g *gateway, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "gateway.log")
	g = &gateway{start(t, exec.Command("sh", "-c", `exec "$0" serve -config "$1" 2>"$2"`, binary, c.write(t), log)), c}
	g.await("/readyz", 200)
	return g, log
}

// wantCalmLog fails the test for panics, and for errors other than of the upstream that says nothing.
func wantCalmLog(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for line := range strings.Lines(string(text)) {
		wanted := strings.Contains(line, `"path":"/api/nothing"`) && strings.Contains(line, `"code":"upstream_unavailable"`)
		if strings.Contains(line, "panic") || strings.Contains(line, `"level":"ERROR"`) && !wanted {
			if bad++; bad <= 10 {
				t.Errorf("the log has: %.500s", line)
			}
		}
	}
	if bad > 10 {
		t.Errorf("and %d more such lines", bad-10)
	}
}

// holding is what the gateway has of the machine.
type holding struct {
	resident    int64 // bytes
	heap        int64 // bytes at which the next collection begins: about twice what was in use at the last one
	descriptors int
	goroutines  int
}

func (g *gateway) holding() holding {
	g.t.Helper()
	descriptors, err := os.ReadDir("/proc/" + strconv.Itoa(g.cmd.Process.Pid) + "/fd")
	if err != nil {
		g.t.Fatal(err)
	}
	return holding{
		resident:    g.memory(),
		heap:        int64(g.gauge("go_memstats_next_gc_bytes")),
		descriptors: len(descriptors),
		goroutines:  int(g.gauge("go_goroutines")),
	}
}

func (h holding) String() string {
	return fmt.Sprintf("%d descriptors and %d goroutines", h.descriptors, h.goroutines)
}

// wantFlat compares the medians of the first and of the last third.
func wantFlat(t *testing.T, what string, samples []holding, of func(holding) int64) {
	t.Helper()
	const most = 1.10
	third := len(samples) / 3
	if third == 0 {
		t.Fatalf("%d samples", len(samples))
	}
	middle := func(part []holding) float64 {
		var values []int64
		for _, h := range part {
			values = append(values, of(h))
		}
		slices.Sort(values)
		return float64(values[len(values)/2])
	}
	first, second, last := middle(samples[:third]), middle(samples[third:2*third]), middle(samples[2*third:])
	t.Logf("%s: %.1f, %.1f, %.1f MiB in the first, second and last third (%d samples): last to first %.2f",
		what, first/(1<<20), second/(1<<20), last/(1<<20), len(samples), last/first)
	if last > first*most {
		t.Errorf("%s has grown to %.2f times of what it was", what, last/first)
	}
}
