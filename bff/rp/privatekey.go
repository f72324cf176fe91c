package rp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

var errKeyType = errors.New("its type or its values are not supported; " +
	"write an EC key on P-256 or P-384, an Ed25519 key, or an RSA key of at least 2048 bits")

// parseClientKeys reads the content of a file of private keys. Its errors tell the operator what to write and hold
// nothing of a key.
func parseClientKeys(data []byte) ([]jose.JSONWebKey, error) {
	read := parsePEM
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		read = parseJWKs
	}
	keys, err := read(data)
	if err != nil {
		return nil, err
	}
	return keys, adoptKeys(keys)
}

// parseJWKs reads a JWK or a JWK Set (RFC 7517).
func parseJWKs(data []byte) ([]jose.JSONWebKey, error) {
	doc, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	members := []json.RawMessage{data}
	if doc.has("keys") {
		if err := doc.read("keys", &members); err != nil {
			return nil, err
		}
	}
	keys := make([]jose.JSONWebKey, len(members))
	for i, member := range members {
		if keys[i], err = parseJWK(member); err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	return keys, nil
}

func parseJWK(data []byte) (key jose.JSONWebKey, err error) {
	doc, err := parseObject(data)
	if err != nil {
		return key, err
	}
	if doc.has("k") {
		return key, errors.New("it is symmetric; a secret shared with the OP is the client_secret")
	}
	var ops []string
	if err := doc.read("key_ops", &ops); err != nil {
		return key, err
	}
	// As with the OP's keys, go-jose sees the key alone and not the certificates beside it.
	bare := object{}
	for _, name := range []string{"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi"} {
		if v, ok := doc[name]; ok {
			bare[name] = v
		}
	}
	plain, err := json.Marshal(bare)
	if err != nil {
		return key, err
	}
	if err := key.UnmarshalJSON(plain); err != nil {
		return key, errKeyType
	}
	if key.Use == "" && len(ops) > 0 && !slices.Contains(ops, "sign") {
		key.Use = "enc"
	}
	return key, nil
}

// parsePEM reads every private key and skips what tools write beside them.
func parsePEM(data []byte) (keys []jose.JSONWebKey, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncryptedKey
		default:
			continue
		}
		if block.Headers["DEK-Info"] != "" {
			return nil, errEncryptedKey
		}
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(keys)+1, errKeyType)
		}
		keys = append(keys, jose.JSONWebKey{Key: key})
	}
	return keys, nil
}

var errEncryptedKey = errors.New("the key is encrypted; write it without a passphrase, readable by the gateway alone")

// adoptKeys checks private keys and completes each with use, alg and kid.
func adoptKeys(keys []jose.JSONWebKey) error {
	if len(keys) == 0 {
		return errors.New("there is no private key, neither as a JWK nor in PEM; `cloakroom keygen client` prints one")
	}
	known := map[string]bool{}
	for i := range keys {
		if err := adoptKey(&keys[i]); err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
		if known[keys[i].KeyID] {
			return fmt.Errorf("key %d: another key has its kid %.100q; give each its own", i+1, keys[i].KeyID)
		}
		known[keys[i].KeyID] = true
	}
	return nil
}

func adoptKey(key *jose.JSONWebKey) error {
	if key.IsPublic() {
		return errors.New("it is a public key; write the private one")
	}
	private, ok := key.Key.(crypto.Signer)
	if !ok || !key.Valid() || checkStrength(private.Public()) != nil {
		return errKeyType
	}
	if !isPair(private) {
		return errors.New("its public and its private values do not belong together")
	}
	if key.Use == "" {
		key.Use = "sig"
	}
	if key.Algorithm == "Ed25519" { // RFC 9864; go-jose knows the older name
		key.Algorithm = "EdDSA"
	}
	signing, encryption := algorithmsOf(private.Public())
	switch {
	case key.Use == "sig" && key.Algorithm == "":
		key.Algorithm = signing[0]
	case key.Use == "sig" && !slices.Contains(signing, key.Algorithm):
		return fmt.Errorf("it can sign with %s alone; its alg says otherwise", strings.Join(signing, ", "))
	case key.Use == "enc" && len(encryption) == 0:
		return errors.New("an Ed25519 key cannot decrypt; write an EC or RSA key, or use sig")
	case key.Use == "enc" && key.Algorithm != "" && !slices.Contains(encryption, key.Algorithm):
		return fmt.Errorf("it can decrypt with %s alone; its alg says otherwise", strings.Join(encryption, ", "))
	case key.Use != "sig" && key.Use != "enc":
		return errors.New("its use must be sig or enc")
	}
	if key.KeyID == "" {
		thumbprint, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return errKeyType
		}
		key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	}
	return nil
}

// algorithmsOf returns what a key of its kind can do. The first signing algorithm is that of a key without alg.
func algorithmsOf(public crypto.PublicKey) (signing, encryption []string) {
	ecdh := []string{"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"}
	switch k := public.(type) {
	case *rsa.PublicKey:
		return []string{"PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}, []string{"RSA-OAEP", "RSA-OAEP-256"}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			return []string{"ES384"}, ecdh
		}
		return []string{"ES256"}, ecdh
	}
	return []string{"EdDSA"}, nil
}

// isPair reports whether a private key has the public half that it claims to have; what we publish would otherwise
// verify nothing that we sign.
func isPair(private crypto.Signer) bool {
	switch k := private.(type) {
	case *rsa.PrivateKey:
		return k.Validate() == nil
	case *ecdsa.PrivateKey:
		raw, err := k.Bytes()
		if err != nil {
			return false
		}
		pair, err := ecdsa.ParseRawPrivateKey(k.Curve, raw)
		return err == nil && pair.PublicKey.Equal(&k.PublicKey)
	case ed25519.PrivateKey:
		return ed25519.NewKeyFromSeed(k.Seed()).Equal(k)
	}
	return false
}
