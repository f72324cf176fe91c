package optest

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// encryptionAlgs encrypt the key of a JWE, contentAlgs its content, the default first (RFC 7518, 4 and 5).
var (
	encryptionAlgs = []string{
		"RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW",
	}
	contentAlgs = []string{
		"A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM",
	}
)

// Encryption is the JWE algorithms of a registration; the zero value is none. Enc defaults to A128CBC-HS256.
type Encryption struct{ Alg, Enc string }

func (e Encryption) validate(c Client) error {
	switch {
	case e == Encryption{}:
		return nil
	case !slices.Contains(encryptionAlgs, e.Alg):
		return fmt.Errorf("encryption algorithm %q is not supported", e.Alg)
	case e.Enc != "" && !slices.Contains(contentAlgs, e.Enc):
		return fmt.Errorf("content encryption algorithm %q is not supported", e.Enc)
	case c.JWKS == nil && c.JWKSURI == "":
		return errors.New("JWKS or JWKSURI is required for encryption")
	}
	return nil
}

// encrypt makes a nested JWT (RFC 7519, 11.2).
func encrypt(k jose.JSONWebKey, e Encryption, token string) (string, error) {
	return encryptWith((&jose.EncrypterOptions{}).WithContentType("JWT"), k, e, token)
}

func encryptWith(options *jose.EncrypterOptions, k jose.JSONWebKey, e Encryption, token string) (string, error) {
	encrypter, err := jose.NewEncrypter(
		jose.ContentEncryption(cmp.Or(e.Enc, contentAlgs[0])),
		jose.Recipient{Algorithm: jose.KeyAlgorithm(e.Alg), Key: k.Key, KeyID: k.KeyID},
		options,
	)
	if err != nil {
		return "", err
	}
	jwe, err := encrypter.Encrypt([]byte(token))
	if err != nil {
		return "", err
	}
	return jwe.CompactSerialize()
}

// encryptionKey returns the client's key for a JWE algorithm: one with use=enc. The algorithm "" takes any.
func (op *OP) encryptionKey(c Client, alg string) (jose.JSONWebKey, error) {
	keys, err := op.clientKeys(c, "")
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	for _, k := range keys {
		if k.Use == "enc" && (alg == "" || canEncrypt(k, alg)) {
			return k, nil
		}
	}
	return jose.JSONWebKey{}, fmt.Errorf("the client has no key with use=enc for %s", alg)
}

func canEncrypt(k jose.JSONWebKey, alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch k.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RSA")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ECDH-ES")
	}
	return false
}
