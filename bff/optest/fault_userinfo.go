package optest

import "maps"

// UserInfoClaim sets a claim of userinfo responses.
func UserInfoClaim(name string, value any) Fault {
	return EditUserInfo(setting("userinfo", name, value), func(claims map[string]any) { claims[name] = value })
}

// What userinfo says.
var (
	UserInfoOtherSubject = UserInfoClaim("sub", "another-user") // UIN-01
	UserInfoNoSubject    = EditUserInfo("userinfo without sub", func(claims map[string]any) {
		delete(claims, "sub") // UIN-01
	})
	// UserInfoConflictingClaims repeats claims of the ID token with other values (UIN-05).
	UserInfoConflictingClaims = EditUserInfo("userinfo with conflicting claims", func(claims map[string]any) {
		for _, name := range []string{"iss", "aud", "azp", "acr", "sid", "nonce"} {
			claims[name] = "from-userinfo"
		}
		claims["exp"], claims["iat"], claims["auth_time"] = 1, 1, 1
	})
)

// Whether userinfo is the JWT that was registered (UIN-03).
var (
	UserInfoPlain          = Fault{name: "userinfo as plain JSON", userInfoAlg: func(*OP) string { return "" }}
	UserInfoUnrequestedJWT = Fault{name: "userinfo as unrequested JWT", userInfoAlg: func(op *OP) string { return op.alg }}
)

// Whose signed userinfo it is (UIN-03).
var (
	UserInfoWrongIssuer   = onUserInfo("wrong iss", WrongIssuer)
	UserInfoNoIssuer      = onUserInfo("no iss", NoIssuer)
	UserInfoOtherAudience = onUserInfo("another aud", OtherAudience)
	UserInfoNoAudience    = onUserInfo("no aud", NoAudience)
	UserInfoAudienceArray = onUserInfo("aud as an array", AudienceArray) // allowed
	UserInfoExpired       = onUserInfo("expired", Expired)
	UserInfoTypeLogout    = onUserInfo("type logout+jwt", TypeLogout)
)

// How userinfo is signed and encrypted: as the faults of ID tokens with the same names (UIN-03).
var (
	UserInfoBadSignature      = onUserInfo("bad signature", BadSignature)
	UserInfoOtherAlg          = onUserInfo("another advertised alg", OtherAlg)
	UserInfoAlgNone           = onUserInfo("alg none", AlgNone)
	UserInfoAlgHS256PublicKey = onUserInfo("HS256 with the public key", AlgHS256PublicKey)
	UserInfoUnknownKid        = onUserInfo("unknown kid", UnknownKid)
	UserInfoOversized         = onUserInfo("oversized", OversizedToken)
	UserInfoNotEncrypted      = onUserInfo("not encrypted", NotEncrypted)
	UserInfoEncrypted         = onUserInfo("encrypted without registration", UnregisteredEncryption)
	UserInfoUnsigned          = onUserInfo("encrypted but not signed", EncryptedUnsigned)
)

// onUserInfo does to signed userinfo what a fault does to ID tokens.
func onUserInfo(name string, f Fault) Fault { return EditUserInfoJWT("userinfo: "+name, f.idToken) }

// DistributedClaims refers, in ID tokens and userinfo, to claims that are to be had elsewhere (OpenID Connect Core,
// 5.6.2), at an address that nobody may open (IDT-29).
func DistributedClaims(endpoint string) Fault {
	claims := map[string]any{
		"_claim_names":   map[string]any{"credit_score": "src"},
		"_claim_sources": map[string]any{"src": map[string]any{"endpoint": endpoint, "access_token": "t"}},
	}
	return Fault{
		name:     "distributed claims",
		idToken:  func(t *JWT) { maps.Copy(t.Claims, claims) },
		userInfo: func(m map[string]any) { maps.Copy(m, claims) },
	}
}
