package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// badLogoutTokens are tokens of every kind that is refused, so many of each, no two alike.
func badLogoutTokens(t *testing.T, op *optest.Server, each int) []string {
	t.Helper()
	var tokens []string
	for i := range each {
		for _, fault := range []optest.Fault{
			optest.LogoutUnknownKid, optest.LogoutBadSignature, optest.LogoutEmbeddedJWK, optest.LogoutAlgNone,
			optest.LogoutWrongIssuer, optest.LogoutOtherAudience, optest.LogoutExpired, optest.LogoutNoEvents,
		} {
			op.ClearFaults()
			op.Fault(fault)
			token, err := op.LogoutToken("app", "alice", fmt.Sprint("sid-", i))
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token)
		}
		tokens = append(tokens, fmt.Sprint("not a token ", i))
	}
	op.ClearFaults()
	return tokens
}

// flood is what was sent and how it was answered.
type flood struct {
	group sync.WaitGroup

	mu       sync.Mutex
	statuses map[int]int
	lasted   time.Duration
}

// floodAddress is from where the nth connection of a flood comes, of so many addresses, none of which is that of the OP,
// which sends good tokens.
func floodAddress(n, addresses int) net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%addresses))}
}

// startFlood sends logout tokens to a gateway at a rate per second, or as many as can be, from so many addresses.
func startFlood(t *testing.T, g *gateway, tokens []string, rate, addresses int, d time.Duration) *flood {
	t.Helper()
	connections := max(addresses, 8)
	origin, err := url.Parse(g.config.Origin)
	if err != nil {
		t.Fatal(err)
	}
	requests := make([]string, len(tokens))
	for i, token := range tokens {
		form := url.Values{"logout_token": {token}}.Encode()
		requests[i] = fmt.Sprintf("POST /bff/backchannel-logout HTTP/1.1\r\nHost: %s\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", origin.Host, len(form), form)
	}
	f := &flood{statuses: map[int]int{}}
	began := time.Now()
	for i := range connections {
		dialer := net.Dialer{LocalAddr: floodAddress(i, addresses)}
		conn, err := dialer.Dial("tcp", g.config.Listen)
		if err != nil {
			t.Fatal(err)
		}
		f.group.Go(func() {
			defer conn.Close()
			statuses, err := pour(conn, requests[i*len(requests)/connections:], float64(rate)/float64(connections), began.Add(d))
			if err != nil {
				t.Error("the flood: ", err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for status, n := range statuses {
				f.statuses[status] += n
			}
			f.lasted = time.Since(began)
		})
	}
	return f
}

// maxBatch are sent at a time, before their answers.
const maxBatch = 16

// pour sends requests at a rate per second over one connection, or as many as are answered, and counts the answers by
// status.
func pour(conn net.Conn, requests []string, rate float64, end time.Time) (statuses map[int]int, err error) {
	statuses = map[int]int{}
	answers := bufio.NewReader(conn)
	next, began := 0, time.Now()
	for now := began; now.Before(end); now = time.Now() {
		due := min(int(now.Sub(began).Seconds()*rate)-next, maxBatch)
		if due <= 0 {
			<-time.After(time.Millisecond)
			continue
		}
		var batch strings.Builder
		for range due {
			batch.WriteString(requests[next%len(requests)])
			next++
		}
		if _, err := io.WriteString(conn, batch.String()); err != nil {
			return statuses, err
		}
		for range due {
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				return statuses, err
			}
			statuses[res.StatusCode]++
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				return statuses, err
			}
		}
	}
	return statuses, nil
}

// latency is how long the calls of an API took, and what came other than 200.
type latency struct {
	took []time.Duration
	bad  map[string]int
}

