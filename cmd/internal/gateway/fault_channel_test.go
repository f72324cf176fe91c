package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// The response as a form (standards.md §10): the same checks, errors too (FPM-04).
func TestFaultsOfFormPost(t *testing.T) {
	faultGroup{
		config: func(p *Provider, _ *optest.Client) { p.ResponseMode = "form_post" },
		cases: []faultCase{
			{fault: optest.CallbackNoState, check: "no flow with this state"},
			{fault: optest.CallbackTwice("state"), check: "FLOW-26"},
			{fault: optest.CallbackTwice("code"), check: "FLOW-26"},
			{fault: optest.CallbackWrongIssuer, check: "FLOW-10"},
			{fault: optest.CallbackNoIssuer, check: "FLOW-11"},
			{fault: optest.CallbackTokens, check: "FLOW-20"},
			{fault: optest.CallbackError("access_denied", optest.HostileText), check: "access_denied"},
			{fault: optest.WrongIssuer, check: "IDT-06", token: 1, revoke: 1},
		},
	}.run(t)
}

// The response in a JWT (§12): everything about the JWT is checked before what it says; the eight negative tests of FAPI
// are among these.
func TestFaultsOfTheResponseJWT(t *testing.T) {
	for mode, special := range map[string]faultCase{
		"jwt":           {fault: optest.NoResponse, check: "JRM-04"},
		"form_post.jwt": {fault: optest.ResponseJWTClaim("padding", strings.Repeat("a", 70_000)), check: "FPM-01"},
	} {
		t.Run(mode, func(t *testing.T) {
			faultGroup{
				config: func(p *Provider, _ *optest.Client) { p.ResponseMode = mode },
				cases: []faultCase{
					{fault: optest.ResponseCodeOutside, check: "JRM-01"},
					{fault: optest.ResponseErrorOutside, check: "JRM-01"},
					{fault: optest.ResponseStateOutside, check: "JRM-01"},
					{fault: optest.ResponseOutside, check: "JRM-01"},
					{fault: optest.ResponseCodeOnlyOutside, check: "JRM-01"},
					{fault: optest.PlainResponse, check: "JRM-01"}, // JRM-04
					special,
					{fault: optest.ResponseTwice, check: "JRM-04"}, // FLOW-26
					{fault: optest.ResponseWrongIssuer, check: "IDT-06"},
					{fault: optest.ResponseIssuerTrailingSlash, check: "IDT-06"},
					{fault: optest.ResponseNoIssuer, check: "IDT-06"},
					{fault: optest.ResponseOtherAudience, check: "IDT-07"},
					{fault: optest.ResponseNoAudience, check: "IDT-07"},
					{fault: optest.ResponseExtraAudience, check: "IDT-08"},
					{fault: optest.ResponseExpired, check: "IDT-10"},
					{fault: optest.ResponseNoExpiry, check: "IDT-10"},
					{fault: optest.ResponseNotYetValid, check: "IDT-13"},
					{fault: optest.ResponseBadSignature, check: "IDT-02"},
					{fault: optest.ResponseEmbeddedJWK, check: "IDT-02"},
					{fault: optest.ResponseUnknownKid, check: "IDT-02"},
					{fault: optest.ResponseOtherAlg, check: "IDT-03"},
					{fault: optest.ResponseAlgNone, check: "IDT-03"},
					{fault: optest.ResponseUnknownCrit, check: "IDT-21"},
					{fault: optest.ResponseTypeLogout, check: "IDT-22"},
					{fault: optest.ResponseTypeAccess, check: "IDT-22"},
					{fault: optest.ResponseJWTClaim("nonce", "as an ID token has"), check: "IDT-22"},
					{fault: optest.ResponseEncrypted, check: "IDT-24"},
					{fault: optest.CallbackError("access_denied", optest.HostileText), check: "access_denied"},
					{fault: optest.CallbackOtherState, check: "no flow with this state"}, // JRM-03
					{fault: optest.Callback("error", "access_denied"), check: "FLOW-13"},
				},
			}.run(t)
		})
	}
}

// FLOW-27, JRM-04: a response is read from the channel of the response mode and from no other, and nothing is sent to the
// OP for one that comes elsewhere.
func TestResponseInTheWrongChannel(t *testing.T) {
	t.Parallel()
	type delivery func(c *client, a optest.Answer) response
	get := func(c *client, a optest.Answer) response {
		return c.send("GET", a.URL.Path+"?"+a.Parameters().Encode())
	}
	post := func(c *client, a optest.Answer) response {
		a.Form, a.URL.RawQuery = a.Parameters(), ""
		return c.take(a)
	}
	both := func(c *client, a optest.Answer) response {
		a.Form = a.Parameters()
		a.URL.RawQuery = a.Form.Encode()
		return c.take(a)
	}
	multipart := func(c *client, a optest.Answer) response {
		return c.take(a, func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") })
	}
	large := func(c *client, a optest.Answer) response {
		a.Form.Set("padding", strings.Repeat("a", 100_000))
		return c.take(a)
	}
	for mode, tries := range map[string]map[string]delivery{
		"query":         {"POST": post, "both": both},
		"jwt":           {"POST": post, "both": both},
		"form_post":     {"GET": get, "both": both, "multipart": multipart, "large": large},
		"form_post.jwt": {"GET": get, "both": both, "multipart": multipart, "large": large},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			g := newReplica(t, func(_ *replica, c *Config) { c.Providers[0].ResponseMode = mode }).ready()
			for name, try := range tries {
				t.Run(name, func(t *testing.T) {
					c := g.client()
					start := c.send("GET", "/bff/login")
					res := try(c, g.op.Authorize(start.Header.Get("Location")))
					if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/bff/error" {
						t.Errorf("%s %s", res.Status, res.Header.Get("Location"))
					}
					wantNoSessionCookie(t, res)
					if n := g.op.Count(optest.TokenEndpoint); n != 0 {
						t.Errorf("%d token requests", n)
					}
				})
			}
			c := g.client()
			start := c.send("GET", "/bff/login")
			if res := c.deliver(start.Header.Get("Location")); res.Header.Get("Location") != "/bff/landing" {
				t.Errorf("in the right channel: %s %s", res.Status, res.Header.Get("Location"))
			}
		})
	}
}
