package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/go-jose/go-jose/v4"
)

// printClientKey writes a new private JWK set (RFC 7517 §5) with one key for signing with ES256. The key id is the
// thumbprint of the public key (RFC 7638), so that it is the same wherever it is computed.
func printClientKey(w io.Writer) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key := jose.JSONWebKey{Key: private, Algorithm: string(jose.ES256), Use: "sig"}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
}
