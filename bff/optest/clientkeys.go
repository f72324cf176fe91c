package optest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const maxClientJWKS = 1 << 20 // octets

// defaultHTTPClient is for requests to clients: without redirects, and not for ever.
var defaultHTTPClient = &http.Client{
	Timeout:       5 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// clientKeys returns the public keys of a client that have this kid, all of them for "". What JWKSURI gave is kept,
// and fetched again when the kid is unknown and for "".
func (op *OP) clientKeys(c Client, kid string) ([]jose.JSONWebKey, error) {
	named := func(keys []jose.JSONWebKey) []jose.JSONWebKey {
		return slices.DeleteFunc(slices.Clone(keys), func(k jose.JSONWebKey) bool { return kid != "" && k.KeyID != kid })
	}
	switch {
	case c.JWKS != nil:
		return named(c.JWKS.Keys), nil
	case c.JWKSURI == "":
		return nil, errors.New("the client has registered no keys")
	}
	op.mu.Lock()
	kept := op.fetchedKeys[c.JWKSURI]
	op.mu.Unlock()
	if keys := named(kept); kid != "" && len(keys) > 0 {
		return keys, nil
	}
	fetched, err := op.fetchKeys(c.JWKSURI)
	if err != nil {
		return nil, fmt.Errorf("the client's jwks_uri: %w", err)
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	op.fetchedKeys[c.JWKSURI] = fetched
	return named(fetched), nil
}

func (op *OP) fetchKeys(uri string) ([]jose.JSONWebKey, error) {
	resp, err := op.http.Get(uri)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxClientJWKS))
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		if !k.IsPublic() {
			return nil, errors.New("it publishes a key that is not public")
		}
	}
	return set.Keys, nil
}
