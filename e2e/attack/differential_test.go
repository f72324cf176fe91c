package attack_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// policy is what the configuration of the differential run says, in the words of the upstream: a route, what it adds in
// front of the path that it leaves, the location that this is, and whether that is for users only. No other path leads
// anywhere.
var policy = map[string]struct {
	base, location string
	usersOnly      bool
}{
	"public": {"/public", "public", false},
	"api":    {"/api", "api", true},
	"short":  {"/public", "public", false},
	"v1":     {"/api", "api", true},
}

const policyRoutes = `
- {path: /public/, upstream: "http://%[1]s", token: none, csrf: none}
- {path: /api/, upstream: "http://%[1]s", token: user}
- {path: /short/, upstream: "http://%[1]s/public", token: none, csrf: none, strip_prefix: true}
- {path: /v1/, upstream: "http://%[1]s/api/", token: user, strip_prefix: true}
`

// judge says what is wrong with an answer that an upstream has given to a request target, or "". It reads the target as
// a person does: up to the question mark, the first segment names the route, to the letter. signedIn tells who asked.
func judge(target, route, location, raw string, signedIn bool) string {
	path, _, _ := strings.Cut(target, "?")
	path = strings.TrimPrefix(path, "http://"+host)
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	rule, ok := policy[first]
	want := rule.base + path[min(len(path), 1+len(first)):]
	raw = strings.TrimSuffix(strings.TrimPrefix(raw, "GET "), " HTTP/1.1") // Apache tells the whole line
	raw, _, _ = strings.Cut(raw, "?")
	switch {
	case !ok:
		return "no route leads there"
	case route != "/"+first+"/":
		return fmt.Sprintf("the gateway has chosen the route %q", route)
	case location != rule.location:
		return fmt.Sprintf("the upstream believes that %q was reached", location)
	case rule.usersOnly && !signedIn:
		return "and nobody is signed in"
	case raw != want:
		return fmt.Sprintf("the upstream got %q, want %q", raw, want)
	case strings.Contains(rest, "//"):
		return "an empty segment has passed"
	}
	return ""
}

// corpus are the paths of proxy's own tests and of the advisories.
func corpus(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("../../proxy/testdata/paths.txt")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for line := range strings.Lines(string(text)) {
		_, quoted, _ := strings.Cut(strings.TrimSpace(line), " ")
		target, err := strconv.Unquote(quoted)
		if err != nil || strings.ContainsAny(target, " \r\n") || target == "" {
			continue // a comment, or no request line
		}
		targets = append(targets, target)
		for first := range policy {
			targets = append(targets, "/"+first+target, "/"+first+"/"+strings.TrimPrefix(target, "/"))
		}
	}
	return targets
}

const generated = 13_000 // paths of each of the eight senders

// TestDifferential: no path reaches a location that the policy does not allow, whatever the upstream makes of it (PX-10,
// PX-11, PX-14).
func TestDifferential(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	var all tally
	began := time.Now()
	var senders sync.WaitGroup
	for i, upstream := range startStacks(t) {
		a := startApplication(t, config{routes: fmt.Sprintf(policyRoutes, upstream.address), keep: true})
		ticket := a.signIn(t, "alice")
		for signedIn, fields := range [][]string{{"Host: " + host, csrf}, {"Host: " + host, csrf, cookieOf(ticket)}} {
			g := newGenerator(seed, uint64(2*i+signedIn))
			targets := corpus(t)
			for range generated {
				targets = append(targets, g.target())
			}
			senders.Go(func() {
				if err := a.try(t, upstream, targets, fields, signedIn == 1, &all); err != nil {
					t.Error(err)
				}
			})
		}
	}
	senders.Wait()
	total := 0
	for _, n := range all.count {
		total += n
	}
	t.Logf("seed %d: %d paths in %s: %v", seed, total, time.Since(began).Round(time.Second), all.count)
	reached := all.count["reached public"] + all.count["reached api"]
	if total < 100_000 || reached < 20_000 || all.count["400 path_refused"] < 20_000 {
		t.Errorf("%d paths, of which %d have reached an upstream, are too few of a kind", total, reached)
	}
}

// tally counts what became of the paths.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *tally) add(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]int{}
	}
	c.count[outcome]++
}

// try sends the paths to a gateway and judges every answer that came from its upstream.
func (a *application) try(t *testing.T, upstream stack, targets, fields []string, signedIn bool, all *tally) error {
	type arrival struct{ target, id, location, raw string }
	var arrivals []arrival
	err := pipeline(a.address, targets, fields, func(target string, got *answer) {
		switch {
		case got == nil:
			all.add("no answer")
		case got.StatusCode == http.StatusBadRequest && got.Header.Get("X-Location") == "none":
			all.add("400 by the upstream")
		case got.Header.Get("X-Location") != "":
			location := got.Header.Get("X-Location")
			arrivals = append(arrivals, arrival{target, got.Header.Get("X-Request-Id"), location, got.Header.Get("X-Raw")})
			all.add("reached " + location)
		case got.Header.Get("X-Request-Id") == "":
			all.add(got.Status + " by net/http")
		default:
			all.add(got.describe())
		}
	})
	wrong := 0
	for _, one := range arrivals {
		route := ""
		a.eventually("the access log", func() (known bool) {
			route, known = a.log.route(one.id)
			return known
		})
		if why := judge(one.target, route, one.location, one.raw, signedIn); why != "" {
			t.Errorf("%s: %q: %s", upstream.name, one.target, why)
			if wrong++; wrong == 20 {
				break
			}
		}
	}
	return err
}

// TestUpstreamsAreConfused shows that the differential run would notice: sent to the upstreams as they are, paths that
// begin with /public/ reach other locations at all of them.
func TestUpstreamsAreConfused(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	for i, upstream := range startStacks(t) {
		g := newGenerator(seed, uint64(i))
		var targets []string
		for len(targets) < 3000 {
			if target := g.target(); strings.HasPrefix(target, "/public/") {
				targets = append(targets, target)
			}
		}
		elsewhere, example := 0, ""
		err := pipeline(upstream.address, targets, []string{"Host: upstream"}, func(target string, got *answer) {
			if got == nil {
				return
			}
			if location := got.Header.Get("X-Location"); location != "" && location != "none" && location != "public" {
				elsewhere, example = elsewhere+1, target
			}
		})
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s: %d of %d paths below /public/ lead elsewhere, %q for one", upstream.name, elsewhere, len(targets), example)
		if elsewhere == 0 {
			t.Errorf("seed %d: %s is not confused by anything", seed, upstream.name)
		}
	}
}
