package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// How long the OP misbehaves, and what may come of it. The binary has the race detector, which multiplies its memory, and
// a ballast, with which 64 MiB of garbage are ordinary; an answer has a GiB.
const (
	misbehaviour  = 4 * time.Second
	memoryGrowth  = 384 << 20 // bytes
	refreshesAtOP = 6         // one in two seconds for each session, see session/README.md, and those in flight
	rotationPause = 200 * time.Millisecond
)

// opEndpoints are those that the gateway itself calls.
var opEndpoints = []optest.Endpoint{
	optest.MetadataEndpoint, optest.JWKSEndpoint, optest.TokenEndpoint, optest.UserInfoEndpoint, optest.RevocationEndpoint,
	optest.PushedEndpoint,
}

// everywhere is a fault at every endpoint that the gateway calls.
func everywhere(fault func(optest.Endpoint) optest.Fault) []optest.Fault {
	var faults []optest.Fault
	for _, endpoint := range opEndpoints {
		faults = append(faults, fault(endpoint))
	}
	return faults
}

// TestMisbehavingOP: whatever the OP does, API calls of a session whose access token is good are answered, a login fails
// with a page or succeeds, the process does not grow, and the OP is not asked more often than there is a reason.
func TestMisbehavingOP(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64 // requests at another host
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)

	const withoutPAR = "pushed_authorization_requests: off" // so that logins come to the token endpoint
	garbage := func(e optest.Endpoint) optest.Fault {
		return optest.Body(e, "application/json", "\x00\xff{[\"")
	}
	for _, test := range []struct {
		name     string
		provider string
		faults   []optest.Fault
		rotates  bool
		logins   string // how they end at best
	}{
		{
			name: "every endpoint takes 10 s", provider: withoutPAR, logins: "succeeded",
			faults: everywhere(func(e optest.Endpoint) optest.Fault { return optest.Slow(e, 10*time.Second) }),
		},
		{name: "every endpoint answers with garbage", faults: everywhere(garbage), logins: "failed"},
		{name: "all but PAR answer with garbage", provider: withoutPAR, faults: everywhere(garbage), logins: "failed"},
		{name: "every endpoint answers with 1 GiB", faults: everywhere(optest.Huge), logins: "failed"},
		{name: "all but PAR answer with 1 GiB", provider: withoutPAR, faults: everywhere(optest.Huge), logins: "failed"},
		{name: "the token endpoint redirects", logins: "failed", faults: []optest.Fault{
			optest.Redirect(optest.TokenEndpoint, http.StatusTemporaryRedirect, other.URL),
		}},
		{name: "userinfo redirects", logins: "succeeded", faults: []optest.Fault{
			optest.Redirect(optest.UserInfoEndpoint, http.StatusTemporaryRedirect, other.URL),
		}},
		{name: "the keys rotate", rotates: true, logins: "succeeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newConfig(t, startAPI(t))
			c.Provider, c.Session = test.provider+"\nid_token_signing_alg: ES256", "refresh_before: 0s"
			op := c.startOP(t, optest.Config{SigningAlg: "ES256"})
			g := serve(t, c)
			alice := newAgent(g)
			alice.login()
			op.Fault(optest.TokenMember("expires_in", 1))
			bob := newAgent(g) // whose token expires at once
			bob.login()
			op.ClearFaults()
			op.ForgetRequests()
			before := g.memory()

			op.Fault(test.faults...)
			stop := make(chan struct{})
			time.AfterFunc(misbehaviour, func() { close(stop) })
			load := load{outcomes: map[string]int{}}
			load.repeat(stop, 4, func() string { return "call " + attempt(alice, "/api/echo") })
			load.repeat(stop, 1, func() string { return "expired " + attempt(bob, "/api/echo") })
			load.repeat(stop, 2, func() string { return "login " + tryLogin(g) })
			var peak int64
			load.repeat(stop, 1, func() string {
				peak = max(peak, g.memory())
				return ""
			})
			if test.rotates {
				load.repeat(stop, 1, func() string {
					<-time.After(rotationPause)
					op.RetireKeys() // all but the newest, so that there are two from now on
					if err := op.RotateKeys(); err != nil {
						return "rotation failed: " + err.Error()
					}
					return "rotation"
				})
			}
			load.group.Wait()

			seen := map[optest.Endpoint]int{}
			for _, endpoint := range opEndpoints {
				if n := op.Count(endpoint); n > 0 {
					seen[endpoint] = n
				}
			}
			t.Logf("outcomes: %v; requests at the OP: %v, of them %d for refreshes; memory: %d MiB, then %d MiB at most",
				load.outcomes, seen, op.CountGrants("refresh_token"), before>>20, peak>>20)
			load.check(t, test.logins == "succeeded")
			logins := load.count("login ")
			if n := op.CountGrants("authorization_code"); n > logins {
				t.Errorf("%d codes redeemed in %d logins", n, logins)
			}
			if n := op.CountGrants("refresh_token"); n > refreshesAtOP {
				t.Errorf("%d refreshes, want at most %d", n, refreshesAtOP)
			}
			if n := seen[optest.PushedEndpoint]; n > logins {
				t.Errorf("%d requests pushed in %d logins", n, logins)
			}
			if n, most := seen[optest.JWKSEndpoint], load.outcomes["rotation"]+2; n > most {
				t.Errorf("%d fetches of the JWKS, want at most %d", n, most)
			}
			if n := seen[optest.MetadataEndpoint]; n > 2 {
				t.Errorf("%d fetches of the metadata, want at most 2", n)
			}
			if n := seen[optest.UserInfoEndpoint]; n > logins+1 {
				t.Errorf("%d requests for userinfo in %d logins", n, logins)
			}
			if peak-before > memoryGrowth {
				t.Errorf("the process has grown from %d to %d MiB", before>>20, peak>>20)
			}
			if n := elsewhere.Load(); n > 0 {
				t.Errorf("%d requests at another host", n)
			}

			op.ClearFaults()
			eventually(t, startTime, "a login", func() bool { return tryLogin(g) == "succeeded" })
			alice.fetch("GET", "/api/echo").want(t, http.StatusOK)
		})
	}
}

