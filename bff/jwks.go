package bff

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// JWKS serves the public keys of our clients (RFC 7517 §5), for the jwks_uri at a provider: those of all providers, each
// once. Clients that authenticate with a secret have none.
func (h *Handler) JWKS(w http.ResponseWriter, _ *http.Request) error {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, p := range h.Providers {
		for _, key := range p.Client.PublicKeys().Keys {
			if !slices.ContainsFunc(set.Keys, func(k jose.JSONWebKey) bool { return k.KeyID == key.KeyID }) {
				set.Keys = append(set.Keys, key)
			}
		}
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(set)
}
