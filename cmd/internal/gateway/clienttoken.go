package gateway

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	clientTokenLead    = time.Minute      // before its expiry a token is replaced; a third of its lifetime if that is less
	clientTokenTimeout = 10 * time.Second // for the OP's answer
	clientTokenWait    = 8 * time.Second  // for a request that has no good token
	clientTokenYoung   = 10 * time.Second // so long a token is not replaced for being refused by an upstream

	// After a failure the OP is left alone for the shorter pause, then twice as long each time, at most for the longer.
	minClientTokenPause = time.Second
	maxClientTokenPause = 30 * time.Second
)

// clientTokens are the sources of the gateway's own access tokens (RFC 6749 §4.4), one for each provider and target,
// shared by all routes and users.
type clientTokens struct {
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex // guards what follows, and no work begins without it
	sources map[clientTokenKey]*clientToken
	ctx     context.Context // of all work; ends with Close
	cancel  context.CancelFunc
	work    sync.WaitGroup
}

type clientTokenKey struct{ provider, audience, resource, scopes string }

func newClientTokens(now func() time.Time, log *slog.Logger) *clientTokens {
	ctx, cancel := context.WithCancel(context.Background())
	return &clientTokens{now: now, log: log, ctx: ctx, cancel: cancel, sources: map[clientTokenKey]*clientToken{}}
}

// source returns the source for a target, the same one whenever the target is the same.
func (c *clientTokens) source(provider string, client *rp.Client, target rp.Target) *clientToken {
	scopes := strings.Join(slices.Sorted(slices.Values(target.Scopes)), " ")
	key := clientTokenKey{provider, target.Audience, target.Resource, scopes}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sources[key]
	if !ok {
		log := c.log.With("provider", provider, "audience", target.Audience, "resource", target.Resource, "scopes", scopes)
		s = &clientToken{now: c.now, log: log, start: c.start, client: client, target: target}
		c.sources[key] = s
	}
	return s
}

// start runs work until it ends or Close is called; after that it does nothing and returns false.
func (c *clientTokens) start(work func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.work.Go(func() { work(c.ctx) })
	return true
}

// Close ends all work and waits for its end. Tokens that are there can still be had.
func (c *clientTokens) Close() error {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.work.Wait()
	return nil
}

// clientToken is one of the gateway's own access tokens, kept in memory and asked for anew when somebody needs it.
type clientToken struct {
	now    func() time.Time
	log    *slog.Logger
	start  func(work func(context.Context)) bool
	client *rp.Client
	target rp.Target

	mu      sync.Mutex
	current *rp.AccessToken
	renewAt time.Time     // zero while there is no token
	flight  chan struct{} // closed when the request that is under way is over; nil while there is none
	err     error         // of the last request; nil when it went well
	pause   time.Duration // after it
	rest    time.Time     // the end of the pause
}

// Token returns a token that has not expired. While there is one nobody waits: one caller sets the next request off, in
// the background. Otherwise all wait for the same answer, for a while. The error is [problem.ProviderUnavailable], at
// once when the OP has just failed, or that of ctx.
func (c *clientToken) Token(ctx context.Context) (secret.String, error) {
	return c.get(ctx, secret.String{})
}

// Another returns another token than the one that an upstream has refused as invalid (RFR-32). The refused one stays in
// use until another has come: an upstream that refuses everything does not take it away from the others, nor does it
// cost the OP more than a request in ten seconds. Errors as those of Token, also when the token is too young to be
// replaced.
func (c *clientToken) Another(ctx context.Context, refused secret.String) (secret.String, error) {
	return c.get(ctx, refused)
}

func (c *clientToken) get(ctx context.Context, refused secret.String) (secret.String, error) {
	c.mu.Lock()
	now := c.now()
	tooOld := !now.Before(c.renewAt)
	if tooOld || c.isCurrent(refused) && now.Sub(c.current.IssuedAt) > clientTokenYoung {
		c.request(now)
	}
	token, err := c.usable(now, refused)
	flight := c.flight
	c.mu.Unlock()
	if err == nil || flight == nil {
		return token, err
	}
	timer := time.NewTimer(clientTokenWait)
	defer timer.Stop()
	select {
	case <-flight:
	case <-timer.C:
		return secret.String{}, problem.Wrap(problem.ProviderUnavailable, errors.New("an access token takes too long"))
	case <-ctx.Done():
		return secret.String{}, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usable(c.now(), refused)
}

func (c *clientToken) isCurrent(token secret.String) bool {
	return c.current != nil && c.current.Token.Equal(token)
}

// usable returns the token if it is good, and not the refused one.
func (c *clientToken) usable(now time.Time, refused secret.String) (secret.String, error) {
	good := c.current != nil && now.Before(c.current.ExpiresAt)
	switch {
	case good && !c.isCurrent(refused):
		return c.current.Token, nil
	case c.err != nil:
		return secret.String{}, problem.Wrap(problem.ProviderUnavailable, c.err)
	case good:
		return secret.String{}, problem.Wrap(problem.ProviderUnavailable, errors.New("the refused token is a new one"))
	}
	return secret.String{}, problem.Wrap(problem.ProviderUnavailable, errors.New("there is no access token yet"))
}

// request asks the OP for a token, unless that is under way or the OP has just failed. It belongs to no request of a
// browser and goes on when those end.
func (c *clientToken) request(now time.Time) {
	if c.flight != nil || now.Before(c.rest) {
		return
	}
	if c.start(c.fetch) {
		c.flight = make(chan struct{})
	}
}

func (c *clientToken) fetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, clientTokenTimeout)
	defer cancel()
	token, err := c.client.ClientCredentials(ctx, c.target)

	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if err == nil && !now.Before(token.ExpiresAt) {
		err = errors.New("what came has expired already")
	}
	if err != nil {
		c.pause = min(max(2*c.pause, minClientTokenPause), maxClientTokenPause)
		c.rest = now.Add(c.pause)
		c.log.LogAttrs(ctx, clientTokenLevel(err), "the OP gives no access token for the gateway itself", slog.Any("err", err))
	} else {
		c.pause, c.rest = 0, time.Time{}
		c.current, c.renewAt = token, renewAt(token)
	}
	c.err = err
	close(c.flight)
	c.flight = nil
}

// renewAt is some time before the expiry, a little later on some replicas than on others (RFR-27).
func renewAt(token *rp.AccessToken) time.Time {
	lead := min(clientTokenLead, token.ExpiresAt.Sub(token.IssuedAt)/3)
	return token.ExpiresAt.Add(-lead + rand.N(lead/10+1))
}

// clientTokenLevel is how loudly a failure is logged: one that only the operator can mend is an error.
func clientTokenLevel(err error) slog.Level {
	switch {
	case errors.Is(err, context.Canceled): // by Close
		return slog.LevelInfo
	case errors.Is(err, rp.ErrUnavailable), errors.Is(err, rp.ErrUncertain):
		return slog.LevelWarn
	}
	return slog.LevelError
}
