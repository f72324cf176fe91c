package optest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // makes crypto.SHA256 work
	_ "crypto/sha512" // makes crypto.SHA384 and crypto.SHA512 work
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// signingAlgs are the algorithms with a key pair that the OP signs with, and that clients may sign with (RFC 7518, 3;
// RFC 8037, 3.1).
var signingAlgs = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.EdDSA,
}

// validateAlgs checks the algorithms of a registration.
func (c Client) validateAlgs() error {
	for _, alg := range []string{c.IDTokenAlg, c.UserInfoAlg, c.ResponseAlg} {
		switch {
		case alg == "" || slices.Contains(signingAlgs, jose.SignatureAlgorithm(alg)):
		case alg != "HS256":
			return fmt.Errorf("signing algorithm %q is not supported", alg)
		case len(c.Secret) < minHMACKey: // OpenID Connect Core, 16.19
			return fmt.Errorf("the Secret is shorter than the %d octets that HS256 needs", minHMACKey)
		}
	}
	alg := c.RequestObjectAlg
	if alg != "" && !slices.Contains(signingAlgs, jose.SignatureAlgorithm(alg)) {
		return fmt.Errorf("request object algorithm %q is not supported", alg)
	}
	for _, e := range []Encryption{c.IDTokenEncryption, c.UserInfoEncryption, c.ResponseEncryption} {
		if err := e.validate(c); err != nil {
			return err
		}
	}
	if c.UserInfoEncryption != (Encryption{}) && c.UserInfoAlg == "" {
		return fmt.Errorf("UserInfoEncryption needs UserInfoAlg")
	}
	return nil
}

// sign makes a JWS signature.
func (k *key) sign(input []byte) ([]byte, error) {
	hash := hashOf(k.alg)
	switch k.alg[:2] {
	case "HS":
		mac := hmac.New(hash.New, k.secret)
		mac.Write(input)
		return mac.Sum(nil), nil
	case "PS":
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		return k.signer.Sign(rand.Reader, digest(hash, input), options)
	case "ES":
		private := k.signer.(*ecdsa.PrivateKey)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest(hash, input))
		if err != nil {
			return nil, err
		}
		half := private.Params().BitSize / 8
		signature := make([]byte, 2*half)
		r.FillBytes(signature[:half])
		s.FillBytes(signature[half:])
		return signature, nil
	case "Ed":
		return k.signer.Sign(rand.Reader, input, crypto.Hash(0))
	}
	return k.signer.Sign(rand.Reader, digest(hash, input), hash)
}

// hashOf is the hash function that belongs to an algorithm; Ed25519 uses SHA-512.
func hashOf(alg string) crypto.Hash {
	switch {
	case strings.HasSuffix(alg, "384"):
		return crypto.SHA384
	case strings.HasSuffix(alg, "512"), alg == "EdDSA":
		return crypto.SHA512
	}
	return crypto.SHA256
}

func digest(hash crypto.Hash, input []byte) []byte {
	h := hash.New()
	h.Write(input)
	return h.Sum(nil)
}

// leftHalf is at_hash (OpenID Connect Core, 3.1.3.6): the hash that belongs to the algorithm, its left half.
func leftHalf(alg, token string) string {
	sum := digest(hashOf(alg), []byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
