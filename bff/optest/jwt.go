package optest

import (
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

	// Encryption is what the token is encrypted with after it is signed, to the client's key.
	Encryption Encryption

	key   *key   // the honest key
	other *key   // a published key of another algorithm
	nonce string // of the authorization request
	now   time.Time

	rewrite   func(claims []byte) []byte // of their text; nil: as it is
	sign      func(input []byte) ([]byte, error)
	recipient func() (jose.JSONWebKey, error) // of the encrypted token
	encrypt   func(k jose.JSONWebKey, e Encryption, token string) (string, error)
}

// newJWT prepares a token of the given typ that is for no client in particular.
func (op *OP) newJWT(typ string, claims map[string]any) *JWT {
	return op.newClientJWT(Client{}, typ, op.alg, Encryption{}, claims)
}

// newClientJWT prepares a token for a client: with the newest key of alg, HS256 with the client's secret.
func (op *OP) newClientJWT(c Client, typ, alg string, e Encryption, claims map[string]any) *JWT {
	t := &JWT{
		Header:     map[string]any{"alg": alg, "typ": typ},
		Claims:     claims,
		Encryption: e,
		now:        op.now(),
		recipient:  func() (jose.JSONWebKey, error) { return op.encryptionKey(c, e.Alg) },
		encrypt:    encrypt,
	}
	k, err := op.signingKey(c, alg)
	if err != nil {
		t.fail(err)
		return t
	}
	if k.id != "" {
		t.Header["kid"] = k.id
	}
	t.key, t.other, t.sign = k, op.keyOfOtherAlg(alg), k.sign
	return t
}

// serialize signs the token and encrypts it if that is registered.
func (t *JWT) serialize() (string, error) {
	token, err := t.signed()
	if err != nil || t.Encryption == (Encryption{}) {
		return token, err
	}
	k, err := t.recipient()
	if err != nil {
		return "", err
	}
	return t.encrypt(k, t.Encryption, token)
}

// signed works below go-jose, which rightly refuses to make most of what faults ask for.
func (t *JWT) signed() (string, error) {
	header, err := json.Marshal(t.Header)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(t.Claims)
	if err != nil {
		return "", err
	}
	if t.rewrite != nil {
		claims = t.rewrite(claims)
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := t.sign([]byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// verify returns the claims of a token that this OP signed, at any time and with any of its keys, or with the secret
// of the client that it is for.
func (op *OP) verify(token string) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(token, append([]jose.SignatureAlgorithm{jose.HS256}, signingAlgs...))
	if err != nil {
		return nil, err
	}
	claims := map[string]any{}
	if parsed.Headers[0].Algorithm == "HS256" {
		if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
			return nil, err
		}
		audience, _ := claims["aud"].(string)
		client, ok := op.client(audience)
		if !ok || client.IDTokenAlg != "HS256" {
			return nil, errors.New("not signed for a client with HS256")
		}
		return claims, parsed.Claims([]byte(client.Secret), &claims)
	}
	for _, k := range op.allKeys() {
		if k.id == parsed.Headers[0].KeyID && k.alg == parsed.Headers[0].Algorithm {
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
