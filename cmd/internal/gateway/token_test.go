package gateway

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/proxy"
)

// picky is an upstream that takes only tokens that the OP has issued for it, and remembers what else came.
type picky struct {
	*httptest.Server
	op       *optest.Server
	subject  string // of a good token
	audience []string

	refuses atomic.Pointer[string] // a token to be refused as if it had been revoked

	mu      sync.Mutex
	good    int
	strange []string
}

func newPicky(t *testing.T, op *optest.Server, subject string, audience ...string) *picky {
	p := &picky{op: op, subject: subject, audience: audience}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *picky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	issued, ok := p.op.AccessToken(token)
	good := ok && issued.Subject == p.subject && slices.Equal(issued.Audience, p.audience)
	p.mu.Lock()
	defer p.mu.Unlock()
	if refused := p.refuses.Load(); refused != nil && (*refused == token || *refused == "all") {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if good {
		p.good++
	} else {
		p.strange = append(p.strange, strings.Join(issued.Audience, " "))
	}
	_, _ = w.Write([]byte(token))
}

// want fails the test unless so many good tokens came, and nothing else.
func (p *picky) want(t *testing.T, what string, good int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.good != good || len(p.strange) > 0 {
		t.Errorf("%s got %d good tokens, want %d, and others for %q", what, p.good, good, p.strange)
	}
}

// targeted is a gateway with an upstream for each way to a token.
type targeted struct {
	*replica
	own, orders, billing, prices *picky
}

func newTargeted(t *testing.T) *targeted {
	x := &targeted{}
	x.replica = newReplica(t, func(g *replica, c *Config) {
		c.Providers[0].Resource = []string{"https://orders.example.com", "https://stock.example.com"}
		x.own = newPicky(t, g.op, "alice", c.Providers[0].Resource...)
		x.orders = newPicky(t, g.op, "alice", "https://orders.example.com")
		x.billing, x.prices = newPicky(t, g.op, "alice", "billing.example"), newPicky(t, g.op, "app", "prices.example")
		route := func(path string, p *picky, token proxy.TokenPolicy, target Target) Route {
			return Route{
				Route: proxy.Route{Path: path, Upstream: parseURL(t, p.URL), Token: token, Timeout: 10 * time.Second},
				CSRF:  "header", Login: "none", Target: target,
			}
		}
		c.Routes = []Route{
			route("/own/", x.own, proxy.TokenUser, Target{}),
			route("/orders/", x.orders, proxy.TokenUserOrNone, Target{Audience: "https://orders.example.com"}),
			route("/billing/", x.billing, proxy.TokenExchange, Target{Audience: "billing.example", Scopes: []string{"profile"}}),
			route("/prices/", x.prices, proxy.TokenClient, Target{Audience: "prices.example"}),
		}
	}).ready()
	return x
}

// TestTokensPerUpstream is EXT-02: whatever is asked for at once, and while all tokens have to be got again, each upstream
// sees tokens for itself and no others. PX-04: what the browser brings goes nowhere.
func TestTokensPerUpstream(t *testing.T) {
	g := newTargeted(t)
	clients := []*client{g.client().signIn(), g.client().signIn()}
	const rounds = 2
	for range rounds {
		var all sync.WaitGroup
		for _, c := range clients {
			for range 3 {
				for _, path := range []string{"/own/", "/orders/", "/billing/", "/prices/"} {
					all.Go(func() {
						if res := c.send("GET", path, csrf, "Authorization: Bearer mine"); res.StatusCode != 200 {
							t.Errorf("%s: %s %s", path, res.Status, res.body)
						}
					})
				}
			}
		}
		all.Wait()
		g.ahead.Add(int64(10 * time.Minute))
	}
	for what, p := range map[string]*picky{"own": g.own, "orders": g.orders, "billing": g.billing, "prices": g.prices} {
		p.want(t, what, rounds*len(clients)*3)
	}
	// One exchange for each session and access token (EXT-03), one token of the gateway's own for all.
	if n := g.op.CountGrants(optest.GrantTokenExchange); n != rounds*len(clients) {
		t.Errorf("%d exchanges", n)
	}
	if n := g.op.CountGrants("client_credentials"); n != rounds {
		t.Errorf("%d tokens of the gateway's own", n)
	}
}

// Without a session the gateway's own token goes up all the same, and no other; after a logout no token of the session's.
func TestTokensWithoutSession(t *testing.T) {
	g := newTargeted(t)
	c := g.client().signIn()
	if res := c.send("GET", "/billing/", csrf); res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, res.body)
	}
	if res := c.send("POST", "/bff/logout", csrf); res.StatusCode != 200 {
		t.Fatalf("logout: %s", res.Status)
	}
	for path, status := range map[string]int{"/own/": 401, "/orders/": 200, "/billing/": 401, "/prices/": 200} {
		for _, who := range []*client{c, g.client()} {
			if res := who.send("GET", path, csrf); res.StatusCode != status || path == "/orders/" && res.body != "" {
				t.Errorf("%s: %s %s", path, res.Status, res.body)
			}
		}
	}
	if res := g.client().send("GET", "/prices/"); res.StatusCode != 403 { // a route like any with a token
		t.Errorf("without X-CSRF: %s", res.Status)
	}
	g.prices.want(t, "prices", 2)
	g.billing.want(t, "billing", 1)
}

