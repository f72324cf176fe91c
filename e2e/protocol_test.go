package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// startWarehouse takes bodies of any length and answers with that, or answers with as many bytes as ?bytes= says.
func startWarehouse(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("bytes"); text != "" {
			n, _ := strconv.ParseInt(text, 10, 64)
			_, _ = io.CopyN(w, zeros{}, n)
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = fmt.Fprint(w, n)
	}))
	t.Cleanup(s.Close)
	return s
}

// TestTransfers is PX-34: what passes through the gateway takes no memory there. A drill does it with 10 GiB.
func TestTransfers(t *testing.T) {
	t.Parallel()
	transfers(t, 256<<20, 128<<20) // of which the race detector takes most
}

// transfers sends a body of that size up and gets one, over HTTP/1.1 and HTTP/2, with lengths that nobody is told. The
// gateway may grow by most; both are in bytes.
func transfers(t *testing.T, size, most int64) {
	c := newConfig(t, startAPI(t))
	c.useTLS(t)
	c.Routes = fmt.Sprintf("- {path: /store/, upstream: %s, token: user}", quote(startWarehouse(t).URL))
	c.startOP(t, optest.Config{})
	g := serve(t, c)
	for proto := 1; proto <= 2; proto++ {
		a := newAgent(g)
		if proto == 2 {
			a.useHTTP2()
		}
		a.login()
		for _, way := range []string{"up", "down"} {
			a.transfer(t, way, 8<<20, proto) // so that buffers are there
			before, began := g.memory(), time.Now()
			peak := g.peakMemory(func() { a.transfer(t, way, size, proto) })
			rate := float64(size) / (1 << 20) / time.Since(began).Seconds()
			t.Logf("%d MiB %s over HTTP/%d at %.0f MiB/s: %d MiB, and %d MiB more at most",
				size>>20, way, proto, rate, before>>20, (peak-before)>>20)
			if peak-before > most {
				t.Errorf("%s over HTTP/%d: the gateway grew by %d MiB", way, proto, (peak-before)>>20)
			}
		}
	}
}

// transfer sends or gets a body.
func (a *agent) transfer(t *testing.T, way string, size int64, proto int) {
	t.Helper()
	method, path, body := http.MethodPut, "/store/", io.Reader(io.LimitReader(zeros{}, size))
	if way == "down" {
		method, path, body = http.MethodGet, fmt.Sprintf("/store/?bytes=%d", size), nil
	}
	r, err := http.NewRequestWithContext(context.Background(), method, a.origin+path, body)
	if err != nil {
		t.Fatal(err)
	}
	asFetch(r)
	client := *a.client
	client.Timeout = 0
	client.Transport = a.client.Transport.(recorder).next // which keeps the body
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ProtoMajor != proto {
		t.Fatalf("%s over %s", res.Status, res.Proto)
	}
	if way == "up" {
		if text := readAll(t, res); text != fmt.Sprint(size) {
			t.Errorf("of %d bytes the upstream got %s", size, text)
		}
		return
	}
	if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
		t.Errorf("of %d bytes %d came: %v", size, n, err)
	}
}

// peakMemory is what the gateway needs at most while something is done.
func (g *gateway) peakMemory(do func()) int64 {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	peak := g.memory()
	for {
		select {
		case <-tick.C:
			peak = max(peak, g.memory())
		case <-done:
			return max(peak, g.memory())
		}
	}
}
