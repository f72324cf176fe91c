package optest

import (
	"net/url"
	"time"
)

// ResponseJWTClaim sets a claim of JARM responses; nil becomes a JSON null. Faults of the authorization response, as
// CallbackError or CallbackNoState, change what is inside them too.
func ResponseJWTClaim(name string, value any) Fault {
	return EditResponseJWT(setting("JARM", name, value), func(t *JWT) { t.Claims[name] = value })
}

// WithoutResponseJWTClaim leaves a claim out of JARM responses.
func WithoutResponseJWTClaim(name string) Fault {
	return EditResponseJWT("JARM without "+name, func(t *JWT) { delete(t.Claims, name) })
}

// Whose JARM response it is, and when it was made (JRM-02).
var (
	ResponseWrongIssuer         = ResponseJWTClaim("iss", "https://op.invalid")
	ResponseIssuerTrailingSlash = onResponse("issuer with trailing slash", IssuerTrailingSlash)
	ResponseNoIssuer            = WithoutResponseJWTClaim("iss")
	ResponseOtherAudience       = ResponseJWTClaim("aud", "another-client")
	ResponseNoAudience          = WithoutResponseJWTClaim("aud")
	ResponseAudienceArray       = onResponse("audience as an array", AudienceArray) // allowed
	ResponseExtraAudience       = onResponse("extra audience", ExtraAudience)
	ResponseExpired             = onResponse("expired", Expired)
	ResponseNoExpiry            = WithoutResponseJWTClaim("exp")
	ResponseNotYetValid         = onResponse("not yet valid", clock("not yet valid", "nbf", time.Hour))
)

// How a JARM response is signed and encrypted: as the faults of ID tokens with the same names (JRM-01, JRM-02).
var (
	ResponseBadSignature      = onResponse("bad signature", BadSignature)
	ResponseOtherAlg          = onResponse("another advertised alg", OtherAlg)
	ResponseAlgNone           = onResponse("alg none", AlgNone)
	ResponseAlgHS256PublicKey = onResponse("HS256 with the public key", AlgHS256PublicKey)
	ResponseEmbeddedJWK       = onResponse("embedded jwk", EmbeddedJWK)
	ResponseNoKid             = onResponse("no kid", NoKid) // allowed
	ResponseUnknownKid        = onResponse("unknown kid", UnknownKid)
	ResponseUnknownCrit       = onResponse("unknown crit", UnknownCrit)
	ResponseTypeLogout        = onResponse("type logout+jwt", TypeLogout)
	ResponseTypeAccess        = onResponse("type at+jwt", TypeAccess)
	ResponseOversized         = onResponse("oversized", OversizedToken)
	ResponseNotEncrypted      = onResponse("not encrypted", NotEncrypted)
	ResponseEncrypted         = onResponse("encrypted without registration", UnregisteredEncryption)
	ResponseUnsigned          = onResponse("encrypted but not signed", EncryptedUnsigned)
)

// What stands beside a JARM response, or in its place.
var (
	// PlainResponse sends the parameters without JWT (JRM-04).
	PlainResponse = outside("plain", func(v, plain url.Values) {
		v.Del("response")
		for name, values := range plain {
			v[name] = values
		}
	})
	// ResponseCodeOutside and ResponseErrorOutside put another code, an error or another state beside the JWT (JRM-01).
	ResponseCodeOutside  = outside("code outside", func(v, _ url.Values) { v.Set("code", "code-outside") })
	ResponseErrorOutside = outside("error outside", func(v, _ url.Values) { v.Set("error", "access_denied") })
	ResponseStateOutside = outside("state outside", func(v, _ url.Values) { v.Set("state", "state-outside") })
	// ResponseOutside repeats beside the JWT all that is inside (JRM-01).
	ResponseOutside = outside("everything outside too", func(v, plain url.Values) {
		for name, values := range plain {
			v[name] = values
		}
	})
	// ResponseCodeOnlyOutside takes the code out of the JWT and puts it beside it (JRM-01).
	ResponseCodeOnlyOutside = Fault{
		name:     "JARM with the code outside only",
		response: func(t *JWT) { delete(t.Claims, "code") },
		outside:  func(v, plain url.Values) { v["code"] = plain["code"] },
	}
	ResponseTwice = outside("twice", func(v, _ url.Values) { v.Add("response", v.Get("response")) }) // FLOW-26
	NoResponse    = outside("missing", func(v, _ url.Values) { v.Del("response") })                  // JRM-04
)

// onResponse does to JARM responses what a fault does to ID tokens.
func onResponse(name string, f Fault) Fault { return EditResponseJWT("JARM: "+name, f.idToken) }

// outside changes the parameters that carry a JARM response; plain are those inside it.
func outside(name string, edit func(outside, plain url.Values)) Fault {
	return Fault{name: "JARM: " + name, outside: edit}
}
