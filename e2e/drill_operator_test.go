//go:build drills

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// inspect has an operator look at sessions while people work: page after page of all of them, and those of one user after
// the other.
func (c *crowd) inspect(visitors []*visitor, sessions int) {
	c.t.Helper()
	const slow = 10 * time.Millisecond // for one command, in which Redis does nothing else
	work := pace{every: 50 * time.Millisecond, bursts: 100, patient: true}
	calm := c.fleet.send(visitors, work)
	calm.end(false)

	c.watch(slow)
	busy := c.fleet.send(visitors, work)
	var pages, users []time.Duration
	seen, cursor := 0, ""
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		page, took := c.list(url.Values{"limit": {"1000"}, "cursor": {cursor}})
		pages, seen, cursor = append(pages, took), seen+len(page.Sessions), page.Next
		subject := c.nth(len(pages) * 997 % sessions).Subject
		page, took = c.list(url.Values{"sub": {subject}})
		users = append(users, took)
		if len(page.Sessions) != 1 || page.Sessions[0].Subject != subject {
			c.t.Errorf("the sessions of %s: %+v", subject, page)
		}
	}
	busy.end(false)
	c.t.Logf("calls without an operator: %s", calm)
	c.t.Logf("calls while one lists %d sessions in %d pages (half within %v, all within %v), "+
		"and those of %d users (%v, %v): %s",
		seen, len(pages), fine(middle(pages)), fine(slices.Max(pages)),
		len(users), fine(middle(users)), fine(slices.Max(users)), busy)
	busy.want("200")
	if _, _, all := busy.slowest(); all > 500*time.Millisecond {
		c.t.Errorf("a call took %v while an operator looked at sessions", all)
	}
	c.wantQuick(slow)
}

// watch has Redis note what it does from now on, and every command that takes longer than slow.
func (c *crowd) watch(slow time.Duration) {
	c.t.Helper()
	ctx := c.t.Context()
	err := errors.Join(
		c.client.ConfigSet(ctx, "slowlog-log-slower-than", strconv.FormatInt(slow.Microseconds(), 10)).Err(),
		c.client.ConfigResetStat(ctx).Err(), c.client.Do(ctx, "SLOWLOG", "RESET").Err(),
	)
	if err != nil {
		c.t.Fatal(err)
	}
}

var commandStats = regexp.MustCompile(`cmdstat_(\S+):calls=(\d+),usec=\d+,usec_per_call=([0-9.]+)`)

// wantQuick wants that no command takes long. A single one may: a busy machine stops any process for a moment, and Redis
// counts by the clock.
func (c *crowd) wantQuick(slow time.Duration) {
	c.t.Helper()
	text := c.client.Info(c.t.Context(), "commandstats").Val()
	var usual []string
	for _, stat := range commandStats.FindAllStringSubmatch(text, -1) {
		microseconds, _ := strconv.ParseFloat(stat[3], 64)
		usual = append(usual, fmt.Sprintf("%s %s × %.0f µs", stat[1], stat[2], microseconds))
		if microseconds > float64(slow.Microseconds())/2 {
			c.t.Errorf("%s takes %.0f µs, during which Redis does nothing else", stat[1], microseconds)
		}
	}
	c.t.Logf("commands and what they took on average: %s", strings.Join(usual, ", "))
	for _, one := range c.client.SlowLogGet(c.t.Context(), 10).Val() {
		c.t.Logf("a command that took %v: %.60s", one.Duration, strings.Join(one.Args, " "))
	}
}

// listing is an answer of the admin listener.
type listing struct {
	Sessions []struct {
		Subject string `json:"sub"`
	}
	Next string
}

func (c *crowd) list(query url.Values) (got listing, took time.Duration) {
	c.t.Helper()
	began := time.Now()
	res, err := http.Get("http://" + c.fleet.replicas[0].config.Admin + "/sessions?" + query.Encode())
	if err != nil {
		c.t.Fatal(err)
	}
	text := readAll(c.t, res)
	if err := json.Unmarshal([]byte(text), &got); err != nil || res.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %v %.200s", res.Status, err, text)
	}
	return got, time.Since(began)
}

func middle(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)/2]
}
