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
	// NoAuthorizationDetails does not say which authorization_details were granted; LessAuthorizationDetails leaves the
	// last object out, OtherAuthorizationDetails grants one that nobody asked for (EXT-09).
	NoAuthorizationDetails   = withoutTokenMember("authorization_details")
	LessAuthorizationDetails = EditTokenResponse("token response with less authorization_details",
		func(m map[string]any) {
			if details, _ := m["authorization_details"].([]any); len(details) > 0 {
				m["authorization_details"] = details[:len(details)-1]
			}
		})
	OtherAuthorizationDetails = TokenMember("authorization_details", []any{map[string]any{"type": "another-type"}})
	// WiderScope grants more than was asked for (RFR-12).
	WiderScope = EditTokenResponse("token response with wider scope", func(m map[string]any) {
		m["scope"] = fmt.Sprint(m["scope"], " admin")
	})
)
