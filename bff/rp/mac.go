package rp

import (
	"context"
	"errors"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	// macAlg is the one MAC algorithm that can be configured (IDT-05).
	macAlg = "HS256"
	// minMACSecret is the shortest client_secret, in octets, that may be its key (RFC 7518 §3.2, Core §16.19).
	minMACSecret = 32
)

// macKey verifies MACs with our client_secret (Core §10.1). Whoever can read it can make such tokens, so it vouches
// for no more than the secret's safekeeping.
type macKey struct{ secret secret.String }

func (m macKey) verify(_ context.Context, raw, _ string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{macAlg})
	if err != nil {
		return nil, errors.New("it cannot be parsed as a JWS")
	}
	payload, err := jws.Verify([]byte(m.secret.Reveal()))
	if err != nil {
		return nil, errSignature
	}
	return payload, nil
}
