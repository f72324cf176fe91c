package optest_test

import (
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// DIS-12, DIS-13: the key of the ID token is none that was published before.
func TestRotationFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault     optest.Fault
		published int // afterwards
	}{{optest.RotateBeforeSigning, 4}, {optest.ReplaceBeforeSigning, 2}} {
		t.Run(test.fault.String(), func(t *testing.T) {
			p := newParty(t, config())
			before := p.get(p.op.EndpointURL(optest.JWKSEndpoint)).body
			p.op.Fault(test.fault)
			_, header := p.verified(p.login()["id_token"])
			after := p.ok(p.get(p.op.EndpointURL(optest.JWKSEndpoint)))["keys"].([]any)
			if strings.Contains(before, header["kid"].(string)) || len(after) != test.published {
				t.Errorf("kid %v, before %s, after %v", header["kid"], before, after)
			}
		})
	}
}
