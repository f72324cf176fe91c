package rp

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys    = 100
	minRSABits = 2048 // DIS-16; go-jose has the upper bound
)

// errSecretKey is a key that must never have been published (DIS-15).
var errSecretKey = errors.New("it is symmetric or private; the OP should withdraw it")

// parseKeys reads a JWK Set (RFC 7517 §5) key by key. Keys that we do not understand, or that are not for verifying
// signatures, are left out and do not spoil the others (DIS-14 to DIS-17); ignored says why, for the log.
func parseKeys(data []byte) (keys []jose.JSONWebKey, ignored []error, err error) {
	doc, err := parseObject(data)
	if err != nil {
		return nil, nil, err
	}
	var members []json.RawMessage
	if err := doc.read("keys", &members); err != nil || !doc.has("keys") {
		return nil, nil, errors.New("it has no array of keys")
	}
	if len(members) > maxKeys {
		return nil, nil, fmt.Errorf("it has more than %d keys", maxKeys)
	}
	for i, member := range members {
		key, err := parseKey(member)
		if err != nil {
			ignored = append(ignored, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		keys = append(keys, key)
	}
	return keys, ignored, nil
}

// parseKey reads one public key for verifying signatures.
func parseKey(data []byte) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	doc, err := parseObject(data)
	if err != nil {
		return key, err
	}
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if doc.has(secret) {
			return key, errSecretKey
		}
	}
	use, err := doc.text("use")
	if err != nil || use != "" && use != "sig" {
		return key, errors.New("its use is not sig")
	}
	var ops []string
	if err := doc.read("key_ops", &ops); err != nil || doc.has("key_ops") && !slices.Contains(ops, "verify") {
		return key, errors.New("its key_ops do not contain verify")
	}

	// go-jose sees the key alone: certificates beside it are not ours to judge, and one that does not parse would
	// take the key with it.
	bare := object{}
	for _, name := range []string{"kty", "kid", "alg", "crv", "n", "e", "x", "y"} {
		if v, ok := doc[name]; ok {
			bare[name] = v
		}
	}
	plain, err := json.Marshal(bare)
	if err != nil {
		return key, err
	}
	if err := key.UnmarshalJSON(plain); err != nil {
		return key, errors.New("its type or its values are not supported")
	}
	return key, checkStrength(key.Key)
}

func checkStrength(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("RSA with %d bits is too weak", bits)
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return fmt.Errorf("the curve %s is not supported", k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return errors.New("its type is not supported")
	}
	return nil
}

// fits reports whether a key is of the kind that the algorithm needs and is not reserved for another (DIS-14).
func fits(key jose.JSONWebKey, alg string) bool {
	if key.Algorithm != "" && key.Algorithm != alg && !(alg == "EdDSA" && key.Algorithm == "Ed25519") { // RFC 9864
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return alg == "ES256" && k.Curve == elliptic.P256() || alg == "ES384" && k.Curve == elliptic.P384()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
