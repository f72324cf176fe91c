package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// clientKeyAlgs are the algorithms that a client key can be made for: for signing, and for what the OP encrypts to us.
var clientKeyAlgs = []string{
	"ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512",
	"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA-OAEP", "RSA-OAEP-256",
}

// printClientKey writes a new private JWK set (RFC 7517 §5) with one key for alg. The key id is the thumbprint of the
// public key (RFC 7638), so that it is the same wherever it is computed.
func printClientKey(w io.Writer, alg string) error {
	if !slices.Contains(clientKeyAlgs, alg) {
		return usageError(fmt.Sprintf("keygen client: -alg must be one of %s, not %s", strings.Join(clientKeyAlgs, ", "), alg))
	}
	private, err := newClientKey(alg)
	if err != nil {
		return err
	}
	key := jose.JSONWebKey{Key: private, Algorithm: alg, Use: "sig"}
	if strings.Contains(alg, "-") {
		key.Use = "enc"
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
}

func newClientKey(alg string) (crypto.Signer, error) {
	switch {
	case alg == "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case alg == "ES256", strings.HasPrefix(alg, "ECDH"):
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case alg == "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return rsa.GenerateKey(rand.Reader, 3072)
}
