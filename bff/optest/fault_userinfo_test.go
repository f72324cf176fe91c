package optest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// UIN-03.
func TestSignedUserInfoFaults(t *testing.T) {
	t.Parallel()
	claim := func(name string, value any) func(jws) bool {
		return func(j jws) bool { return j.good && j.claims[name] == value }
	}
	header := func(name string, value any) func(jws) bool {
		return func(j jws) bool { return j.header[name] == value }
	}
	p := newParty(t, registered(func(c *optest.Client) { c.UserInfoAlg = "RS256" }))
	token := p.login()["access_token"]
	keys := p.get(p.op.EndpointURL(optest.JWKSEndpoint)).body
	honest := open(p.userInfo(token).body, keys)
	for _, test := range []struct {
		fault optest.Fault
		seen  func(jws) bool
	}{
		{optest.UserInfoWrongIssuer, claim("iss", "https://op.invalid")},
		{optest.UserInfoNoIssuer, claim("iss", nil)},
		{optest.UserInfoOtherAudience, claim("aud", "another-client")},
		{optest.UserInfoNoAudience, claim("aud", nil)},
		{optest.UserInfoAudienceArray, func(j jws) bool { a, _ := j.claims["aud"].([]any); return len(a) == 1 }},
		{optest.UserInfoExpired, func(j jws) bool { return fromNow(j.claims["exp"]) == -time.Hour }},
		{optest.UserInfoOtherSubject, claim("sub", "another-user")},
		{optest.UserInfoTypeLogout, header("typ", "logout+jwt")},
		{optest.UserInfoBadSignature, func(j jws) bool { return j.claims != nil && !j.good }},
		{optest.UserInfoOtherAlg, func(j jws) bool { return j.good && j.header["alg"] == "ES256" }},
		{optest.UserInfoAlgNone, header("alg", "none")},
		{optest.UserInfoAlgHS256PublicKey, header("alg", "HS256")},
		{optest.UserInfoUnknownKid, func(j jws) bool { return j.claims != nil && !j.good }},
		{optest.UserInfoOversized, func(j jws) bool { return j.claims["padding"] != nil }},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			p := *p
			p.T = t
			if test.seen(honest) {
				t.Error("seen without the fault")
			}
			p.op.Fault(test.fault)
			defer p.op.ClearFaults()
			if a := p.userInfo(token); !test.seen(open(a.body, keys)) {
				t.Errorf("not seen: %s %.200s", a.Status, a.body)
			}
		})
	}
}

// The form of the answer is not the registered one (UIN-03, UIN-04).
func TestUserInfoFormFaults(t *testing.T) {
	t.Parallel()
	signed := newParty(t, registered(func(c *optest.Client) { c.UserInfoAlg = "RS256" }))
	plain := newParty(t, config())
	for _, test := range []struct {
		p           *party
		fault       optest.Fault
		contentType string
		parts       int
	}{
		{signed, optest.UserInfoPlain, "application/json", 0},
		{signed, optest.UserInfoEncrypted, "application/jwt", 5},
		{plain, optest.UserInfoUnrequestedJWT, "application/jwt", 3},
	} {
		test.p.op.Fault(test.fault)
		a := test.p.userInfo(test.p.login()["access_token"])
		test.p.op.ClearFaults()
		isJSON := strings.HasPrefix(a.body, "{")
		if a.Header.Get("Content-Type") != test.contentType || isJSON != (test.parts == 0) ||
			(!isJSON && strings.Count(a.body, ".") != test.parts-1) {
			t.Errorf("%s: %v %s", test.fault, a.Header, a.body)
		}
	}
}

// IDT-29.
func TestDistributedClaims(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.DistributedClaims("https://claims.invalid"))
	o := p.observe()
	for _, claims := range []map[string]any{o.idToken.claims, o.userInfo} {
		sources, _ := claims["_claim_sources"].(map[string]any)
		if source, _ := sources["src"].(map[string]any); source["endpoint"] != "https://claims.invalid" {
			t.Errorf("claims %v", claims)
		}
	}
}
