package bff

import (
	"io"
	"net/http"
)

// JWKS serves the public keys of our clients (RFC 7517 §5), for the jwks_uri at a provider. A client that authenticates
// with a secret has none, so the set is empty.
func (h *Handler) JWKS(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "no-store")
	_, err := io.WriteString(w, `{"keys":[]}`+"\n")
	return err
}
