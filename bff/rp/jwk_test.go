package rp

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// jwks makes a key set of one key, with members changed.
func jwks(t testing.TB, key any, change map[string]any) []byte {
	t.Helper()
	return fmt.Appendf(nil, `{"keys":[%s]}`, jwkOf(t, key, change))
}

// TestSecretKeys: each member that is no public one makes a key unusable, and is said (DIS-15).
func TestSecretKeys(t *testing.T) {
	t.Parallel()
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} { // RFC 7518 §6; priv is AKP's
		keys, ignored, err := parseKeys(jwks(t, testKeys().rsa.Public(), map[string]any{member: "AQAB"}))
		if err != nil || len(keys) != 0 || len(ignored) != 1 || !errors.Is(ignored[0], errSecretKey) {
			t.Errorf("%s: %d keys, ignored %v, error %v", member, len(keys), ignored, err)
		}
	}
}

// TestKeysByAlgorithm: a key serves the algorithms of its kind, less what its own members rule out (DIS-14, DIS-16).
func TestKeysByAlgorithm(t *testing.T) {
	t.Parallel()
	k := testKeys()
	rsa2048, p256, ed := k.rsa.Public().(*rsa.PublicKey), k.p256.Public(), k.ed.Public()
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
		{"RSA, weak", k.weakRSA.Public(), nil, ""},
		{"RSA, enormous", &rsa.PublicKey{N: enormous, E: 65537}, nil, ""},
		{"P-256", p256, nil, "ES256"},
		{"P-384", k.p384.Public(), nil, "ES384"},
		{"P-521", k.p521.Public(), nil, ""},
		{"P-256, not on the curve", p256, map[string]any{"x": strings.Repeat("A", 43)}, ""},
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
	t.Parallel()
	set := fmt.Sprintf(`{"keys":[{}%s]}`, strings.Repeat(",{}", maxKeys))
	if _, _, err := parseKeys([]byte(set)); err == nil {
		t.Error("no error")
	}
}

// FuzzJWKS: what is left of a key set can verify signatures.
func FuzzJWKS(f *testing.F) {
	k := testKeys()
	f.Add(jwks(f, k.rsa.Public(), nil))
	f.Add(jwks(f, k.p256.Public(), map[string]any{"use": "sig", "x5c": []string{"AAAA"}}))
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
