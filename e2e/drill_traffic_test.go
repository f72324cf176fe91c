//go:build drills

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// visitor is a browser that is signed in.
type visitor struct {
	family int    // of its tokens
	ticket string // the session cookie, as a header field
}

// signIn lets new visitors come, one after the other, through all replicas in turn.
func (f *fleet) signIn(n int) []*visitor {
	f.t.Helper()
	visitors := make([]*visitor, n)
	for i := range visitors {
		visitors[i] = &visitor{}
		f.login(visitors[i], f.replicas[i%len(f.replicas)])
	}
	return visitors
}

// login signs a visitor in, perhaps not for the first time.
func (f *fleet) login(v *visitor, g *gateway) {
	f.t.Helper()
	a := newAgent(g)
	a.login()
	name := sessionCookie(a.origin)
	v.ticket = name + "=" + a.cookie(name)
	got := f.call(f.t.Context(), g, v)
	if got.api == nil {
		f.t.Fatalf("the first call after a login: %s", got.outcome)
	}
	v.family = got.api.Family
}

// result is what a visitor got.
type result struct {
	outcome string // status, code of the error, and what is wrong with it
	api     *apiAnswer
	took    time.Duration
}

// call is a call of the API through a replica.
func (f *fleet) call(ctx context.Context, g *gateway, v *visitor) result {
	return f.request(ctx, g, v, http.MethodGet, "/api/whose")
}

// insist is call, again and again while the store has no time: of many calls at once some wait for longer than they may
// where the machine is busy.
func (f *fleet) insist(ctx context.Context, g *gateway, v *visitor) result {
	for {
		if got := f.call(ctx, g, v); got.outcome != "503 store_unavailable" {
			return got
		}
	}
}

func (f *fleet) request(ctx context.Context, g *gateway, v *visitor, method, path string) result {
	began := time.Now()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+g.config.Listen+path, nil)
	if err != nil {
		return result{outcome: err.Error()}
	}
	r.Host = f.host
	asFetch(r)
	r.Header.Set("Cookie", v.ticket)
	res, err := f.clients.Do(r)
	if err != nil {
		return result{outcome: "no answer: " + err.Error(), took: time.Since(began)}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	got := result{outcome: strconv.Itoa(res.StatusCode), took: time.Since(began)}
	switch {
	case err != nil:
		got.outcome += " cut off"
	case res.StatusCode != http.StatusOK:
		got.outcome += " " + codeOf(&answer{res, string(text)})
	case strings.HasPrefix(path, "/api/"):
		if err := json.Unmarshal(text, &got.api); err != nil {
			got.outcome += " which is not the API's"
		}
	}
	if cookies := res.Cookies(); len(cookies) > 0 && res.StatusCode != http.StatusUnauthorized && method == http.MethodGet {
		got.outcome += " with a cookie"
	}
	return got
}

// all asks the API once for every visitor and fails the test where the answer is another one than 200.
func (f *fleet) all(visitors []*visitor) {
	f.t.Helper()
	bad := map[string]int{}
	for i, v := range visitors {
		got := f.call(f.t.Context(), f.replicas[i%len(f.replicas)], v)
		if got.outcome != "200" || got.api.Family != v.family {
			bad[got.outcome]++
		}
	}
	if len(bad) > 0 {
		f.t.Errorf("in the end, of %d sessions: %v", len(visitors), bad)
	}
}

// traffic is what visitors send and get.
type traffic struct {
	fleet *fleet
	stop  chan struct{}
	group sync.WaitGroup

	mu       sync.Mutex
	outcomes map[string]int
	took     []time.Duration
	lost     map[*visitor]string // the first answer that says that there is no session
	last503  time.Time
	served   []time.Time // when calls were begun that the API has answered
}

// pace is how visitors send.
type pace struct {
	every    time.Duration
	bursts   int  // for each visitor; 0: until the end
	patient  bool // the next burst waits for the answers to this one
	replicas []*gateway
}

// send has every visitor send bursts: one call through each of the replicas, at the same time.
func (f *fleet) send(visitors []*visitor, p pace) *traffic {
	tr := &traffic{fleet: f, stop: make(chan struct{}), outcomes: map[string]int{}, lost: map[*visitor]string{}}
	if p.replicas == nil {
		p.replicas = f.replicas
	}
	for i, v := range visitors {
		tr.group.Go(func() {
			if !tr.wait(p.every * time.Duration(i) / time.Duration(len(visitors))) {
				return
			}
			for n := 0; p.bursts == 0 || n < p.bursts; n++ {
				due := time.Now().Add(p.every)
				var burst sync.WaitGroup
				for _, g := range p.replicas {
					burst.Go(func() { tr.note(v, f.call(context.Background(), g, v)) })
				}
				if p.patient {
					burst.Wait()
				} else {
					tr.group.Go(burst.Wait)
				}
				if !tr.wait(time.Until(due)) {
					return
				}
			}
		})
	}
	return tr
}

// wait reports whether the traffic goes on after some time.
func (tr *traffic) wait(d time.Duration) bool {
	select {
	case <-tr.stop:
		return false
	case <-time.After(d):
		return true
	}
}

func (tr *traffic) note(v *visitor, got result) {
	if got.api != nil && got.api.Family != v.family {
		got.outcome += " with the tokens of another session"
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.outcomes[got.outcome]++
	tr.took = append(tr.took, got.took)
	if got.api != nil {
		tr.served = append(tr.served, time.Now().Add(-got.took))
	}
	if strings.HasPrefix(got.outcome, "401") && tr.lost[v] == "" {
		tr.lost[v] = got.outcome
	}
	if strings.HasPrefix(got.outcome, "503") {
		tr.last503 = time.Now()
	}
}

// end stops the traffic and waits for the last answers. Traffic with an end of its own comes to that.
func (tr *traffic) end(now bool) {
	if now {
		close(tr.stop)
	}
	tr.group.Wait()
}

// servedIn returns how long after the beginning of a time the last call was begun in it that the API has answered.
func (tr *traffic) servedIn(from, to time.Time) (last time.Duration) {
	for _, begun := range tr.served {
		if begun.Before(to) {
			last = max(last, begun.Sub(from))
		}
	}
	return last
}

// slowest returns how long answers took: half of them, 99 of 100, all.
func (tr *traffic) slowest() (half, most, all time.Duration) {
	if len(tr.took) == 0 {
		return 0, 0, 0
	}
	slices.Sort(tr.took)
	n := len(tr.took)
	return tr.took[n/2], tr.took[n*99/100], tr.took[n-1]
}

func (tr *traffic) String() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "%d requests:", len(tr.took))
	for _, outcome := range slices.Sorted(maps.Keys(tr.outcomes)) {
		fmt.Fprintf(text, " %d × %s,", tr.outcomes[outcome], outcome)
	}
	half, most, all := tr.slowest()
	fmt.Fprintf(text, " within %v (half), %v (99 %%), %v (all); %d sessions lost", round(half), round(most), round(all), len(tr.lost))
	return text.String()
}

// want fails the test for outcomes other than these.
func (tr *traffic) want(outcomes ...string) {
	t := tr.fleet.t
	t.Helper()
	for _, outcome := range slices.Sorted(maps.Keys(tr.outcomes)) {
		if !slices.Contains(outcomes, outcome) {
			t.Errorf("%d times: %s", tr.outcomes[outcome], outcome)
		}
	}
	if tr.outcomes["200"] == 0 {
		t.Error("nothing was answered well")
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
