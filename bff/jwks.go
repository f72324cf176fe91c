package bff

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/session/problem"
)

// JWKS serves the public keys of our clients (RFC 7517 §5), for the jwks_uri at a provider: those of all providers, each
// once, or with ?provider= those of one. Clients that authenticate with a secret have none. Two keys may have the same
// kid where two files chose it.
//
// A client whose assertions are for the endpoint that its OP names has to be known by that key to this OP alone, or the
// OP could hand the assertion on to another (CA-06). Beside other providers its keys are in its own set only.
func (h *Handler) JWKS(w http.ResponseWriter, r *http.Request) error {
	query, err := singleValues(r.URL.RawQuery)
	if err != nil {
		return err
	}
	providers := slices.DeleteFunc(slices.Clone(h.Providers), func(p Provider) bool {
		return len(h.Providers) > 1 && p.Client.LegacyAudience()
	})
	if name := query["provider"]; name != "" {
		provider, known := h.Providers.byName(name)
		if !known {
			return problem.New(problem.NotFound, "provider is not one that is configured here")
		}
		providers = Providers{provider}
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, p := range providers {
		for _, key := range p.Client.PublicKeys().Keys {
			if !slices.ContainsFunc(set.Keys, func(k jose.JSONWebKey) bool { return reflect.DeepEqual(k, key) }) {
				set.Keys = append(set.Keys, key)
			}
		}
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(set)
}
