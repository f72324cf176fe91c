package rp

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// jwks makes a key set of one key, with members changed.
func jwks(t testing.TB, key any, change map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	for name, value := range change {
		members[name] = value
	}
	data, err = json.Marshal(map[string]any{"keys": []any{members}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func rsaKey(t testing.TB, bits int) *rsa.PublicKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

// TestKeysByAlgorithm: a key serves the algorithms of its kind, less what its own members rule out (DIS-14, DIS-16).
func TestKeysByAlgorithm(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048 := rsaKey(t, 2048)
	enormous := new(big.Int).Lsh(rsa2048.N, 8000)
	enormous.SetBit(enormous, 0, 1)
	for _, tt := range []struct {
		name   string
		key    any
		change map[string]any
		want   string
	}{
		{"RSA", rsa2048, nil, "RS256 RS384 RS512 PS256 PS384 PS512"},
		{"RSA for signatures", rsa2048, map[string]any{"use": "sig", "key_ops": []string{"verify"}}, "RS256 RS384 RS512 PS256 PS384 PS512"},
		{"RSA for PS256", rsa2048, map[string]any{"alg": "PS256"}, "PS256"},
		{"RSA for an unknown algorithm", rsa2048, map[string]any{"alg": "RSA-OAEP"}, ""},
		{"RSA for encryption", rsa2048, map[string]any{"use": "enc"}, ""},
		{"RSA for wrapping", rsa2048, map[string]any{"key_ops": []string{"wrapKey"}}, ""},
		{"RSA for nothing", rsa2048, map[string]any{"key_ops": []string{}}, ""},
		{"RSA with use of the wrong type", rsa2048, map[string]any{"use": 1}, ""},
		{"RSA with a null use", rsa2048, map[string]any{"use": nil}, "RS256 RS384 RS512 PS256 PS384 PS512"},
		{"RSA, private", rsa2048, map[string]any{"d": "AQAB"}, ""},
		{"RSA, weak", rsaKey(t, 1024), nil, ""},
		{"RSA, enormous", &rsa.PublicKey{N: enormous, E: 65537}, nil, ""},
		{"P-256", ecKey(t, elliptic.P256()), nil, "ES256"},
		{"P-384", ecKey(t, elliptic.P384()), nil, "ES384"},
		{"P-521", ecKey(t, elliptic.P521()), nil, ""},
		{"P-256, not on the curve", ecKey(t, elliptic.P256()), map[string]any{"x": strings.Repeat("A", 43)}, ""},
		{"Ed25519", ed, nil, "EdDSA"},
		{"Ed25519 by its RFC 9864 name", ed, map[string]any{"alg": "Ed25519"}, "EdDSA"},
		{"symmetric", []byte(strings.Repeat("k", 32)), nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, ignored, err := parseKeys(jwks(t, tt.key, tt.change))
			if err != nil || len(keys)+len(ignored) != 1 {
				t.Fatalf("%d keys, ignored %v, error %v", len(keys), ignored, err)
			}
			var fitting []string
			for _, alg := range append([]string{"none", "HS256", "ES512", "ES256K"}, signingAlgs...) {
				if len(keys) > 0 && fits(keys[0], alg) {
					fitting = append(fitting, alg)
				}
			}
			if got := strings.Join(fitting, " "); got != tt.want {
				t.Errorf("serves %q, want %q; ignored %v", got, tt.want, ignored)
			}
		})
	}
}

func TestTooManyKeys(t *testing.T) {
	set := fmt.Sprintf(`{"keys":[{}%s]}`, strings.Repeat(",{}", maxKeys))
	if _, _, err := parseKeys([]byte(set)); err == nil {
		t.Error("no error")
	}
}

// FuzzJWKS: what is left of a key set can verify signatures.
func FuzzJWKS(f *testing.F) {
	f.Add(jwks(f, rsaKey(f, 2048), nil))
	f.Add(jwks(f, ecKey(f, elliptic.P256()), map[string]any{"use": "sig", "x5c": []string{"AAAA"}}))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"OKP","crv":"Ed448","x":"AA"},null,7]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, _, err := parseKeys(data)
		if err != nil && keys != nil {
			t.Error("keys and an error")
		}
		for _, key := range keys {
			if !key.IsPublic() || !key.Valid() {
				t.Errorf("an unusable key %v got through", key)
			}
			if checkStrength(key.Key) != nil {
				t.Error("a weak key got through")
			}
		}
	})
}
