package gateway

import (
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// The authorization response (standards.md §2): nothing goes to the token endpoint.
func TestFaultsOfTheResponse(t *testing.T) {
	faultGroup{cases: []faultCase{
		{fault: optest.CallbackNoState, check: "no flow with this state"},    // FLOW-05
		{fault: optest.CallbackOtherState, check: "no flow with this state"}, // FLOW-05
		{fault: optest.CallbackTwice("state"), check: "FLOW-26"},
		{fault: optest.CallbackTwice("code"), check: "FLOW-26"},
		{fault: optest.CallbackTwice("iss"), check: "FLOW-26"},
		{fault: optest.CallbackWrongIssuer, check: "FLOW-10"},
		{fault: optest.CallbackIssuerTrailingSlash, check: "FLOW-10"},
		{fault: optest.CallbackNoIssuer, check: "FLOW-11"},
		{fault: optest.CallbackNoCode, check: "neither a code nor an error"},
		{fault: optest.CallbackTokens, check: "FLOW-20"},
		{fault: optest.Callback("error", "access_denied"), check: "FLOW-13"}, // beside the code
		{fault: optest.CallbackError("access_denied", optest.HostileText), check: "access_denied"},
		// login_required without prompt=none is an error, not the beginning of a loop (FLOW-39).
		{fault: optest.CallbackError("login_required", optest.HostileText), check: "login_required"},
		{
			fault: optest.CallbackError("unmet_authentication_requirements", optest.HostileText), // EXT-10
			check: "unmet_authentication_requirements",
		},
		{fault: optest.CallbackError("evil_new_error", optest.HostileText), check: "unknown"}, // FLOW-40
		{fault: optest.CallbackError("temporarily_unavailable", ""), check: "temporarily_unavailable", code: "provider_unavailable"},
		{fault: optest.Callback("response", "a.b.c"), check: "FLOW-20"}, // JARM was not asked for
	}}.run(t)
}

// The ID token (§3): one token request; userinfo is not asked, and the refresh token that came along is given back.
func TestFaultsOfTheIDToken(t *testing.T) {
	var cases []faultCase
	for _, test := range []struct {
		check  string
		faults []optest.Fault
	}{
		{"IDT-01", []optest.Fault{optest.NoIDToken}},
		{"IDT-02", []optest.Fault{optest.BadSignature, optest.EmbeddedJWK}},                   // IDT-19: the key that came along is not used
		{"IDT-03", []optest.Fault{optest.OtherAlg, optest.AlgNone, optest.AlgHS256PublicKey}}, // IDT-04, IDT-05
		{"IDT-06", []optest.Fault{optest.WrongIssuer, optest.IssuerTrailingSlash, optest.NoIssuer}},
		{"IDT-07", []optest.Fault{optest.NoAudience, optest.OtherAudience}},
		{"IDT-08", []optest.Fault{optest.ExtraAudience}},
		{"IDT-09", []optest.Fault{optest.OtherAzp}},
		{"IDT-10", []optest.Fault{optest.Expired, optest.NoExpiry}},
		{"IDT-11", []optest.Fault{optest.NoIssuedAt, optest.IssuedInFuture, optest.IssuedLongAgo}},
		{"IDT-12", []optest.Fault{optest.NoSubject, optest.EmptySubject, optest.LongSubject}},
		{"IDT-13", []optest.Fault{optest.NotYetValid}},
		{"IDT-14", []optest.Fault{optest.NoNonce, optest.OtherNonce}},
		{"IDT-17", []optest.Fault{optest.NoAuthTime, optest.StaleAuthTime}},
		{"IDT-18", []optest.Fault{optest.WrongAtHash}},
		{"IDT-21", []optest.Fault{optest.UnknownCrit}},
		{"IDT-22", []optest.Fault{optest.TypeLogout, optest.TypeAccess, optest.LogoutEvents, optest.TypeLogoutOddCase}}, // IDT-23
		{"IDT-30", []optest.Fault{optest.IDTokenClaim("padding", strings.Repeat("a", 70_000))}},
	} {
		for _, fault := range test.faults {
			cases = append(cases, faultCase{fault: fault, check: test.check, token: 1, revoke: 1})
		}
	}
	faultGroup{cases: cases}.run(t)
}

// The token response (§2, §18.2): one request, whatever comes back. What was not understood is not given back either.
func TestFaultsOfTheTokenEndpoint(t *testing.T) {
	e := optest.TokenEndpoint
	faultGroup{cases: []faultCase{
		{fault: optest.NoTokenType, check: "FLOW-30", token: 1, revoke: 1},
		{fault: optest.TokenMember("token_type", "mac"), check: "FLOW-30", token: 1, revoke: 1},
		{fault: optest.TokenMember("token_type", "DPoP"), check: "FLOW-30", token: 1, revoke: 1},
		{fault: optest.NoAccessToken, check: "access_token is missing", token: 1, revoke: 1},
		{fault: optest.ContentType(e, "text/plain"), check: "application/json", token: 1}, // XOA-10
		{fault: optest.HTML(e), check: "application/json", token: 1},
		{fault: optest.Array(e), check: "JSON object", token: 1},
		{fault: optest.Huge(e), check: "larger than", token: 1}, // FLOW-33
		{fault: optest.Drop(e), check: "may have acted", token: 1},
		{fault: optest.Redirect(e, 307, "http://127.0.0.1:1/evil"), check: "307", token: 1, code: "provider_unavailable"}, // FLOW-33
		{fault: optest.Status(e, 500), check: "500", token: 1, code: "provider_unavailable"},                              // FLOW-29
		{fault: optest.Status(e, 429), check: "429", token: 1, code: "provider_unavailable"},                              // FLOW-29
		{fault: optest.TokenError("invalid_grant", optest.HostileText), check: "invalid_grant", token: 1},
		{fault: optest.TokenError("invalid_client", optest.HostileText), check: "invalid_client", token: 1}, // CA-01: no second method
	}}.run(t)
}

// Userinfo that a login depends on (§6): one request, and the refresh token is given back.
func TestFaultsOfUserinfo(t *testing.T) {
	e := optest.UserInfoEndpoint
	faultGroup{
		config: func(p *Provider, _ *optest.Client) { p.Userinfo = "required" },
		cases: []faultCase{
			{fault: optest.UserInfoOtherSubject, check: "UIN-01", token: 1, userinfo: 1, revoke: 1},
			{fault: optest.UserInfoNoSubject, check: "UIN-01", token: 1, userinfo: 1, revoke: 1},
			{fault: optest.HTML(e), check: "application/json", token: 1, userinfo: 1, revoke: 1},                 // UIN-04
			{fault: optest.ContentType(e, "application/jwt"), check: "UIN-03", token: 1, userinfo: 1, revoke: 1}, // UIN-03
			{fault: optest.Array(e), check: "JSON object", token: 1, userinfo: 1, revoke: 1},                     // UIN-04
			{fault: optest.Status(e, 401), check: "401", token: 1, userinfo: 1, revoke: 1, code: "provider_unavailable"},
			{
				fault: optest.Redirect(e, 307, "http://127.0.0.1:1/evil"), // UIN-06
				check: "307", token: 1, userinfo: 1, revoke: 1, code: "provider_unavailable",
			},
			{fault: optest.Huge(e), check: "larger than", token: 1, userinfo: 1, revoke: 1, code: "provider_unavailable"},
		},
	}.run(t)
}

// Userinfo that was registered to be signed (UIN-03).
func TestFaultsOfSignedUserinfo(t *testing.T) {
	var cases []faultCase
	for _, test := range []struct {
		check  string
		faults []optest.Fault
	}{
		{"UIN-01", []optest.Fault{optest.UserInfoOtherSubject, optest.UserInfoNoSubject}},
		{"UIN-03", []optest.Fault{optest.UserInfoPlain}},
		{"IDT-02", []optest.Fault{optest.UserInfoBadSignature, optest.UserInfoUnknownKid}},
		{"IDT-03", []optest.Fault{optest.UserInfoOtherAlg, optest.UserInfoAlgNone}},
		{"IDT-06", []optest.Fault{optest.UserInfoWrongIssuer, optest.UserInfoNoIssuer}},
		{"IDT-07", []optest.Fault{optest.UserInfoOtherAudience, optest.UserInfoNoAudience}},
		{"IDT-10", []optest.Fault{optest.UserInfoExpired}},
		{"IDT-22", []optest.Fault{optest.UserInfoTypeLogout}},
		{"IDT-24", []optest.Fault{optest.UserInfoEncrypted}},
	} {
		for _, fault := range test.faults {
			cases = append(cases, faultCase{fault: fault, check: test.check, token: 1, userinfo: 1, revoke: 1})
		}
	}
	faultGroup{
		config: func(p *Provider, c *optest.Client) {
			p.Userinfo, p.UserinfoSigningAlg, c.UserInfoAlg = "required", "RS256", "RS256"
		},
		cases: cases,
	}.run(t)
}

// What an OP may do in its own way does not keep anybody from signing in.
func TestLoginsThatAreAllowed(t *testing.T) {
	t.Parallel()
	g := newReplica(t, nil).ready()
	for _, fault := range []optest.Fault{
		optest.CallbackUnknownParameters,                                             // FLOW-28
		optest.TokenTypeOddCase,                                                      // FLOW-30
		optest.NoExpiresIn,                                                           // FLOW-31
		optest.FractionalExpiresIn, optest.StringExpiresIn, optest.NegativeExpiresIn, // XOA-05
		optest.NoScope, optest.NarrowerScope, // FLOW-32
		optest.AudienceArray,   // IDT-07
		optest.NoAtHash,        // IDT-18
		optest.NoKid,           // IDT-20
		optest.TypeOddCase,     // IDT-23
		optest.UnknownClaims,   // IDT-25
		optest.FractionalDates, // IDT-25
		optest.NoRefreshToken,
		optest.UserInfoConflictingClaims,                   // UIN-05
		optest.Status(optest.UserInfoEndpoint, 503),        // userinfo: auto
		optest.Status(optest.RevocationEndpoint, 503),      // nothing to revoke
		optest.Redirect(optest.UserInfoEndpoint, 307, "/"), // UIN-06
	} {
		t.Run(fault.String(), func(t *testing.T) {
			g.op.ClearFaults()
			g.op.Fault(fault)
			c := g.client().signIn()
			if res := c.send("GET", "/api/orders", csrf); res.StatusCode != 200 {
				t.Errorf("%s %s", res.Status, res.body)
			}
			if res := c.send("GET", "/bff/session", csrf); !strings.Contains(res.body, `"sub":"alice"`) {
				t.Errorf("the session says %s", res.body)
			}
		})
	}
}
