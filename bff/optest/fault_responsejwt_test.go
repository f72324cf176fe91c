package optest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// A response is what a client sees of an authorization response in the mode jwt.
type response struct {
	issuer  string
	outside url.Values
	inside  jws
}

func (p *party) response() response {
	p.Helper()
	request := p.authorizationRequest("response_mode", "jwt")
	answer := p.op.Authorize(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + request.Encode())
	r := response{issuer: p.op.Issuer(), outside: answer.URL.Query()}
	r.inside = open(r.outside.Get("response"), p.get(p.op.EndpointURL(optest.JWKSEndpoint)).body)
	return r
}

func insideIs(name string, value any) func(response) bool {
	return func(r response) bool { return r.inside.claims[name] == value && r.inside.good }
}

func insideHeaderIs(name string, value any) func(response) bool {
	return func(r response) bool { return r.inside.header[name] == value }
}

func outsideIs(name, value string) func(response) bool {
	return func(r response) bool { return r.outside.Get(name) == value && r.inside.good }
}

// JRM-01, JRM-02, JRM-04.
var responseFaults = map[string]struct {
	fault optest.Fault
	seen  func(response) bool
}{
	"ResponseWrongIssuer": {optest.ResponseWrongIssuer, insideIs("iss", "https://op.invalid")},
	"ResponseIssuerTrailingSlash": {optest.ResponseIssuerTrailingSlash, func(r response) bool {
		return r.inside.claims["iss"] == r.issuer+"/"
	}},
	"ResponseNoIssuer":      {optest.ResponseNoIssuer, insideIs("iss", nil)},
	"ResponseOtherAudience": {optest.ResponseOtherAudience, insideIs("aud", "another-client")},
	"ResponseNoAudience":    {optest.ResponseNoAudience, insideIs("aud", nil)},
	"ResponseAudienceArray": {optest.ResponseAudienceArray, func(r response) bool {
		aud, _ := r.inside.claims["aud"].([]any)
		return len(aud) == 1 && aud[0] == "app"
	}},
	"ResponseExtraAudience": {optest.ResponseExtraAudience, func(r response) bool {
		aud, _ := r.inside.claims["aud"].([]any)
		return len(aud) == 2
	}},
	"ResponseExpired": {optest.ResponseExpired, func(r response) bool {
		return fromNow(r.inside.claims["exp"]) == -time.Hour
	}},
	"ResponseNoExpiry": {optest.ResponseNoExpiry, insideIs("exp", nil)},
	"ResponseNotYetValid": {optest.ResponseNotYetValid, func(r response) bool {
		return fromNow(r.inside.claims["nbf"]) == time.Hour
	}},

	"ResponseBadSignature": {optest.ResponseBadSignature, func(r response) bool {
		return !r.inside.good && r.inside.header["alg"] == "RS256"
	}},
	"ResponseOtherAlg": {optest.ResponseOtherAlg, func(r response) bool {
		return r.inside.good && r.inside.header["alg"] == "ES256"
	}},
	"ResponseAlgNone":           {optest.ResponseAlgNone, insideHeaderIs("alg", "none")},
	"ResponseAlgHS256PublicKey": {optest.ResponseAlgHS256PublicKey, insideHeaderIs("alg", "HS256")},
	"ResponseEmbeddedJWK": {optest.ResponseEmbeddedJWK, func(r response) bool {
		return r.inside.header["jwk"] != nil && !r.inside.good
	}},
	"ResponseNoKid": {optest.ResponseNoKid, insideHeaderIs("kid", nil)},
	"ResponseUnknownKid": {optest.ResponseUnknownKid, func(r response) bool {
		kid, _ := r.inside.header["kid"].(string)
		return strings.HasPrefix(kid, "kid-")
	}},
	"ResponseUnknownCrit": {optest.ResponseUnknownCrit, func(r response) bool { return r.inside.header["crit"] != nil }},
	"ResponseTypeLogout":  {optest.ResponseTypeLogout, insideHeaderIs("typ", "logout+jwt")},
	"ResponseTypeAccess":  {optest.ResponseTypeAccess, insideHeaderIs("typ", "at+jwt")},
	"ResponseEncrypted": {optest.ResponseEncrypted, func(r response) bool {
		return strings.Count(r.outside.Get("response"), ".") == 4
	}},

	"PlainResponse": {optest.PlainResponse, func(r response) bool {
		return !r.outside.Has("response") && r.outside.Get("iss") == r.issuer && r.outside.Has("code")
	}},
	"ResponseCodeOutside":  {optest.ResponseCodeOutside, outsideIs("code", "code-outside")},
	"ResponseErrorOutside": {optest.ResponseErrorOutside, outsideIs("error", "access_denied")},
	"ResponseStateOutside": {optest.ResponseStateOutside, outsideIs("state", "state-outside")},
	"ResponseOutside": {optest.ResponseOutside, func(r response) bool {
		return r.inside.claims["code"] == r.outside.Get("code") && r.outside.Get("state") == "state-1"
	}},
	"ResponseCodeOnlyOutside": {optest.ResponseCodeOnlyOutside, func(r response) bool {
		return r.inside.good && r.inside.claims["code"] == nil && r.outside.Get("code") != ""
	}},
	"ResponseTwice": {optest.ResponseTwice, func(r response) bool { return len(r.outside["response"]) == 2 }},
	"NoResponse": {optest.NoResponse, func(r response) bool {
		return !r.outside.Has("response") && !r.outside.Has("code")
	}},
}

func TestResponseJWTFaults(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	honest := p.response()
	for name, test := range responseFaults {
		t.Run(name, func(t *testing.T) {
			p := *p
			p.T = t
			if test.seen(honest) {
				t.Error("seen without the fault")
			}
			p.op.Fault(test.fault)
			defer p.op.ClearFaults()
			if r := p.response(); !test.seen(r) {
				t.Errorf("not seen: %+v", r)
			}
		})
	}
}

// A megabyte does not fit into the header of a redirect; it comes by form_post.jwt.
func TestResponseOversized(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.ResponseOversized)
	answer, _ := p.respond("response_mode", "form_post.jwt")
	if n := len(answer.Form.Get("response")); n < 1<<20 {
		t.Errorf("%d octets", n)
	}
}

// What CallbackError and its like do, they do inside the JWT.
func TestFaultsInsideResponseJWT(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.CallbackError("access_denied", ""), optest.CallbackOtherState, optest.ResponseWrongIssuer)
	r := p.response()
	if c := r.inside.claims; c["error"] != "access_denied" || c["code"] != nil || c["state"] != "other-state" ||
		c["iss"] != "https://op.invalid" || len(r.outside) != 2 { // with app of the redirect URI
		t.Errorf("%+v", r)
	}
}
