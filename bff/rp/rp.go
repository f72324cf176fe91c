package rp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// leeway on every time that the OP's clock wrote (design.md, clock skew).
	leeway = time.Minute
	// reloadInterval is how often metadata and keys are fetched while all is well; shorter than keyTTL, so that no
	// login waits for keys.
	reloadInterval = 10 * time.Minute
	// After a failed load the next comes after minBackoff, then twice as long each time, at most maxBackoff.
	minBackoff = time.Second
	maxBackoff = time.Minute
)

// Client is a confidential client of one OP. All methods may be called at the same time.
type Client struct {
	cfg  Config
	http *http.Client
	now  func() time.Time
	log  *slog.Logger

	loading  sync.Mutex // one Load at a time
	provider atomic.Pointer[provider]
	failure  atomic.Pointer[error] // why there is no provider yet
}

// provider is what was learned from one discovery document: used as a whole or not at all (DIS-07).
type provider struct {
	Metadata
	keys *keySet
}

// New returns a client that knows nothing of its OP yet: call Run or Load. It reports all mistakes of the
// configuration at once and touches no network.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Client{
		cfg:  cfg,
		http: newHTTPClient(cfg.HTTPClient),
		now:  cfg.Now,
		log:  cfg.Logger.With("issuer", cfg.Issuer),
	}, nil
}

// Run keeps metadata and keys fresh until ctx ends, and then returns nil. An OP that is down, or whose metadata is
// unusable, is tried again with growing pauses, for ever; what was loaded before stays in use (DIS-08, DIS-09).
func (c *Client) Run(ctx context.Context) error {
	backoff := minBackoff
	for {
		pause := reloadInterval
		if err := c.Load(ctx); err == nil {
			backoff = minBackoff
		} else {
			pause, backoff = backoff, min(2*backoff, maxBackoff)
			if ctx.Err() == nil {
				c.log.WarnContext(ctx, "loading the OP's metadata failed", "err", err, "in_use", c.Ready() == nil)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jitter(pause)):
		}
	}
}

// jitter spreads replicas that started together: between four fifths of d and d.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/5) }

// Load fetches the discovery document and the keys once, now. The error, which is always ErrUnavailable, says what is
// wrong with them; what was loaded before then stays in use.
func (c *Client) Load(ctx context.Context) error {
	c.loading.Lock()
	defer c.loading.Unlock()

	p, err := c.load(ctx)
	if err != nil {
		if !errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		c.failure.Store(&err)
		return err
	}
	switch old := c.provider.Swap(p); {
	case old == nil:
		c.log.InfoContext(ctx, "the OP's metadata is loaded")
	case old.Metadata != p.Metadata:
		c.log.WarnContext(ctx, "the OP's metadata changed", "old", old.Metadata, "new", p.Metadata)
	}
	return nil
}

func (c *Client) load(ctx context.Context) (*provider, error) {
	doc, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	metadata, err := newMetadata(doc, &c.cfg)
	if err != nil {
		return nil, err
	}
	p := &provider{Metadata: metadata}
	if old := c.provider.Load(); old != nil && old.JWKSURI == p.JWKSURI {
		p.keys = old.keys // with its memory of the last fetches
	} else {
		p.keys = &keySet{uri: p.JWKSURI, http: c.http, now: c.now, log: c.log}
	}
	if !c.cfg.needsKeys() {
		return p, nil
	}
	if err := p.keys.load(ctx); err != nil {
		return nil, err
	}
	for _, alg := range c.cfg.signedByOP() {
		if alg != macAlg && !p.keys.serves(alg) {
			return nil, fmt.Errorf("%s holds no key for the signing algorithm %s", shownAddress(p.JWKSURI), alg)
		}
	}
	return p, nil
}

// Ready returns nil once metadata and keys have been loaded, and until then why not, as ErrUnavailable.
func (c *Client) Ready() error {
	_, err := c.loaded()
	return err
}

// Metadata returns what the OP says about itself, or ErrUnavailable.
func (c *Client) Metadata() (Metadata, error) {
	p, err := c.loaded()
	if err != nil {
		return Metadata{}, err
	}
	return p.Metadata, nil
}

func (c *Client) loaded() (*provider, error) {
	if p := c.provider.Load(); p != nil {
		return p, nil
	}
	if failure := c.failure.Load(); failure != nil {
		return nil, *failure
	}
	return nil, fmt.Errorf("%w: its metadata is not loaded yet", ErrUnavailable)
}
