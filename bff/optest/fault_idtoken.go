package optest

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// IDTokenClaim sets a claim of ID tokens; nil becomes a JSON null (IDT-25).
func IDTokenClaim(name string, value any) Fault {
	return EditIDToken(setting("ID token", name, value), func(t *JWT) { t.Claims[name] = value })
}

// WithoutIDTokenClaim leaves a claim out of ID tokens.
func WithoutIDTokenClaim(name string) Fault {
	return EditIDToken("ID token without "+name, func(t *JWT) { delete(t.Claims, name) })
}

// IDTokenType sets the typ header of ID tokens (IDT-22, IDT-23).
func IDTokenType(typ string) Fault {
	return EditIDToken("ID token of type "+typ, func(t *JWT) { t.Header["typ"] = typ })
}

// Whose ID token it is.
var (
	// WrongIssuer names another issuer (IDT-06, RFR-02).
	WrongIssuer = IDTokenClaim("iss", "https://op.invalid")
	// IssuerTrailingSlash names the issuer with a slash at its end (IDT-06).
	IssuerTrailingSlash = EditIDToken("ID token issuer with trailing slash", func(t *JWT) {
		t.Claims["iss"] = fmt.Sprint(t.Claims["iss"], "/")
	})
	NoIssuer      = WithoutIDTokenClaim("iss")                    // IDT-06
	NoAudience    = WithoutIDTokenClaim("aud")                    // IDT-07
	OtherAudience = IDTokenClaim("aud", "another-client")         // IDT-07, RFR-04
	AudienceArray = audience("audience as an array")              // allowed: IDT-07
	ExtraAudience = audience("extra audience", "another-client")  // IDT-08, RFR-04
	OtherAzp      = IDTokenClaim("azp", "another-client")         // IDT-09
	NoSubject     = WithoutIDTokenClaim("sub")                    // IDT-12
	EmptySubject  = IDTokenClaim("sub", "")                       // IDT-12
	LongSubject   = IDTokenClaim("sub", strings.Repeat("a", 256)) // IDT-12
	OtherSubject  = IDTokenClaim("sub", "another-user")           // RFR-03; at login also UIN-01
	// LogoutEvents gives the ID token the events claim of a logout token (IDT-22).
	LogoutEvents = IDTokenClaim("events", map[string]any{logoutEvent: map[string]any{}})
)

// When the ID token was made and of which request.
var (
	Expired         = clock("expired", "exp", -time.Hour)                // IDT-10
	NoExpiry        = WithoutIDTokenClaim("exp")                         // IDT-10
	NoIssuedAt      = WithoutIDTokenClaim("iat")                         // IDT-11
	IssuedInFuture  = clock("issued in the future", "iat", 24*time.Hour) // IDT-11
	IssuedLongAgo   = clock("issued long ago", "iat", -365*24*time.Hour) // IDT-11, RFR-05
	NotYetValid     = clock("not yet valid", "nbf", 24*time.Hour)        // IDT-13
	FractionalDates = fractionalDates()                                  // allowed: IDT-25
	NoNonce         = WithoutIDTokenClaim("nonce")                       // IDT-14
	OtherNonce      = IDTokenClaim("nonce", "another-nonce")             // IDT-14, RFR-07
	// SameNonce repeats the nonce of the authorization request in every ID token, which is allowed on refresh (RFR-07).
	SameNonce = EditIDToken("nonce repeated", func(t *JWT) { t.Claims["nonce"] = t.nonce })
)

// How the user signed in.
var (
	NoAuthTime    = WithoutIDTokenClaim("auth_time")                     // IDT-17
	StaleAuthTime = clock("stale auth_time", "auth_time", -48*time.Hour) // IDT-17, RFR-06
	OtherACR      = IDTokenClaim("acr", "another-acr")                   // IDT-16
	NoACR         = WithoutIDTokenClaim("acr")                           // IDT-16
)

