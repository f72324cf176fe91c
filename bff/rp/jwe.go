package rp

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

var (
	// keyAlgs are the key management algorithms that can be configured (RFC 7518 §4). RSA1_5 is not among them: its
	// failures tell too much.
	keyAlgs = []string{"RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"}
	// contentAlgs are the content encryption algorithms that can be configured (RFC 7518 §5).
	contentAlgs = []string{defaultContentAlg, "A256CBC-HS512", "A128GCM", "A256GCM"}
)

// defaultContentAlg is the enc of a registration that names none (Registration 1.0 §2).
const defaultContentAlg = "A128CBC-HS256"

// errDecrypt is every failure of decryption: which step failed is nothing that a sender may learn.
var errDecrypt = errors.New("it cannot be decrypted")

// decrypt returns the JWS of a JWT, out of the JWE around it when the registration asks for one. Encryption where none
// was registered is refused, and so is plaintext where it was (IDT-24).
func (c *Client) decrypt(raw string, k jwtKind) (string, error) {
	if len(raw) > maxJWT {
		return "", k.refuse("IDT-30", "it is too long")
	}
	isJWE := strings.Count(raw, ".") == 4
	switch registered := k.encryption != (Encryption{}); {
	case !registered && isJWE:
		return "", k.refuse("IDT-24", "it is encrypted, which the configuration does not ask for")
	case !registered:
		return raw, nil
	case !isJWE:
		return "", k.refuse("IDT-24", "it is not encrypted, which the configuration asks for")
	}
	if err := k.encryption.checkHeader(raw); err != nil {
		return "", k.refuse("IDT-24", err.Error())
	}
	jws, err := openJWE(raw, k.encryption, c.cfg.Keys.decrypters())
	if err != nil {
		return "", k.refuse("IDT-24", err.Error())
	}
	return jws, nil
}

// checkHeader checks a JWE in compact form before any key is touched.
func (e Encryption) checkHeader(raw string) error {
	parts := strings.Split(raw, ".")
	for i, part := range parts {
		direct := i == 1 && e.Alg == "ECDH-ES" // which has no encrypted key
		if !isBase64URL(part) && !(direct && part == "") {
			return errors.New("it is no JWE in compact form")
		}
	}
	header, err := parseHeader(parts[0])
	if err != nil {
		return err
	}
	if alg, err := header.text("alg"); err != nil || alg != e.Alg {
		return errors.New("its alg is not the configured " + e.Alg)
	}
	if enc, err := header.text("enc"); err != nil || enc != e.Enc {
		return errors.New("its enc is not the configured " + e.Enc)
	}
	if header.has("crit") || header.has("zip") { // no extension, and nothing that grows when opened
		return errors.New("its header has crit or zip")
	}
	if cty, err := header.text("cty"); err != nil || !isPlainJWT(cty) {
		return errors.New("its cty is not JWT")
	}
	return nil
}

// openJWE decrypts with the key that the JWE names, or with each that fits when it names none of ours.
func openJWE(raw string, e Encryption, keys []jose.JSONWebKey) (string, error) {
	jwe, err := jose.ParseEncryptedCompact(raw,
		[]jose.KeyAlgorithm{jose.KeyAlgorithm(e.Alg)}, []jose.ContentEncryption{jose.ContentEncryption(e.Enc)})
	if err != nil {
		return "", errDecrypt
	}
	named := func(key jose.JSONWebKey) bool { return key.KeyID != "" && key.KeyID == jwe.Header.KeyID }
	choose := slices.ContainsFunc(keys, named)
	for _, key := range keys {
		if !e.fits(key) || choose && !named(key) {
			continue
		}
		if plain, err := jwe.Decrypt(key.Key); err == nil {
			return string(plain), nil
		}
	}
	return "", errDecrypt
}

// fits reports whether a private key of ours is of the kind that the algorithm needs, and not reserved for another.
func (e Encryption) fits(key jose.JSONWebKey) bool {
	if key.Algorithm != "" && key.Algorithm != e.Alg {
		return false
	}
	switch key.Key.(type) {
	case *rsa.PrivateKey:
		return strings.HasPrefix(e.Alg, "RSA-")
	case *ecdsa.PrivateKey:
		return strings.HasPrefix(e.Alg, "ECDH-")
	}
	return false
}
