package gateway

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/cloakroom/cloakroom/session/problem"
)

// What one address may begin of the logins that cost the provider a request (PAR-06). A company behind one address
// arrives within minutes of nine o'clock and passes; a script in a loop does not.
const (
	pushesPerSecond = 50
	pushBurst       = 300
	// maxPushers bounds the memory, in addresses, to about 2 MB.
	maxPushers = 10_000
)

// limit is a token bucket for each address. A bucket that has not been used for as long as it takes to fill is like
// one that never was, so that it is enough to keep those of two such periods, and to forget the older one as a whole.
type limit struct {
	now func() time.Time

	mu           sync.Mutex
	since        time.Time // begin of the newer period
	newer, older map[netip.Prefix]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimit(now func() time.Time) *limit {
	return &limit{now: now, since: now(), newer: map[netip.Prefix]bucket{}}
}

// admitPush refuses a login when there have been too many from the request's address.
func (l *limit) admitPush(r *http.Request) error {
	if l.take(accessOf(r).client) {
		return nil
	}
	return problem.New(problem.TooManyRequests, "too many logins begin at your address; try again in a moment")
}

// take takes a token out of the bucket of an address. Addresses that cannot be known share one.
func (l *limit) take(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.since) > pushBurst/pushesPerSecond*time.Second || len(l.newer) >= maxPushers {
		l.since, l.newer, l.older = now, map[netip.Prefix]bucket{}, l.newer
	}
	client := clientPrefix(addr)
	b, ok := l.newer[client]
	if !ok {
		b, ok = l.older[client]
	}
	if !ok {
		b.tokens = pushBurst
	} else {
		b.tokens = min(pushBurst, b.tokens+now.Sub(b.at).Seconds()*pushesPerSecond)
	}
	b.at = now
	admitted := b.tokens >= 1
	if admitted {
		b.tokens--
	}
	l.newer[client] = b
	return admitted
}

// clientPrefix is what one client has: an IPv4 address, or an IPv6 network of 64 bits, in which it can choose any address
// at any time.
func clientPrefix(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // the zero Prefix for the zero Addr
	return prefix
}
