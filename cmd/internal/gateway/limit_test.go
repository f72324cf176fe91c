package gateway

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// PAR-06: a burst, then the rate; each address for itself, where an IPv6 client has a whole network.
func TestLimit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLimit(func() time.Time { return now }, pushesPerSecond, pushBurst)
	take := func(addr string) (admitted int) {
		for l.take(netip.MustParseAddr(addr)) {
			admitted++
		}
		return admitted
	}
	if n := take("192.0.2.1"); n != pushBurst {
		t.Errorf("a burst of %d", n)
	}
	if n := take("192.0.2.2"); n != pushBurst {
		t.Errorf("another address: %d", n)
	}
	if n := take("2001:db8::1"); n != pushBurst {
		t.Errorf("an IPv6 address: %d", n)
	}
	if n := take("2001:db8::ffff:1:2:3"); n != 0 {
		t.Errorf("the same network: %d", n)
	}
	if n := take("2001:db8:0:1::1"); n != pushBurst {
		t.Errorf("the next network: %d", n)
	}
	for range 30 { // through several periods
		now = now.Add(time.Second)
		if n := take("192.0.2.1"); n != pushesPerSecond {
			t.Errorf("%d in a second", n)
		}
	}
	now = now.Add(time.Hour)
	if n := take("192.0.2.1"); n != pushBurst {
		t.Errorf("an hour later a burst of %d", n)
	}
	for range pushBurst {
		l.take(netip.Addr{})
	}
	if l.take(netip.Addr{}) {
		t.Error("no limit where the address cannot be known")
	}
}

// PAR-06: what a flood of addresses leaves is bounded.
func TestLimitIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLimit(func() time.Time { return now }, pushesPerSecond, pushBurst)
	for i := range 10 * maxLimited {
		l.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		if n := len(l.newer) + len(l.older); n > 2*maxLimited {
			t.Fatalf("%d buckets", n)
		}
	}
}

// PAR-06: logins that are pushed are limited at both endpoints that begin one, by the client's address; the OP hears of no
// other. A login that costs the OP nothing is not.
func TestLoginsAreLimited(t *testing.T) {
	for pushed, limited := range map[string]bool{"required": true, "off": false} {
		g := newReplica(t, func(g *replica, c *Config) {
			c.Providers[0].PushedRequests = pushed
			c.Login.ThirdParty = true
			c.TrustedProxies = parsePrefixes(t, "127.0.0.0/8")
			at := time.Now()
			g.options.Now = func() time.Time { return at } // no token comes back
		}).ready()
		c := g.client()
		begin := func(path, client string) response { return c.send("GET", path, "X-Forwarded-For: "+client) }
		for i := range pushBurst / 2 {
			for _, path := range []string{"/bff/login", "/bff/login/initiate?iss=" + g.op.Issuer()} {
				if res := begin(path, "192.0.2.1"); res.StatusCode != http.StatusFound {
					t.Fatalf("%d: %s %s", i, res.Status, res.body)
				}
			}
		}
		for _, path := range []string{"/bff/login", "/bff/login/initiate?iss=" + g.op.Issuer()} {
			res := begin(path, "192.0.2.1")
			if got := res.StatusCode == http.StatusTooManyRequests; got != limited {
				t.Errorf("%s, pushed %s: %s %s", path, pushed, res.Status, res.body)
			}
			if limited && (res.code() != "too_many_requests" || res.Header.Get("Retry-After") == "" || res.Header.Get("Set-Cookie") != "") {
				t.Errorf("%s: %v %s", path, res.Header, res.body)
			}
		}
		if res := begin("/bff/login", "192.0.2.2"); res.StatusCode != http.StatusFound {
			t.Errorf("another client: %s %s", res.Status, res.body)
		}
		if n := g.op.Count(optest.PushedEndpoint); limited && n != pushBurst+1 {
			t.Errorf("%d pushed requests, want %d", n, pushBurst+1)
		}
	}
}
