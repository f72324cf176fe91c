package optest_test

import (
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// DIS-18.
func TestJWKSMany(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.JWKSMany)
	if keys := p.ok(p.get(p.op.EndpointURL(optest.JWKSEndpoint)))["keys"].([]any); len(keys) != 5_002 {
		t.Errorf("%d keys", len(keys))
	}
}

func TestMetadataConstructors(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.InsecureEndpoint("token_endpoint"), optest.WithoutMetadata("userinfo_endpoint"))
	m := p.observe().metadata
	if m["token_endpoint"] != "http://op.invalid/token_endpoint" || m["userinfo_endpoint"] != nil {
		t.Errorf("metadata: %v", m)
	}
}
