package optest

// What the token endpoint says to client credentials, to a token exchange, and to a refresh for one resource.
var (
	// InvalidTarget refuses every target (EXT-01).
	InvalidTarget      = TokenError("invalid_target", HostileText)
	NoIssuedTokenType  = withoutTokenMember("issued_token_type") // EXT-03
	IssuedRefreshToken = TokenMember("issued_token_type", "urn:ietf:params:oauth:token-type:refresh_token")
	IssuedJWT          = TokenMember("issued_token_type", "urn:ietf:params:oauth:token-type:jwt")
	// TokenTypeNA is what RFC 8693, 2.2.1 has for a token that is no access token (FLOW-30).
	TokenTypeNA = TokenMember("token_type", "N_A")
	// ExtraRefreshToken brings a refresh token where none is wanted (RFC 6749, 4.4.3).
	ExtraRefreshToken = TokenMember("refresh_token", "extra-refresh-token")
	// OutlivesAll promises an access token that is good for a year (EXT-03).
	OutlivesAll = TokenMember("expires_in", 365*24*60*60)
)
