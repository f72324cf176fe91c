package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session/problem"
)

// from is a request of a client.
func from(ctx context.Context, client string) *http.Request {
	ctx = context.WithValue(ctx, accessKey{}, &access{client: netip.MustParseAddr(client)})
	return httptest.NewRequestWithContext(ctx, "POST", "/bff/backchannel-logout", nil)
}

func isTooMany(err error) bool {
	p, ok := errors.AsType[*problem.Error](err)
	return ok && p.Code == problem.TooManyRequests
}

// BCL-27: of bad tokens each address may send a burst, and then a few. Good ones count for nothing.
func TestBadLogoutTokensAreLimited(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLogoutTokens(func() time.Time { return now })
	send := func(client string, good bool) (admitted int) {
		for admitted < 1000 {
			done, err := l.admit(from(t.Context(), client))
			if err != nil {
				if !isTooMany(err) {
					t.Error(err)
				}
				return admitted
			}
			done(good)
			admitted++
		}
		return admitted
	}
	if n := send("192.0.2.1", true); n != 1000 {
		t.Errorf("%d good tokens", n)
	}
	if n := send("192.0.2.1", false); n != badLogoutTokenBurst {
		t.Errorf("a burst of %d bad ones", n)
	}
	if n := send("192.0.2.1", true); n != 0 {
		t.Errorf("then %d good ones", n)
	}
	if n := send("192.0.2.2", true); n != 1000 {
		t.Errorf("%d good ones from elsewhere", n)
	}
	now = now.Add(time.Second)
	if n := send("192.0.2.1", false); n != badLogoutTokensPerSecond {
		t.Errorf("%d in a second", n)
	}
	now = now.Add(time.Minute)
	if n := send("192.0.2.1", false); n != badLogoutTokenBurst {
		t.Errorf("a minute later a burst of %d", n)
	}
}

// BCL-27: many addresses that send bad tokens share what they may send; one that has sent none is heard all the same.
func TestBadLogoutTokensFromEverywhere(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLogoutTokens(func() time.Time { return now })
	bad := func(rounds int) (admitted int) {
		for range rounds {
			for i := range byte(200) {
				if done, err := l.admit(from(t.Context(), netip.AddrFrom4([4]byte{192, 0, 2, i}).String())); err == nil {
					done(false)
					admitted++
				} else if !isTooMany(err) {
					t.Error(err)
				}
			}
		}
		return admitted
	}
	if n := bad(10); n != allBadLogoutTokenBurst {
		t.Errorf("a burst of %d bad tokens", n)
	}
	done, err := l.admit(from(t.Context(), "198.51.100.1"))
	if err != nil {
		t.Fatalf("a good token from elsewhere: %v", err)
	}
	done(true)
	now = now.Add(time.Second) // in which the address's own bucket is full again
	if n := bad(10); n != allBadLogoutTokensPerSecond {
		t.Errorf("%d in a second", n)
	}
	now = now.Add(time.Minute)
	if n := bad(1); n != 200 {
		t.Errorf("a minute later %d of 200 addresses are heard", n)
	}
}

// takeAllTurns leaves no turn to others.
func takeAllTurns(t *testing.T, l *logoutTokens, client string) (busy []func(good bool)) {
	t.Helper()
	for range maxLogoutTokens {
		done, err := l.admit(from(t.Context(), client))
		if err != nil {
			t.Fatal(err)
		}
		busy = append(busy, done)
	}
	return busy
}

// BCL-27: tokens that wait for their turn while those before them prove to be no good are not looked at any more.
func TestBadLogoutTokensThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogoutTokens(time.Now)
		busy := takeAllTurns(t, l, "192.0.2.1")
		refused := make(chan error)
		go func() {
			_, err := l.admit(from(t.Context(), "192.0.2.1"))
			refused <- err
		}()
		synctest.Wait()
		for range badLogoutTokenBurst { // by others of the same address
			l.bad.take(netip.MustParseAddr("192.0.2.1"))
		}
		for _, done := range busy {
			done(true)
		}
		if err := <-refused; !isTooMany(err) {
			t.Errorf("admitted, or %v", err)
		}
		if len(l.turns) > 0 {
			t.Error("it has kept its turn")
		}
	})
}

// BCL-27: of all addresses together only so many are looked at at a time. The others wait for a while.
func TestLogoutTokensTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogoutTokens(time.Now)
		busy := takeAllTurns(t, l, "192.0.2.1")
		began := time.Now()
		if _, err := l.admit(from(t.Context(), "192.0.2.2")); !isTooMany(err) || time.Since(began) != logoutTokenWait {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.admit(from(ctx, "192.0.2.2")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a client that goes away: %v", err)
		}
		time.AfterFunc(time.Second, func() { busy[0](true) })
		done, err := l.admit(from(t.Context(), "192.0.2.2"))
		if err != nil {
			t.Fatalf("after a second there was room: %v", err)
		}
		done(true)
		for _, done := range busy[1:] {
			done(true)
		}
	})
}

// BCL-27, over HTTP: bad tokens are refused with 429 in the end, and the OP is asked for its keys no more than before.
func TestFloodOfLogoutTokens(t *testing.T) {
	t.Parallel()
	g := newReplica(t, func(g *replica, c *Config) {
		at := time.Now()
		g.options.Now = func() time.Time { return at } // no bucket fills again
		c.TrustedProxies = parsePrefixes(t, "127.0.0.0/8")
	}).ready()
	c := g.client()
	fetched := g.op.Count(optest.JWKSEndpoint)
	status := map[int]int{}
	for range badLogoutTokenBurst + 20 {
		status[c.backchannel("a.b.c").StatusCode]++
	}
	if status[400] != badLogoutTokenBurst || status[429] != 20 {
		t.Errorf("answers: %v", status)
	}
	if n := g.op.Count(optest.JWKSEndpoint) - fetched; n != 0 {
		t.Errorf("%d fetches of keys", n)
	}
}
