package rp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/session/secret"
)

// encryptionKey is one of our keys for a key management algorithm: a new one, unless it is RSA.
func encryptionKey(t testing.TB, alg, kid string) jose.JSONWebKey {
	t.Helper()
	k := jose.JSONWebKey{Key: testKeys().rsa, KeyID: kid, Algorithm: alg, Use: "enc"}
	if !strings.HasPrefix(alg, "RSA-") {
		var err error
		if k.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// encrypt makes a JWE as an OP does.
func encrypt(t testing.TB, to jose.JSONWebKey, enc, plain string, change func(*jose.EncrypterOptions)) string {
	t.Helper()
	options := new(jose.EncrypterOptions).WithContentType("JWT")
	if change != nil {
		change(options)
	}
	encrypter, err := jose.NewEncrypter(jose.ContentEncryption(enc), jose.Recipient{
		Algorithm: jose.KeyAlgorithm(to.Algorithm), Key: to.Key.(crypto.Signer).Public(), KeyID: to.KeyID,
	}, options)
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := encrypter.Encrypt([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwe.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// decryptingClient is fuzzClient with registered encryption.
func decryptingClient(t testing.TB, signing ed25519.PrivateKey, e Encryption, keys ...jose.JSONWebKey) (*Client, *provider) {
	t.Helper()
	c, p := fuzzClient(t, signing)
	own, err := NewClientKeys(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	c.cfg.Keys, c.cfg.IDTokenEncryption = own, e
	return c, p
}

// TestEncryptedIDToken: every pair of algorithms, and the token inside is checked like any other (IDT-24).
func TestEncryptedIDToken(t *testing.T) {
	t.Parallel()
	signing := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	good := sign(signing, `{"alg":"EdDSA","kid":"k1"}`, someClaims(""))
	for _, alg := range keyAlgs {
		key := encryptionKey(t, alg, "e1")
		for _, enc := range contentAlgs {
			c, p := decryptingClient(t, signing, Encryption{alg, enc}, key)
			id, err := c.verifyIDToken(t.Context(), p, secret.New(encrypt(t, key, enc, good, nil)))
			if err != nil || id.Subject != "alice" {
				t.Errorf("%s %s: %v", alg, enc, err)
			}
			for want, inside := range map[string]string{
				"IDT-02": sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), `{"alg":"EdDSA","kid":"k1"}`, someClaims("")),
				"IDT-03": sign(signing, `{"alg":"none"}`, someClaims("")),
				"IDT-06": sign(signing, `{"alg":"EdDSA","kid":"k1"}`, strings.Replace(someClaims(""), "op.", "evil.", 1)),
				"IDT-30": encrypt(t, key, enc, good, nil), // twice
			} {
				_, err := c.verifyIDToken(t.Context(), p, secret.New(encrypt(t, key, enc, inside, nil)))
				if !errors.Is(err, ErrIDToken) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s %s: error %v, want ErrIDToken naming %s", alg, enc, err, want)
				}
			}
		}
	}
}

// TestEncryptionRefused: anything but what is registered (IDT-24), and one text for whatever goes wrong with the keys.
func TestEncryptionRefused(t *testing.T) {
	t.Parallel()
	signing := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	good := sign(signing, `{"alg":"EdDSA","kid":"k1"}`, someClaims(""))
	const alg, enc = "RSA-OAEP-256", "A256GCM"
	key, ec := encryptionKey(t, alg, "e1"), encryptionKey(t, "ECDH-ES", "e2")
	other := key
	other.Key = testKeys().otherRSA
	sha1 := key
	sha1.Algorithm = "RSA-OAEP"
	pkcs := key
	pkcs.Algorithm = "RSA1_5"
	jwe := encrypt(t, key, enc, good, nil)
	parts := func(change func(p []string)) string {
		p := strings.Split(jwe, ".")
		change(p)
		return strings.Join(p, ".")
	}
	flip := func(s string) string { // a bit of the last whole byte
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for _, tt := range []struct{ name, raw, want string }{
		{"as registered", jwe, ""},
		{"cty with the prefix", encrypt(t, key, enc, good, func(o *jose.EncrypterOptions) { o.WithContentType("application/jwt") }), ""},
		{"not encrypted", good, "not encrypted"},
		{"alg with SHA-1", encrypt(t, sha1, enc, good, nil), "its alg"},
		{"alg RSA1_5", encrypt(t, pkcs, enc, good, nil), "its alg"},
		{"alg of another kind of key", encrypt(t, ec, enc, good, nil), "no JWE in compact form"},
		{"another enc", encrypt(t, key, "A128GCM", good, nil), "its enc"},
		{"zip", encrypt(t, key, enc, good, func(o *jose.EncrypterOptions) { o.Compression = jose.DEFLATE }), "zip"},
		{"crit", encrypt(t, key, enc, good, func(o *jose.EncrypterOptions) { o.WithHeader("crit", []string{"exp"}) }), "crit"},
		{"cty of something else", encrypt(t, key, enc, good, func(o *jose.EncrypterOptions) { o.WithContentType("json") }), "its cty"},
		{"for another key", encrypt(t, other, enc, good, nil), errDecrypt.Error()},
		{"a changed key", parts(func(p []string) { p[1] = flip(p[1]) }), errDecrypt.Error()},
		{"a short key", parts(func(p []string) { p[1] = "AAAA" }), errDecrypt.Error()},
		{"a changed text", parts(func(p []string) { p[3] = flip(p[3]) }), errDecrypt.Error()},
		{"a changed tag", parts(func(p []string) { p[4] = flip(p[4]) }), errDecrypt.Error()},
		{"a short nonce", parts(func(p []string) { p[2] = "AAAA" }), errDecrypt.Error()},
		{"no key", parts(func(p []string) { p[1] = "" }), "compact form"},
		{"whitespace", parts(func(p []string) { p[3] += "\n" }), "compact form"},
		{"padding", parts(func(p []string) { p[3] += "=" }), "compact form"},
		{"six parts", jwe + ".AA", "not encrypted"},
		{"IDT-30 huge", jwe + strings.Repeat("A", maxJWT), "too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, p := decryptingClient(t, signing, Encryption{alg, enc}, key)
			_, err := c.verifyIDToken(t.Context(), p, secret.New(tt.raw))
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (!errors.Is(err, ErrIDToken) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want ErrIDToken and %q", err, tt.want)
			}
		})
	}
	t.Run("not registered", func(t *testing.T) {
		c, p := decryptingClient(t, signing, Encryption{}, key)
		if _, err := c.verifyIDToken(t.Context(), p, secret.New(jwe)); !errors.Is(err, ErrIDToken) || !strings.Contains(err.Error(), "IDT-24") {
			t.Errorf("error %v, want ErrIDToken naming IDT-24", err)
		}
	})
}

// TestDecryptionKeys: the key that the JWE names; every one that fits when it names none of ours; never one that is
// for something else.
func TestDecryptionKeys(t *testing.T) {
	t.Parallel()
	signing := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	good := sign(signing, `{"alg":"EdDSA","kid":"k1"}`, someClaims(""))
	e := Encryption{"ECDH-ES+A128KW", "A128GCM"}
	newer, older := encryptionKey(t, e.Alg, "e2"), encryptionKey(t, e.Alg, "e1")
	otherAlg, signs := encryptionKey(t, "ECDH-ES", "e3"), encryptionKey(t, "ES256", "e4")
	signs.Use = "sig"
	c, p := decryptingClient(t, signing, e, newer, older, encryptionKey(t, "RSA-OAEP", "e5"), otherAlg, signs)
	for _, tt := range []struct {
		name string
		key  jose.JSONWebKey
		kid  string
		ok   bool
	}{
		{"the newest", newer, "e2", true},
		{"after a rotation", older, "e1", true},
		{"without kid", older, "", true},
		{"an unknown kid", older, "e9", true},
		{"another's kid", older, "e2", false},
		{"a key for another algorithm", otherAlg, "e3", false},
		{"a signing key", signs, "e4", false},
	} {
		tt.key.KeyID, tt.key.Algorithm = tt.kid, e.Alg
		_, err := c.verifyIDToken(t.Context(), p, secret.New(encrypt(t, tt.key, e.Enc, good, nil)))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// FuzzDecrypt: only the registered algorithms get to a key, and failures say nothing.
func FuzzDecrypt(f *testing.F) {
	signing := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key := encryptionKey(f, "ECDH-ES", "e1")
	c, _ := decryptingClient(f, signing, Encryption{"ECDH-ES", "A128GCM"}, key)
	kind := jwtKind{refused: ErrIDToken, encryption: c.cfg.IDTokenEncryption}
	jwe := encrypt(f, key, "A128GCM", "plain", nil)
	f.Add(jwe)
	f.Add(strings.Replace(jwe, "..", ".AAAA.", 1))
	for _, header := range []string{
		`{"alg":"ECDH-ES","enc":"A128GCM"}`, `{"alg":"dir","enc":"A128GCM"}`, `{"alg":"ECDH-ES","enc":"A128GCM","zip":"DEF"}`,
		`{"alg":"ECDH-ES","enc":"A128GCM","epk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`,
		`{"alg":"ECDH-ES","enc":"A128GCM","epk":{"kty":"oct","k":"AA"},"apu":1}`, `{"alg":"PBES2-HS256+A128KW","p2c":1e9}`,
	} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(header)) + "..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		plain, err := c.decrypt(raw, kind)
		if err != nil && (plain != "" || !errors.Is(err, ErrIDToken)) {
			t.Errorf("%q, %v", plain, err)
		}
		if err == nil && plain != "plain" {
			t.Errorf("decrypted %q, which we never encrypted", plain)
		}
	})
}
