package optest_test

import (
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func TestRequests(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.login("ui_locales", "de")
	authorizations, tokens := p.op.Requests(optest.AuthorizationEndpoint), p.op.Requests(optest.TokenEndpoint)
	if len(authorizations) != 1 || authorizations[0].Query.Get("ui_locales") != "de" {
		t.Errorf("authorization requests: %v", authorizations)
	}
	if len(tokens) != 1 || tokens[0].Method != "POST" || tokens[0].Form.Get("code_verifier") != verifier ||
		tokens[0].Header.Get("Authorization") == "" {
		t.Errorf("token requests: %v", tokens)
	}
	if n := p.op.CountGrants("authorization_code"); n != 1 {
		t.Errorf("CountGrants: %d", n)
	}
	p.op.ForgetRequests()
	if n := p.op.Count(optest.TokenEndpoint); n != 0 {
		t.Errorf("%d requests after ForgetRequests", n)
	}
}