// load is what happens at once, and how often it ended how.
type load struct {
	group    sync.WaitGroup
	mu       sync.Mutex
	outcomes map[string]int
}

// repeat does something over and over in n goroutines, and counts what it returns. It stops between two times.
func (l *load) repeat(stop <-chan struct{}, n int, do func() string) {
	for range n {
		l.group.Go(func() {
			for open := true; open; {
				outcome := do()
				l.mu.Lock()
				if outcome != "" {
					l.outcomes[outcome]++
				}
				l.mu.Unlock()
				select {
				case <-stop:
					open = false
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
}

// count is how many outcomes begin so.
func (l *load) count(prefix string) int {
	n := 0
	for outcome, times := range l.outcomes {
		if strings.HasPrefix(outcome, prefix) {
			n += times
		}
	}
	return n
}

// check wants API calls answered, and everything else to end as it may. Logins succeed only where they can.
func (l *load) check(t *testing.T, loginsSucceed bool) {
	t.Helper()
	may := []string{
		"call 200", "rotation", "expired 200", "expired 503 refresh_unavailable", "expired 401 session_ended",
		"expired 401 unauthenticated",
	}
	if loginsSucceed {
		may = append(may, "login succeeded")
	}
	may = append(may, "login failed 400", "login failed 502", "login failed 503", "login failed 429") // see PAR-06
	for _, outcome := range slices.Sorted(maps.Keys(l.outcomes)) {
		if !slices.Contains(may, outcome) {
			t.Errorf("%d times: %s", l.outcomes[outcome], outcome)
		}
	}
	if l.outcomes["call 200"] < 50 || l.count("login ") == 0 || (loginsSucceed && l.outcomes["login succeeded"] == 0) {
		t.Errorf("too little has happened: %v", l.outcomes)
	}
}

// attempt is an API call; it returns the status and the code of the error.
func attempt(a *agent, path string) string {
	res, err := a.try(a.t.Context(), http.MethodGet, path, asFetch)
	if err != nil {
		return err.Error()
	}
	if res.StatusCode == http.StatusOK {
		return "200"
	}
	return fmt.Sprintf("%d %v", res.StatusCode, codeOf(res))
}

var problemCode = strings.NewReplacer(`"`, "")

func codeOf(res *answer) string {
	_, rest, _ := strings.Cut(res.body, `"code":`)
	code, _, _ := strings.Cut(rest, ",")
	return problemCode.Replace(code)
}

// tryLogin is a login of a new browser that may fail, but not without a page.
func tryLogin(g *gateway) string {
	a := newAgent(g)
	address, site := a.origin+"/bff/login?returnUrl=/%23signed-in", "same-origin"
	for range 20 {
		res, err := a.try(a.t.Context(), http.MethodGet, address, asNavigation(site))
		if err != nil {
			return err.Error()
		}
		next, nextSite := a.next(res, site)
		switch {
		case next != nil:
			address, site = next.String(), nextSite
		case res.StatusCode == http.StatusOK && strings.Contains(res.body, "<title>The application</title>"):
			return "succeeded"
		default:
			return fmt.Sprintf("failed %d", res.StatusCode)
		}
	}
	return "loops"
}

// memory is the resident set of the process, in bytes.
func (p *process) memory() int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "statm"))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