// Form and signature.
var (
	// NoIDToken leaves the ID token out of token responses (IDT-01); on refresh that is allowed (RFR-01).
	NoIDToken = withoutTokenMember("id_token")
	// WrongAtHash is the hash of another access token (IDT-18, RFR-13).
	WrongAtHash = EditIDToken("wrong at_hash", func(t *JWT) {
		t.Claims["at_hash"] = leftHalf(t.key.alg, "another-token")
	})
	NoAtHash = WithoutIDTokenClaim("at_hash") // allowed: IDT-18

	// BadSignature breaks the signature (IDT-02, RFR-08).
	BadSignature = signed("bad signature", func(t *JWT, input []byte) ([]byte, error) {
		signature, err := t.key.sign(input)
		if err == nil {
			signature[len(signature)/2] ^= 1
		}
		return signature, err
	})
	// OtherAlg signs, correctly, with the other algorithm that the metadata advertise (IDT-03).
	OtherAlg = EditIDToken("another advertised alg", func(t *JWT) {
		t.Header["alg"], t.Header["kid"] = t.other.alg, t.other.id
		t.sign = t.other.sign
	})
	// AlgNone does not sign (IDT-04).
	AlgNone = EditIDToken("alg none", func(t *JWT) {
		t.Header["alg"] = "none"
		delete(t.Header, "kid")
		t.sign = func([]byte) ([]byte, error) { return nil, nil }
	})
	// AlgNoneOddCase does not sign, and writes none in another way (IDT-04).
	AlgNoneOddCase = EditIDToken("alg nOnE", func(t *JWT) {
		AlgNone.idToken(t)
		t.Header["alg"] = "nOnE"
	})
	// AlgHS256PublicKey uses the PEM text of the OP's public key as a shared secret (IDT-05).
	AlgHS256PublicKey = EditIDToken("HS256 with the public key", func(t *JWT) {
		t.Header["alg"] = "HS256"
		t.sign = func(input []byte) ([]byte, error) {
			public := t.key
			if public.signer == nil { // an honest HS256
				public = t.other
			}
			der, err := x509.MarshalPKIXPublicKey(public.signer.Public())
			if err != nil {
				return nil, err
			}
			mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			mac.Write(input)
			return mac.Sum(nil), nil
		}
	})
	// EmbeddedJWK signs with a key of its own, brings it along in the header and names no other (IDT-19).
	EmbeddedJWK = EditIDToken("embedded jwk", func(t *JWT) {
		k, err := strangerKey(t.key.alg)
		if err != nil {
			t.fail(err)
			return
		}
		delete(t.Header, "kid")
		t.Header["jwk"] = jose.JSONWebKey{Key: k.signer.Public()}
		t.sign = k.sign
	})
	NoKid      = EditIDToken("no kid", func(t *JWT) { delete(t.Header, "kid") })                     // allowed: IDT-20
	UnknownKid = EditIDToken("unknown kid", func(t *JWT) { t.Header["kid"] = "kid-" + rand.Text() }) // DIS-11
	// UnknownCrit demands an extension that nobody knows (IDT-21).
	UnknownCrit = EditIDToken("unknown crit", func(t *JWT) {
		t.Header["crit"], t.Header["urn:optest:extension"] = []string{"urn:optest:extension"}, true
	})
	TypeLogout        = IDTokenType("logout+jwt")              // IDT-22
	TypeAccess        = IDTokenType("at+jwt")                  // IDT-22
	TypeDPoP          = IDTokenType("dpop+jwt")                // IDT-22
	TypeRequestObject = IDTokenType(requestObjectTyp)          // IDT-22
	TypeIntrospection = IDTokenType("token-introspection+jwt") // IDT-22
	// NoType leaves the typ header out, which is allowed (RFC 7519, 5.1).
	NoType = EditIDToken("no type", func(t *JWT) { delete(t.Header, "typ") })
	// TypeLogoutOddCase is a logout token's type as RFC 7515, 4.1.9 also allows it to be written (IDT-23).
	TypeLogoutOddCase = IDTokenType("application/Logout+JWT")
	TypeOddCase       = IDTokenType("jWt")                                  // allowed: IDT-23
	OversizedToken    = IDTokenClaim("padding", strings.Repeat("a", 1<<20)) // IDT-30
	// TwoSubjects has the claim sub twice: the right one, then another (RFC 7519, 4).
	TwoSubjects = EditIDToken("ID token with sub twice", func(t *JWT) {
		t.rewrite = func(claims []byte) []byte {
			return append(bytes.TrimSuffix(claims, []byte("}")), `,"sub":"another-user"}`...)
		}
	})
	// ExtraPart is a compact form with a part too many (IDT-30).
	ExtraPart = EditTokenResponse("ID token with an extra part", func(m map[string]any) {
		m["id_token"] = fmt.Sprint(m["id_token"], ".e30")
	})
	UnknownClaims = IDTokenClaim("urn:optest:claim", map[string]any{"a": 1}) // allowed: IDT-25
)

// WeakKey is two faults: the JWKS publishes an RSA key of 1024 bits, and ID tokens are signed with it (DIS-16). It
// needs an OP whose SigningAlg is RS256.
var WeakKey = Fault{
	name: "weak key",
	jwks: func(set JWKS) JWKS {
		k, err := weakKey()
		if err != nil {
			return nil
		}
		jwk, err := k.jwk()
		if err != nil {
			return nil
		}
		return append(set, jwk)
	},
	idToken: func(t *JWT) {
		k, err := weakKey()
		if err != nil {
			t.fail(err)
			return
		}
		t.Header["kid"] = k.id
		t.sign = k.sign
	},
}

var weakKey = sync.OnceValues(func() (*key, error) {
	signer, err := rsa.GenerateKey(rand.Reader, 1024)
	return &key{id: "weak", alg: "RS256", signer: crypto.Signer(signer)}, err
})

func (t *JWT) fail(err error) {
	t.sign = func([]byte) ([]byte, error) { return nil, err }
}

func signed(name string, sign func(t *JWT, input []byte) ([]byte, error)) Fault {
	return EditIDToken(name, func(t *JWT) {
		t.sign = func(input []byte) ([]byte, error) { return sign(t, input) }
	})
}

// audience makes aud an array of the client and others.
func audience(name string, others ...string) Fault {
	return EditIDToken(name, func(t *JWT) {
		t.Claims["aud"] = append([]any{t.Claims["aud"]}, toAny(others)...)
	})
}

// clock sets a date of the ID token to the time at which it is made, moved by offset.
func clock(name, claim string, offset time.Duration) Fault {
	return EditIDToken(name, func(t *JWT) { t.Claims[claim] = t.now.Add(offset).Unix() })
}

func fractionalDates() Fault {
	return EditIDToken("fractional dates", func(t *JWT) {
		for name, value := range maps.Clone(t.Claims) {
			if seconds, ok := value.(int64); ok {
				t.Claims[name] = float64(seconds) + 0.5
			}
		}
	})
}

func toAny(values []string) []any {
	var out []any
	for _, v := range values {
		out = append(out, v)
	}
	return out
}
