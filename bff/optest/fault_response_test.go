package optest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// EXT-09.
func TestAuthorizationDetailsFaults(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	for _, test := range []struct {
		fault optest.Fault
		want  any
	}{
		{optest.NoAuthorizationDetails, nil},
		{optest.LessAuthorizationDetails, []any{map[string]any{"type": "a"}}},
		{optest.OtherAuthorizationDetails, []any{map[string]any{"type": "another-type"}}},
	} {
		p.op.Fault(test.fault)
		response := p.login("authorization_details", `[{"type":"a"},{"type":"b"}]`)
		p.op.ClearFaults()
		if diff := cmp.Diff(test.want, response["authorization_details"]); diff != "" {
			t.Errorf("%s: %s", test.fault, diff)
		}
	}
}

func TestCallbackConstructors(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.CallbackError("consent_required", optest.HostileText), optest.CallbackTwice("state"))
	got := p.observe().callback
	if got.Get("error") != "consent_required" || got.Get("error_description") != optest.HostileText ||
		got.Has("code") || len(got["state"]) != 2 || got.Get("iss") != p.op.Issuer() {
		t.Errorf("callback parameters: %v", got)
	}
	p.op.ClearFaults()
	p.op.Fault(optest.WithoutCallback("state"), optest.Callback("iss", "other"))
	if got := p.observe().callback; got.Has("state") || got.Get("iss") != "other" {
		t.Errorf("callback parameters: %v", got)
	}
}