// TestTokenFailures is EXT-01 and RFR-28: an OP that gives no token for an upstream costs the session nothing, and the log
// says why.
func TestTokenFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fault  optest.Fault
		status map[string]int
		codes  map[string]string
		logged string
	}{
		"refused": {
			optest.InvalidTarget,
			map[string]int{"/own/": 200, "/orders/": 500, "/billing/": 500, "/prices/": 503},
			map[string]string{"/orders/": "internal", "/billing/": "internal", "/prices/": "provider_unavailable"},
			"invalid_target",
		},
		"down": {
			optest.Status(optest.TokenEndpoint, 500),
			map[string]int{"/own/": 200, "/orders/": 503, "/billing/": 503, "/prices/": 503},
			map[string]string{"/orders/": "refresh_unavailable", "/billing/": "refresh_unavailable", "/prices/": "provider_unavailable"},
			"refresh_failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTargeted(t)
			c := g.client().signIn()
			g.op.Fault(test.fault)
			for _, path := range []string{"/orders/", "/billing/", "/prices/", "/own/"} {
				if res := c.send("GET", path, csrf); res.StatusCode != test.status[path] || res.code() != test.codes[path] {
					t.Errorf("%s: %s %s", path, res.Status, res.body)
				}
			}
			if !strings.Contains(g.log.String(), test.logged) {
				t.Errorf("%s is not in the log", test.logged)
			}
		})
	}
}

// TestReplacedToken is RFR-32 from end to end: a token that its upstream refuses is replaced once, and the request made
// again; an upstream that refuses every token is believed, and the session lives.
func TestReplacedToken(t *testing.T) {
	g := newTargeted(t)
	c := g.client().signIn()
	for path, p := range map[string]*picky{"/own/": g.own, "/orders/": g.orders, "/billing/": g.billing, "/prices/": g.prices} {
		first := c.send("GET", path, csrf)
		g.ahead.Add(int64(11 * time.Second))
		p.refuses.Store(&first.body)
		second := c.send("GET", path, csrf)
		if second.StatusCode != 200 || second.body == first.body {
			t.Errorf("%s: %s, the same token: %v", path, second.Status, second.body == first.body)
		}
		all := "all"
		p.refuses.Store(&all)
		before := len(g.op.Requests(optest.TokenEndpoint))
		for range 3 {
			if res := c.send("GET", path, csrf); res.StatusCode != 401 || strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
				t.Errorf("%s: %s %v", path, res.Status, res.Header)
			}
		}
		if asked := len(g.op.Requests(optest.TokenEndpoint)) - before; asked != 0 {
			t.Errorf("%s: %d token requests for a token that has just come", path, asked)
		}
		p.refuses.Store(nil)
		if res := c.send("GET", path, csrf); res.StatusCode != 200 {
			t.Errorf("%s: afterwards: %s", path, res.Status)
		}
	}
}
