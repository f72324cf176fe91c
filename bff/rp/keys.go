package rp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

const (
	// keyTTL is how long a fetched key set is trusted without looking again, and so how long at most a key that the
	// OP has removed still verifies (DIS-13).
	keyTTL = 15 * time.Minute
	// keyStaleLimit is how long it is trusted while looking again fails.
	keyStaleLimit = time.Hour
	// keyCooldown is the pause after a fetch that a token asked for and that brought no key for it (DIS-11).
	keyCooldown = 10 * time.Second
)

// keySet is the OP's published keys.
//
// A token with an unknown kid, or without one, makes it look at the OP once more, since the OP may have begun to sign
// with a new key (DIS-12). All tokens of a moment share one look, and when it did not help the next ones wait for the
// cooldown: whoever sends us bad tokens cannot make us call the OP for each.
type keySet struct {
	uri  string
	http *http.Client
	now  func() time.Time
	log  *slog.Logger

	flight singleflight.Group

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // zero: never
	resting time.Time // until then no token makes us fetch
}

var (
	errNoKey     = errors.New("no key of the OP fits it")
	errSignature = errors.New("the signature is wrong")
)

// verify is that of signatureVerifier.
func (s *keySet) verify(ctx context.Context, raw, alg string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, errors.New("it cannot be parsed as a JWS")
	}

	keys, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	payload, err := verifyWith(keys, jws)
	if !errors.Is(err, errNoKey) {
		return payload, err
	}
	if err := s.refetch(ctx); errors.Is(err, errResting) {
		return nil, errNoKey
	} else if err != nil {
		return nil, err
	}
	if payload, err = verifyWith(s.snapshot(), jws); err == nil {
		s.rest(time.Time{}) // a new key did appear: the next may be looked for at once
	}
	return payload, err
}

// verifyWith tries the keys that have the token's kid or none, or all when the token has none, as far as they fit
// (IDT-20); there are at most maxKeys. The OP may have several under one kid. A key in the token's own header is never
// looked at (IDT-19).
func verifyWith(keys []jose.JSONWebKey, jws *jose.JSONWebSignature) ([]byte, error) {
	header := jws.Signatures[0].Protected
	err := errNoKey
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != "" {
			if key.KeyID != header.KeyID {
				continue
			}
			err = errSignature
		}
		if !fits(key, header.Algorithm) {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, err
}

// current returns the keys, fetched again when they are older than keyTTL.
func (s *keySet) current(ctx context.Context) ([]jose.JSONWebKey, error) {
	if s.age() > keyTTL {
		err := s.refetch(ctx)
		if err == nil {
			s.rest(time.Time{}) // that was no token's doing
		} else if s.age() > keyStaleLimit {
			return nil, fmt.Errorf("%w: no fresh keys: %w", ErrUnavailable, err)
		}
	}
	return s.snapshot(), nil
}

func (s *keySet) age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Sub(s.fetched)
}

func (s *keySet) snapshot() []jose.JSONWebKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

func (s *keySet) rest(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting = until
}

var errResting = errors.New("the keys were fetched a moment ago")

// refetch loads the keys on behalf of a token: in one flight with all others who ask, not during a cooldown, and not
// on the caller's deadline, since a browser that goes away must not fail the rest (GOI-18).
func (s *keySet) refetch(ctx context.Context) error {
	flight := s.flight.DoChan("", func() (any, error) {
		s.mu.Lock()
		rested := !s.now().Before(s.resting)
		if rested {
			s.resting = s.now().Add(keyCooldown)
		}
		s.mu.Unlock()
		if !rested {
			return nil, errResting
		}
		return nil, s.load(context.WithoutCancel(ctx))
	})
	select {
	case done := <-flight:
		return done.Err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// load fetches the keys now. On failure those from before stay.
func (s *keySet) load(ctx context.Context) error {
	started := s.now()
	body, err := fetch(ctx, s.http, s.uri)
	if err != nil {
		return err
	}
	keys, ignored, err := parseKeys(body)
	if err != nil {
		return fmt.Errorf("%w: the key set at %s is unusable: %w", ErrUnavailable, shownAddress(s.uri), err)
	}
	for _, err := range ignored {
		level := slog.LevelDebug
		if errors.Is(err, errSecretKey) {
			level = slog.LevelWarn
		}
		s.log.Log(ctx, level, "a key of the OP is ignored", "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.fetched = keys, started
	return nil
}

// serves reports whether some key can verify signatures of the algorithm.
func (s *keySet) serves(alg string) bool {
	for _, key := range s.snapshot() {
		if fits(key, alg) {
			return true
		}
	}
	return false
}
