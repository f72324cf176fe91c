package optest_test

import (
	"net/http"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// PAR-03.
func TestPushedFaults(t *testing.T) {
	t.Parallel()
	const created, missing = http.StatusCreated, "missing"
	p := newParty(t, config())
	for _, test := range []struct {
		fault  optest.Fault
		status int
		member string
		value  any
	}{
		{optest.PushedOK, http.StatusOK, "expires_in", 60.0},
		{optest.PushedNoRequestURI, created, "request_uri", missing},
		{optest.PushedEmptyRequestURI, created, "request_uri", ""},
		{optest.PushedNumericRequestURI, created, "request_uri", 1.0},
		{
			optest.PushedHostileRequestURI, created,
			"request_uri", "urn:x&redirect_uri=https://evil.invalid/&state=a#fragment",
		},
		{optest.PushedNoExpiresIn, created, "expires_in", missing},
		{optest.PushedZeroExpiresIn, created, "expires_in", 0.0},
		{optest.PushedNegativeExpiresIn, created, "expires_in", -60.0},
		{optest.PushedStringExpiresIn, created, "expires_in", "60"},
		{optest.PushedFractionalExpiresIn, created, "expires_in", 59.5},
		{optest.PushedLongExpiresIn, created, "expires_in", 1e15},
		{optest.OAuthError(optest.PushedEndpoint, "invalid_request", ""), 400, "error", "invalid_request"},
		{optest.Status(optest.PushedEndpoint, 429), 429, "request_uri", missing},
		{optest.Status(optest.PushedEndpoint, 500), 500, "request_uri", missing},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			p := *p
			p.T = t
			p.op.Fault(test.fault)
			defer p.op.ClearFaults()
			a := p.push(p.authorizationRequest())
			value, ok := p.json(a)[test.member]
			if !ok {
				value = missing
			}
			if a.StatusCode != test.status || value != test.value {
				t.Errorf("%s %s", a.Status, a.body)
			}
		})
	}
	p.op.Fault(optest.PushedOK)
	p.refused(p.push(nil), http.StatusBadRequest, "invalid_request") // not 200
}
