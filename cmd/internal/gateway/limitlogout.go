package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/cloakroom/cloakroom/session/problem"
)

// What one address may send of logout tokens that are no good (BCL-27). Good ones, however many, do not count: an OP
// signs a whole company out at once.
const (
	badLogoutTokensPerSecond = 10
	badLogoutTokenBurst      = 100
)

// What all addresses that have sent such a token lately may send together: a signature costs the processor a fifth of a
// millisecond, and a refusal a line in the log. An address without a fault does not wait for them.
const (
	allBadLogoutTokensPerSecond = 100
	allBadLogoutTokenBurst      = 300
)

const (
	maxLogoutTokens = 16              // are looked at at a time; the others wait
	logoutTokenWait = 2 * time.Second // more than a token waits for the keys of its OP
)

// logoutTokens decides which logout tokens are looked at.
type logoutTokens struct {
	bad    *limit
	allBad *limit // of all addresses, as if they were one
	turns  chan struct{}
}

func newLogoutTokens(now func() time.Time) *logoutTokens {
	return &logoutTokens{
		bad:    newLimit(now, badLogoutTokensPerSecond, badLogoutTokenBurst),
		allBad: newLimit(now, allBadLogoutTokensPerSecond, allBadLogoutTokenBurst),
		turns:  make(chan struct{}, maxLogoutTokens),
	}
}

// admit is that of [bff.Options.AdmitLogoutToken].
func (l *logoutTokens) admit(r *http.Request) (done func(good bool), err error) {
	client := accessOf(r).client
	if err := l.refuse(client); err != nil {
		return nil, err
	}
	wait := time.NewTimer(logoutTokenWait)
	defer wait.Stop()
	select {
	case l.turns <- struct{}{}:
	case <-wait.C:
		return nil, problem.New(problem.TooManyRequests, "too many logout tokens at a time; try again in a moment")
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	if err := l.refuse(client); err != nil { // by now
		<-l.turns
		return nil, err
	}
	return func(good bool) {
		<-l.turns
		if !good {
			l.bad.take(client)
			l.allBad.take(netip.Addr{})
		}
	}, nil
}

func (l *logoutTokens) refuse(client netip.Addr) error {
	if !l.bad.allows(client) || !l.allBad.allows(netip.Addr{}) && l.bad.knows(client) {
		return problem.New(problem.TooManyRequests,
			"too many logout tokens from your address are no good; try again later")
	}
	return nil
}
