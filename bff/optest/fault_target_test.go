package optest_test

import (
	"net/http"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func TestTargetFaults(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	login := p.login()
	exchange := func() answer { return p.tokenRequest(exchangeForm(login["access_token"])) }
	for _, test := range []struct {
		fault  optest.Fault
		member string
		want   any
	}{
		{optest.NoIssuedTokenType, "issued_token_type", nil},
		{optest.IssuedRefreshToken, "issued_token_type", "urn:ietf:params:oauth:token-type:refresh_token"},
		{optest.IssuedJWT, "issued_token_type", "urn:ietf:params:oauth:token-type:jwt"},
		{optest.TokenTypeNA, "token_type", "N_A"},
		{optest.ExtraRefreshToken, "refresh_token", "extra-refresh-token"},
		{optest.OutlivesAll, "expires_in", 365 * 24 * 3600.0},
	} {
		p.op.Fault(optest.OnGrantType(optest.GrantTokenExchange, test.fault))
		if got := p.ok(exchange())[test.member]; got != test.want {
			t.Errorf("%s: %v", test.fault, got)
		}
		if other := p.ok(p.tokenRequest(form("grant_type", "client_credentials"))); other[test.member] == test.want && test.want != nil {
			t.Errorf("%s: also elsewhere", test.fault)
		}
		p.op.ClearFaults()
	}
	p.op.Fault(optest.InvalidTarget)
	p.refused(exchange(), http.StatusBadRequest, "invalid_target")
}
