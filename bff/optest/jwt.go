package optest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// A JWT is a token on its way to being signed; what a fault may edit.
type JWT struct {
	Header map[string]any
	Claims map[string]any

	key   *key   // the honest key
	other *key   // the key of the other advertised algorithm
	nonce string // of the authorization request
	now   time.Time

	sign func(input []byte) ([]byte, error)
}

// newJWT prepares a token of the given typ, to be signed with the newest key.
func (op *OP) newJWT(typ string, claims map[string]any) *JWT {
	op.mu.Lock()
	defer op.mu.Unlock()
	k := op.keys[0]
	return &JWT{
		Header: map[string]any{"alg": k.alg, "kid": k.id, "typ": typ},
		Claims: claims,
		key:    k,
		other:  op.keys[1],
		now:    op.now(),
		sign:   k.sign,
	}
}

// serialize signs the token. It works below go-jose, which rightly refuses to make most of what faults ask for.
func (t *JWT) serialize() (string, error) {
	header, err := json.Marshal(t.Header)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(t.Claims)
	if err != nil {
		return "", err
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := t.sign([]byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// sign makes a JWS signature (RFC 7518, 3; RFC 8037, 3.1).
func (k *key) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch k.alg {
	case "PS256":
		return k.signer.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256})
	case "ES256":
		r, s, err := ecdsa.Sign(rand.Reader, k.signer.(*ecdsa.PrivateKey), digest[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature, nil
	case "EdDSA":
		return k.signer.Sign(rand.Reader, input, crypto.Hash(0))
	default:
		return k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
}

// leftHalf is at_hash (OpenID Connect Core, 3.1.3.6): the hash that belongs to the algorithm, its left half.
func leftHalf(alg, token string) string {
	var sum []byte
	if alg == "EdDSA" {
		h := sha512.Sum512([]byte(token))
		sum = h[:]
	} else {
		h := sha256.Sum256([]byte(token))
		sum = h[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// verify returns the claims of a token that this OP signed, at any time and with any of its keys.
func (op *OP) verify(token string) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
	if err != nil {
		return nil, err
	}
	for _, k := range op.allKeys() {
		if k.id == parsed.Headers[0].KeyID && k.alg == parsed.Headers[0].Algorithm {
			claims := map[string]any{}
			return claims, parsed.Claims(k.signer.Public(), &claims)
		}
	}
	return nil, errors.New("signed with no key of this OP")
}

// one returns a single audience as a string and several as an array, the two forms of aud (RFC 7519, 4.1.3).
func one(audience []string) any {
	if len(audience) == 1 {
		return audience[0]
	}
	return audience
}
