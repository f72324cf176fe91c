package optest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Metadata sets a member of the metadata.
func Metadata(member string, value any) Fault {
	return EditMetadata(setting("metadata", member, value), func(m map[string]any) { m[member] = value })
}

// WithoutMetadata leaves a member out of the metadata (DIS-05, DIS-10, RPL-02, FLOW-12).
func WithoutMetadata(member string) Fault {
	return EditMetadata("metadata without "+member, func(m map[string]any) { delete(m, member) })
}

// InsecureEndpoint publishes an endpoint as an http URL off loopback (DIS-05). The member is, say, "token_endpoint".
func InsecureEndpoint(member string) Fault { return Metadata(member, "http://op.invalid/"+member) }

// What the metadata say.
var (
	MetadataOtherIssuer         = Metadata("issuer", "https://op.invalid")                          // DIS-01
	MetadataIssuerTrailingSlash = suffix("issuer", "/")                                             // DIS-01
	MetadataNoJWKSURI           = WithoutMetadata("jwks_uri")                                       // DIS-05
	MetadataNoS256              = Metadata("code_challenge_methods_supported", []string{"plain"})   // FLOW-03
	MetadataAuthorizationQuery  = suffix("authorization_endpoint", "?tenant=1")                     // allowed: FLOW-45
	MetadataFragment            = suffix("authorization_endpoint", "#fragment")                     // FLOW-45
	MetadataNoIss               = WithoutMetadata("authorization_response_iss_parameter_supported") // FLOW-12
	MetadataNoEndSession        = WithoutMetadata("end_session_endpoint")                           // allowed: RPL-02
)

func suffix(member, text string) Fault {
	return EditMetadata("metadata "+member+" ends in "+text, func(m map[string]any) {
		m[member] = fmt.Sprint(m[member], text)
	})
}

// What the JWKS says.
var (
	JWKSEmpty          = EditJWKS("JWKS empty", func(JWKS) JWKS { return JWKS{} })
	JWKSEncryptionUse  = everyKey("JWKS use=enc", "use", "enc")                           // DIS-14
	JWKSEncryptionOps  = everyKey("JWKS key_ops=encrypt", "key_ops", []string{"encrypt"}) // DIS-14
	JWKSOtherAlg       = everyKey("JWKS keys for another alg", "alg", "RS512")            // DIS-14
	JWKSUnknownKeyType = EditJWKS("JWKS with unknown kty", func(set JWKS) JWKS {          // allowed: DIS-17
		return append(JWKS{
			{"kty": "EC", "crv": "secp256k1", "kid": "secp256k1", "x": b64("x", 32), "y": b64("y", 32)},
			{"kty": "OKP", "crv": "Ed448", "kid": "ed448", "x": b64("x", 57)},
			{"kty": "XYZ", "kid": "xyz"},
		}, set...)
	})
	// JWKSDecoys puts, before each key, others with the same kid: an encryption key, and keys of other types (allowed:
	// DIS-14, IDT-20).
	JWKSDecoys = EditJWKS("JWKS decoys with the same kid", func(set JWKS) JWKS {
		var out JWKS
		for _, k := range set {
			decoys, err := decoys(k)
			if err != nil {
				return nil
			}
			out = append(append(out, decoys...), k)
		}
		return out
	})
	// JWKSNoKids leaves out the kid of each key (allowed: IDT-20).
	JWKSNoKids = EditJWKS("JWKS without kids", func(set JWKS) JWKS {
		for _, k := range set {
			delete(k, "kid")
		}
		return set
	})
	// JWKSMany has 5,000 more keys (DIS-18).
	JWKSMany = EditJWKS("JWKS with many keys", func(set JWKS) JWKS {
		for i := range 5_000 {
			extra := maps.Clone(set[0])
			extra["kid"] = fmt.Sprint("extra-", i)
			set = append(set, extra)
		}
		return set
	})
	// JWKSPrivateKeys publishes the private member d with each key (DIS-15).
	JWKSPrivateKeys = everyKey("JWKS with private members", "d", b64("d", 32))
	// JWKSSymmetricKeys publishes shared secrets in place of all keys, under the same kids (DIS-15).
	JWKSSymmetricKeys = EditJWKS("JWKS with symmetric keys", func(set JWKS) JWKS {
		var out JWKS
		for _, k := range set {
			out = append(out, map[string]any{"kty": "oct", "kid": k["kid"], "alg": "HS256", "k": b64("k", 32)})
		}
		return out
	})
)

func everyKey(name, member string, value any) Fault {
	return EditJWKS(name, func(set JWKS) JWKS {
		for _, k := range set {
			k[member] = value
		}
		return set
	})
}

func decoys(k map[string]any) (JWKS, error) {
	encryption := maps.Clone(k)
	encryption["use"] = "enc"
	out := JWKS{encryption}
	algs := slices.DeleteFunc([]string{"ES256", "EdDSA"}, func(alg string) bool { return alg == k["alg"] })
	for _, alg := range algs {
		other, err := strangerKey(alg)
		if err != nil {
			return nil, err
		}
		jwk, err := jwkMap(jose.JSONWebKey{Key: other.signer.Public(), KeyID: fmt.Sprint(k["kid"]), Use: "sig"})
		if err != nil {
			return nil, err
		}
		out = append(out, jwk)
	}
	return out, nil
}

// b64 is a key member of n octets.
func b64(octet string, n int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(octet, n)))
}
