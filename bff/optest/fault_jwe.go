package optest

import (
	"crypto/ecdsa"
	"encoding/json"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// How an ID token is encrypted. All but UnregisteredEncryption need a client that is registered for encryption.
var (
	// NotEncrypted sends the token in clear (IDT-24).
	NotEncrypted = EditIDToken("not encrypted", func(t *JWT) { t.Encryption = Encryption{} })
	// UnregisteredEncryption encrypts for a client that has not asked for it: to the key that it has for something
	// else, or to one that it has never seen.
	UnregisteredEncryption = EditIDToken("encrypted without registration", func(t *JWT) {
		k, err := t.recipient()
		if err != nil {
			k, err = strangerRecipient("RSA-OAEP-256", "a-stranger")
		}
		if err != nil {
			t.fail(err)
			return
		}
		t.recipient = func() (jose.JSONWebKey, error) { return k, nil }
		t.Encryption = Encryption{Alg: k.Algorithm}
		if k.Algorithm == "" {
			t.Encryption.Alg = "RSA-OAEP-256"
			if _, ok := k.Key.(*ecdsa.PublicKey); ok {
				t.Encryption.Alg = "ECDH-ES"
			}
		}
	})
	// OtherKeyEncryption encrypts the key with an algorithm that is not the registered one (IDT-24, IDT-03).
	OtherKeyEncryption = EditIDToken("encrypted with another alg", func(t *JWT) {
		t.Encryption.Alg = map[string]string{
			"RSA-OAEP": "RSA-OAEP-256", "RSA-OAEP-256": "RSA-OAEP",
			"ECDH-ES":        "ECDH-ES+A128KW",
			"ECDH-ES+A128KW": "ECDH-ES", "ECDH-ES+A192KW": "ECDH-ES", "ECDH-ES+A256KW": "ECDH-ES",
		}[t.Encryption.Alg]
	})
	// OtherContentEncryption encrypts the content with an algorithm that is not the registered one (IDT-24, IDT-03).
	OtherContentEncryption = EditIDToken("encrypted with another enc", func(t *JWT) {
		t.Encryption.Enc = map[bool]string{true: "A256GCM", false: "A128GCM"}[t.Encryption.Enc == "A128GCM"]
	})
	// EncryptedToStranger encrypts as registered, but to a key that the client does not have, under the kid of its own.
	EncryptedToStranger = EditIDToken("encrypted to another key", func(t *JWT) {
		honest := t.recipient
		t.recipient = func() (jose.JSONWebKey, error) {
			own, err := honest()
			if err != nil {
				return own, err
			}
			return strangerRecipient(t.Encryption.Alg, own.KeyID)
		}
	})
	// BadCiphertext changes the encrypted content.
	BadCiphertext = EditIDToken("bad ciphertext", func(t *JWT) {
		t.encrypt = func(k jose.JSONWebKey, e Encryption, token string) (string, error) {
			text, err := encrypt(k, e, token)
			if err != nil {
				return "", err
			}
			parts := strings.Split(text, ".")
			content := []byte(parts[3])
			content[0] = map[bool]byte{true: 'B', false: 'A'}[content[0] == 'A']
			parts[3] = string(content)
			return strings.Join(parts, "."), nil
		}
	})
	// EncryptedUnsigned encrypts claims that nobody signed, as everybody could who knows the public key (IDT-02).
	EncryptedUnsigned = EditIDToken("encrypted but not signed", func(t *JWT) {
		t.encrypt = func(k jose.JSONWebKey, e Encryption, _ string) (string, error) {
			claims, err := json.Marshal(t.Claims)
			if err != nil {
				return "", err
			}
			return encryptWith((&jose.EncrypterOptions{}).WithType("JWT"), k, e, string(claims))
		}
	})
	// ZipBomb compresses 2 MiB into a token of some KiB (IDT-30).
	ZipBomb = EditIDToken("encrypted and compressed", func(t *JWT) {
		t.Claims["padding"] = strings.Repeat("a", 2<<20)
		t.encrypt = func(k jose.JSONWebKey, e Encryption, token string) (string, error) {
			options := (&jose.EncrypterOptions{Compression: jose.DEFLATE}).WithContentType("JWT")
			return encryptWith(options, k, e, token)
		}
	})
)

// strangerRecipient is a key that no client knows, for a key encryption algorithm.
func strangerRecipient(alg, kid string) (jose.JSONWebKey, error) {
	signing := "ES256"
	if strings.HasPrefix(alg, "RSA") {
		signing = "RS256"
	}
	k, err := strangerKey(signing)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	return jose.JSONWebKey{Key: k.signer.Public(), KeyID: kid, Algorithm: alg, Use: "enc"}, nil
}
