package gateway

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/cloakroom/cloakroom/session/problem"
)

// maxLimited bounds the memory of a limit, in addresses, to about 2 MB.
const maxLimited = 10_000

// limit is a token bucket for each address. A bucket that has not been used for as long as it takes to fill is like
// one that never was, so that it is enough to keep those of two such periods, and to forget the older one as a whole.
type limit struct {
	now              func() time.Time
	perSecond, burst float64

	mu           sync.Mutex
	since        time.Time // begin of the newer period
	newer, older map[netip.Prefix]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimit(now func() time.Time, perSecond, burst float64) *limit {
	return &limit{now: now, perSecond: perSecond, burst: burst, since: now(), newer: map[netip.Prefix]bucket{}}
}

// take takes a token out of the bucket of an address. Addresses that cannot be known share one.
func (l *limit) take(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	client, b := l.bucket(addr)
	admitted := b.tokens >= 1
	if admitted {
		b.tokens--
	}
	l.newer[client] = b
	return admitted
}

// allows reports whether take would find a token.
func (l *limit) allows(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, b := l.bucket(addr)
	return b.tokens >= 1
}

// knows reports whether an address has taken something lately: for once to twice as long as a bucket takes to fill.
func (l *limit) knows(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	client, _ := l.bucket(addr)
	_, newer := l.newer[client]
	_, older := l.older[client]
	return newer || older
}

// bucket is the bucket of an address as it is now.
func (l *limit) bucket(addr netip.Addr) (netip.Prefix, bucket) {
	now := l.now()
	if now.Sub(l.since).Seconds() > l.burst/l.perSecond || len(l.newer) >= maxLimited {
		l.since, l.newer, l.older = now, map[netip.Prefix]bucket{}, l.newer
	}
	client := clientPrefix(addr)
	b, ok := l.newer[client]
	if !ok {
		b, ok = l.older[client]
	}
	if !ok {
		return client, bucket{l.burst, now}
	}
	b.tokens = min(l.burst, b.tokens+now.Sub(b.at).Seconds()*l.perSecond)
	b.at = now
	return client, b
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

// What one address may begin of the logins that cost the provider a request (PAR-06). A company behind one address
// arrives within minutes of nine o'clock and passes; a script in a loop does not.
const (
	pushesPerSecond = 50
	pushBurst       = 300
)

// admitPush refuses a login when there have been too many from the request's address.
func admitPush(now func() time.Time) func(*http.Request) error {
	pushes := newLimit(now, pushesPerSecond, pushBurst)
	return func(r *http.Request) error {
		if pushes.take(accessOf(r).client) {
			return nil
		}
		return problem.New(problem.TooManyRequests, "too many logins begin at your address; try again in a moment")
	}
}
