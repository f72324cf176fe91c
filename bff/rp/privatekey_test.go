package rp

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// testKeys are private keys of every kind, made once: RSA keys take long.
var testKeys = sync.OnceValue(func() (k struct {
	rsa, otherRSA, weakRSA *rsa.PrivateKey
	p256, p384, p521       *ecdsa.PrivateKey
	ed                     ed25519.PrivateKey
	x25519                 *ecdh.PrivateKey
},
) {
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.otherRSA, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.weakRSA, _ = rsa.GenerateKey(rand.Reader, 1024)
	k.p256, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.p521, _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, k.ed, _ = ed25519.GenerateKey(rand.Reader)
	k.x25519, _ = ecdh.X25519().GenerateKey(rand.Reader)
	return k
})

// jwkOf writes a JWK with members changed.
func jwkOf(t testing.TB, key any, change map[string]any) string {
	t.Helper()
	data, err := json.Marshal(jose.JSONWebKey{Key: key})
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
	if data, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func pemOf(label string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func pkcs8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemOf("PRIVATE KEY", der, err)
}

func sec1(key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalECPrivateKey(key)
	return pemOf("EC PRIVATE KEY", der, err)
}

func pkcs1(key *rsa.PrivateKey) string {
	return pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), nil)
}

// TestParseClientKeys: what a file may hold, and what its keys are then for.
func TestParseClientKeys(t *testing.T) {
	t.Parallel()
	k := testKeys()
	type members = map[string]any
	for _, tt := range []struct {
		name, file string
		want       string // use and alg of each key
	}{
		{"JWK P-256", jwkOf(t, k.p256, nil), "sig ES256"},
		{"JWK P-384", jwkOf(t, k.p384, nil), "sig ES384"},
		{"JWK Ed25519", jwkOf(t, k.ed, nil), "sig EdDSA"},
		{"JWK Ed25519 by its RFC 9864 name", jwkOf(t, k.ed, members{"alg": "Ed25519"}), "sig EdDSA"},
		{"CA-08 JWK RSA", jwkOf(t, k.rsa, nil), "sig PS256"},
		{"CA-08 JWK RSA for RS256", jwkOf(t, k.rsa, members{"alg": "RS256"}), "sig RS256"},
		{"JWK for signing", jwkOf(t, k.p256, members{"use": "sig", "key_ops": []string{"sign"}}), "sig ES256"},
		{"JWK for encryption", jwkOf(t, k.p256, members{"use": "enc"}), "enc "},
		{"JWK for encryption with alg", jwkOf(t, k.rsa, members{"use": "enc", "alg": "RSA-OAEP-256"}), "enc RSA-OAEP-256"},
		{"JWK for encryption by its key_ops", jwkOf(t, k.p256, members{"key_ops": []string{"deriveBits"}}), "enc "},
		{"JWK with certificates of another", jwkOf(t, k.p256, members{"x5c": []string{"AAAA"}}), "sig ES256"},
		{"JWK Set", fmt.Sprintf(`{"keys":[%s,%s]}`, jwkOf(t, k.ed, nil), jwkOf(t, k.p256, members{"use": "enc"})), "sig EdDSA, enc "},
		{"PKCS #8 P-256", pkcs8(k.p256), "sig ES256"},
		{"PKCS #8 Ed25519", pkcs8(k.ed), "sig EdDSA"},
		{"PKCS #8 RSA", pkcs8(k.rsa), "sig PS256"},
		{"PKCS #1", pkcs1(k.rsa), "sig PS256"},
		{"SEC 1 behind its parameters", pemOf("EC PARAMETERS", []byte{6, 1, 0}, nil) + sec1(k.p384), "sig ES384"},
		{"CA-09 two in PEM", pkcs8(k.ed) + "\n" + sec1(k.p256), "sig EdDSA, sig ES256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := parseClientKeys([]byte("\n" + tt.file))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, key := range keys {
				got = append(got, key.Use+" "+key.Algorithm)
				thumbprint, err := key.Thumbprint(crypto.SHA256)
				if want := base64.RawURLEncoding.EncodeToString(thumbprint); err != nil || key.KeyID != want {
					t.Errorf("kid %q, want the thumbprint %q", key.KeyID, want)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestParseClientKeysRefuses: the error says what to write, and nothing of the key (CA-14).
func TestParseClientKeysRefuses(t *testing.T) {
	t.Parallel()
	k := testKeys()
	type members = map[string]any
	other := jwkOf(t, k.p256, members{"kid": "same"})
	for _, tt := range []struct{ name, file, want string }{
		{"empty", "", "no private key"},
		{"certificate", pemOf("CERTIFICATE", []byte("x"), nil), "no private key"},
		{"PEM, public", pemOf("PUBLIC KEY", []byte("x"), nil), "no private key"},
		{"empty set", `{"keys":[]}`, "no private key"},
		{"set without array", `{"keys":7}`, "keys has the wrong type"},
		{"not JSON", `{"kty":`, "not a JSON object"},
		{"null", `{"keys":[null]}`, "key 1: not a JSON object"},
		{"public", jwkOf(t, &k.p256.PublicKey, nil), "key 1: it is a public key; write the private one"},
		{"symmetric", jwkOf(t, []byte("marker-symmetric-key-0123456789ab"), nil), "the client_secret"},
		{"weak RSA", jwkOf(t, k.weakRSA, nil), "at least 2048 bits"},
		{"weak RSA in PEM", pkcs1(k.weakRSA), "at least 2048 bits"},
		{"P-521", jwkOf(t, k.p521, nil), "P-256 or P-384"},
		{"X25519", pkcs8(k.x25519), "P-256 or P-384"},
		{"kty", jwkOf(t, k.p256, members{"kty": "AKP"}), "not supported"},
		{"PEM, broken", pemOf("PRIVATE KEY", []byte("x"), nil), "key 1: its type or its values"},
		{"PEM, encrypted", pemOf("ENCRYPTED PRIVATE KEY", []byte("x"), nil), "without a passphrase"},
		{"PEM, encrypted in the old way", strings.Replace(pkcs1(k.rsa), "KEY-----\n", "KEY-----\nDEK-Info: AES-128-CBC,00\n\n", 1), "without a passphrase"},
		{"halves of two EC keys", jwkOf(t, k.p256, members{"d": base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))}), "do not belong together"},
		{"use", jwkOf(t, k.p256, members{"use": "tls"}), "use must be sig or enc"},
		{"IDT-04 alg none", jwkOf(t, k.p256, members{"alg": "none"}), "sign with ES256 alone"},
		{"alg of another curve", jwkOf(t, k.p256, members{"alg": "ES384"}), "sign with ES256 alone"},
		{"alg HS256", jwkOf(t, k.rsa, members{"alg": "HS256"}), "sign with PS256"},
		{"alg for encryption on a signing key", jwkOf(t, k.rsa, members{"alg": "RSA-OAEP-256"}), "sign with PS256"},
		{"alg for signing on an encryption key", jwkOf(t, k.p256, members{"use": "enc", "alg": "ES256"}), "decrypt with ECDH-ES"},
		{"RSA1_5", jwkOf(t, k.rsa, members{"use": "enc", "alg": "RSA1_5"}), "decrypt with RSA-OAEP"},
		{"Ed25519 for encryption", jwkOf(t, k.ed, members{"use": "enc"}), "cannot decrypt"},
		{"one kid twice", fmt.Sprintf(`{"keys":[%s,%s]}`, other, jwkOf(t, k.ed, members{"kid": "same"})), `key 2: another key has its kid "same"`},
		{"one key twice", pkcs8(k.ed) + pkcs8(k.ed), "key 2: another key has its kid"},
		{"second key bad", fmt.Sprintf(`{"keys":[%s,{"kty":"EC"}]}`, other), "key 2: its type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseClientKeys([]byte(tt.file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want it to contain %q", err, tt.want)
			}
			for _, name := range []string{"d", "p", "k"} {
				_, value, _ := strings.Cut(tt.file, `"`+name+`":"`)
				if value, _, _ = strings.Cut(value, `"`); value != "" && strings.Contains(err.Error(), value) {
					t.Errorf("the error holds %s of the key: %v", name, err)
				}
			}
		})
	}
}
