package optest

import (
	"fmt"
	"net/url"
)

// HostileText is an error_description that nobody may show or log as it is (FLOW-40).
const HostileText = `"><script>alert(1)</script><a href="https://evil.invalid">https://evil.invalid</a>` +
	"\r\nSet-Cookie: a=b\x1b[31m"

// CallbackError sends the browser back with an error in place of the code (FLOW-13, FLOW-39, FLOW-40).
func CallbackError(code, description string) Fault {
	return EditAuthorizationResponse("callback error "+code, func(v url.Values) {
		v.Del("code")
		v.Set("error", code)
		v.Set("error_description", description)
	})
}

// Callback sets a parameter of the authorization response.
func Callback(parameter, value string) Fault {
	return EditAuthorizationResponse(setting("callback", parameter, value), func(v url.Values) { v.Set(parameter, value) })
}

// WithoutCallback leaves a parameter out of the authorization response.
func WithoutCallback(parameter string) Fault {
	return EditAuthorizationResponse("callback without "+parameter, func(v url.Values) { v.Del(parameter) })
}

// CallbackTwice sends a parameter of the authorization response twice (FLOW-26).
func CallbackTwice(parameter string) Fault {
	return EditAuthorizationResponse("callback with "+parameter+" twice", func(v url.Values) {
		v.Add(parameter, v.Get(parameter))
	})
}

// How the browser is sent back.
var (
	CallbackWrongIssuer = Callback("iss", "https://op.invalid") // FLOW-10
	// CallbackIssuerTrailingSlash differs from the issuer by a slash at the end (FLOW-10).
	CallbackIssuerTrailingSlash = EditAuthorizationResponse("callback iss with trailing slash", func(v url.Values) {
		v.Set("iss", v.Get("iss")+"/")
	})
	CallbackNoIssuer   = WithoutCallback("iss")           // FLOW-11
	CallbackNoState    = WithoutCallback("state")         // FLOW-05
	CallbackOtherState = Callback("state", "other-state") // FLOW-05
	CallbackNoCode     = WithoutCallback("code")
	CallbackTokens     = EditAuthorizationResponse("callback with tokens", func(v url.Values) { // FLOW-20
		v.Set("access_token", "front-channel-access-token")
		v.Set("id_token", "front-channel-id-token")
	})
	CallbackUnknownParameters = EditAuthorizationResponse("callback with unknown parameters", func(v url.Values) {
		v.Set("session_state", "abc.def") // allowed: FLOW-28
		v.Set("urn:optest:parameter", "1")
	})
)

// TokenMember sets a member of successful token responses.
func TokenMember(name string, value any) Fault {
	return EditTokenResponse(setting("token response", name, value), func(m map[string]any) { m[name] = value })
}

func withoutTokenMember(name string) Fault {
	return EditTokenResponse("token response without "+name, func(m map[string]any) { delete(m, name) })
}

// What the token endpoint says.
var (
	NoAccessToken       = withoutTokenMember("access_token")
	NoTokenType         = withoutTokenMember("token_type")    // FLOW-30
	TokenTypeMAC        = TokenMember("token_type", "mac")    // FLOW-30
	TokenTypeDPoP       = TokenMember("token_type", "DPoP")   // FLOW-30
	TokenTypeOddCase    = TokenMember("token_type", "bEaReR") // allowed: FLOW-30
	NoExpiresIn         = withoutTokenMember("expires_in")    // allowed: FLOW-31
	FractionalExpiresIn = TokenMember("expires_in", 299.5)    // XOA-05
	StringExpiresIn     = TokenMember("expires_in", "300")    // XOA-05
	NegativeExpiresIn   = TokenMember("expires_in", -1)       // FLOW-31
	NoScope             = withoutTokenMember("scope")         // allowed: RFC 6749, 5.1
	NarrowerScope       = TokenMember("scope", "openid")      // FLOW-32, RFR-12
	NoRefreshToken      = withoutTokenMember("refresh_token") // allowed: RFR-11
	// WiderScope grants more than was asked for (RFR-12).
	WiderScope = EditTokenResponse("token response with wider scope", func(m map[string]any) {
		m["scope"] = fmt.Sprint(m["scope"], " admin")
	})
)

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
