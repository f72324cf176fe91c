package optest

import (
	"net/url"
	"strings"
	"time"
)

// LogoutClaim sets a claim of logout tokens; nil becomes a JSON null.
func LogoutClaim(name string, value any) Fault {
	return EditLogoutToken(setting("logout token", name, value), func(t *JWT) { t.Claims[name] = value })
}

// WithoutLogoutClaim leaves claims out of logout tokens.
func WithoutLogoutClaim(names ...string) Fault {
	return EditLogoutToken("logout token without "+strings.Join(names, " and "), func(t *JWT) {
		for _, name := range names {
			delete(t.Claims, name)
		}
	})
}

// LogoutType sets the typ header of logout tokens (BCL-16).
func LogoutType(typ string) Fault {
	return EditLogoutToken("logout token of type "+typ, func(t *JWT) { t.Header["typ"] = typ })
}

// Whom a logout token concerns.
var (
	LogoutWrongIssuer   = LogoutClaim("iss", "https://op.invalid")  // BCL-05
	LogoutNoIssuer      = WithoutLogoutClaim("iss")                 // BCL-05
	LogoutOtherAudience = LogoutClaim("aud", "another-client")      // BCL-06
	LogoutExtraAudience = onLogout("extra audience", ExtraAudience) // BCL-06
	LogoutNoAudience    = WithoutLogoutClaim("aud")                 // BCL-06
	LogoutNoSubject     = WithoutLogoutClaim("sub")                 // allowed: BCL-13
	LogoutNoSession     = WithoutLogoutClaim("sid")                 // allowed, for all sessions: BCL-18
	LogoutNobody        = WithoutLogoutClaim("sub", "sid")          // BCL-13
	LogoutOtherSubject  = LogoutClaim("sub", "another-user")        // BCL-18
	LogoutOtherSession  = LogoutClaim("sid", "another-session")     // allowed: BCL-20
)

// When a logout token was made, and that it is one.
var (
	LogoutExpired      = logoutClock("expired", "exp", -time.Hour)                        // BCL-07
	LogoutNoExpiry     = WithoutLogoutClaim("exp")                                        // BCL-07
	LogoutLongLived    = logoutClock("expires in ten years", "exp", 10*365*24*time.Hour)  // BCL-09
	LogoutNoIssuedAt   = WithoutLogoutClaim("iat")                                        // BCL-08
	LogoutIssuedLong   = logoutClock("issued a year ago", "iat", -365*24*time.Hour)       // BCL-08
	LogoutIssuedFuture = logoutClock("issued in the future", "iat", 24*time.Hour)         // BCL-08
	LogoutNoID         = WithoutLogoutClaim("jti")                                        // BCL-10
	LogoutSameID       = LogoutClaim("jti", "the-same-for-all")                           // BCL-11
	LogoutNoEvents     = WithoutLogoutClaim("events")                                     // BCL-14
	LogoutNullEvents   = LogoutClaim("events", nil)                                       // BCL-14
	LogoutWrongEvent   = LogoutClaim("events", map[string]any{"urn:x": map[string]any{}}) // BCL-14
	LogoutNullEvent    = LogoutClaim("events", map[string]any{logoutEvent: nil})          // BCL-14
	LogoutStringEvent  = LogoutClaim("events", map[string]any{logoutEvent: "logout"})     // BCL-14
	LogoutNonce        = LogoutClaim("nonce", "nonce")                                    // BCL-15
	LogoutNullNonce    = LogoutClaim("nonce", nil)                                        // BCL-15
	LogoutTypeAccess   = LogoutType("at+jwt")                                             // BCL-16
	LogoutTypeJWT      = LogoutType("JWT")                                                // allowed as an option: BCL-16
	LogoutTypeOddCase  = LogoutType("application/Logout+JWT")                             // allowed: BCL-16
	LogoutNoType       = EditLogoutToken("logout token without type", func(t *JWT) {      // allowed as an option: BCL-16
		delete(t.Header, "typ")
	})
)

// How a logout token is signed and encrypted: as the faults of ID tokens with the same names.
var (
	LogoutBadSignature = onLogout("bad signature", BadSignature)      // BCL-03
	LogoutOtherAlg     = onLogout("another advertised alg", OtherAlg) // BCL-03
	LogoutUnknownKid   = onLogout("unknown kid", UnknownKid)          // BCL-27
	LogoutAlgNone      = onLogout("alg none", AlgNone)                // BCL-04
	// LogoutAlgHS256PublicKey uses the PEM text of the OP's public key as a shared secret (BCL-03).
	LogoutAlgHS256PublicKey = onLogout("HS256 with the public key", AlgHS256PublicKey)
	// LogoutEmbeddedJWK brings its own key along (BCL-03).
	LogoutEmbeddedJWK = onLogout("embedded jwk", EmbeddedJWK)
	// LogoutNotEncrypted leaves the token in clear where the client is registered for encrypted ones (BCL-17).
	LogoutNotEncrypted = EditLogoutToken("logout token not encrypted", func(t *JWT) { t.Encryption = Encryption{} })
)

// Where the browser comes back to after RP-initiated logout.
var (
	// LogoutNoState leaves out the state of the logout request (RPL-06).
	LogoutNoState = EditLogoutResponse("post-logout redirect without state", func(v url.Values) { v.Del("state") })
	// LogoutOtherState brings another state (RPL-06).
	LogoutOtherState = EditLogoutResponse("post-logout redirect with another state", func(v url.Values) {
		v.Set("state", "another-state")
	})
)

// onLogout does to logout tokens what a fault does to ID tokens.
func onLogout(name string, f Fault) Fault { return EditLogoutToken("logout token: "+name, f.idToken) }

// logoutClock sets a date of logout tokens to the time at which they are made, moved by offset.
func logoutClock(name, claim string, offset time.Duration) Fault {
	return onLogout(name, clock(name, claim, offset))
}