// measure has browsers call the API for a time, each so many times a second.
func (l *latency) measure(browsers []*agent, rate int, d time.Duration) {
	var mu sync.Mutex
	var group sync.WaitGroup
	end := time.Now().Add(d)
	for _, a := range browsers {
		group.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(rate))
			defer tick.Stop()
			for now := time.Now(); now.Before(end); now = <-tick.C {
				began := time.Now()
				outcome := attempt(a, "/api/echo")
				mu.Lock()
				l.took = append(l.took, time.Since(began))
				if outcome != "200" {
					l.bad[outcome]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.Sort(l.took)
}

func (l *latency) percentile(p int) time.Duration { return l.took[(len(l.took)-1)*p/100] }

// testFlood sends bad logout tokens for a time, in four waves, while browsers call the API and the OP signs somebody out
// (BCL-27, DIS-11). Between the waves it measures what the calls take without them.
func testFlood(t *testing.T, rate, addresses int, d time.Duration) {
	const waves, callsPerSecond = 4, 50 // of one browser
	c := newConfig(t, startAPI(t))
	c.Provider = "id_token_signing_alg: ES256"
	op := c.startOP(t, optest.Config{SigningAlg: "ES256"})
	client := c.client()
	client.BackchannelLogoutURI = c.backchannelURI()
	if err := op.AddClient(client); err != nil {
		t.Fatal(err)
	}
	g := serve(t, c)
	var browsers []*agent
	for range 4 {
		a := newAgent(g)
		a.login()
		browsers = append(browsers, a)
	}
	op.SignIn("bob")
	bob := newAgent(g)
	bob.login()
	tokens := badLogoutTokens(t, op, 50)
	op.ForgetRequests()

	calm, flooded := &latency{bad: map[string]int{}}, &latency{bad: map[string]int{}}
	statuses := map[int]int{}
	var lasted time.Duration
	var good optest.LogoutDelivery
	for wave := range waves {
		calm.measure(browsers, callsPerSecond, d/waves)
		f := startFlood(t, g, tokens, rate, addresses, d/waves)
		if wave == waves-1 {
			f.group.Go(func() { good = op.EndSessions("bob")[0] })
		}
		flooded.measure(browsers, callsPerSecond, d/waves)
		f.group.Wait()
		lasted += f.lasted
		for status, n := range f.statuses {
			statuses[status] += n
		}
	}

	sent := statuses[http.StatusBadRequest] + statuses[http.StatusTooManyRequests]
	ratio := func(p int) float64 { return float64(flooded.percentile(p)) / float64(calm.percentile(p)) }
	t.Logf("%d bad logout tokens from %d addresses in %v, %.0f per second of %d wanted, answered with %v; "+
		"%d requests for keys; %d API calls: half within %v (×%.1f), 99 %% within %v (×%.1f)",
		sent, addresses, lasted.Round(time.Millisecond), float64(sent)/lasted.Seconds(), rate, statuses,
		op.Count(optest.JWKSEndpoint), len(flooded.took), flooded.percentile(50).Round(10*time.Microsecond), ratio(50),
		flooded.percentile(99).Round(10*time.Microsecond), ratio(99))
	if len(statuses) == 0 {
		t.Error("nothing was sent")
	}
	for status, n := range statuses {
		if status != http.StatusBadRequest && status != http.StatusTooManyRequests {
			t.Errorf("%d times %d", n, status)
		}
	}
	if n := op.Count(optest.JWKSEndpoint); n > 2 {
		t.Errorf("%d requests for keys at the OP, want 2 at most", n)
	}
	if len(calm.bad)+len(flooded.bad) > 0 {
		t.Errorf("the API was answered with %v, and %v during the flood", calm.bad, flooded.bad)
	}
	// The generator works on the same machine, which may have few processors; what must not be is a queue.
	if limit := 20 * max(calm.percentile(99), 5*time.Millisecond); flooded.percentile(99) > limit {
		t.Errorf("99 %% of the calls took up to %v during the flood, want %v", flooded.percentile(99), limit)
	}
	if good.Err != nil || good.Status != http.StatusOK {
		t.Errorf("during the flood the OP's own logout token was answered with %d, %v", good.Status, good.Err)
	}
	if session := bob.session(); session["reason"] != "ended" {
		t.Errorf("after the OP's logout token the session says %v", session)
	}
}

// TestFlood is a short flood, with the race detector; TestDrillFlood is the long one.
func TestFlood(t *testing.T) {
	testFlood(t, 2000, 20, 1200*time.Millisecond)
}
