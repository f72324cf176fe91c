package rp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// TestLogoutTokenOfOP: logout tokens as an OP makes them, for the registrations that there are (BCL-03 to BCL-17). That
// every check is made is TestLogoutToken's to show.
func TestLogoutTokenOfOP(t *testing.T) {
	t.Parallel()
	const ok = ""
	plain := func(*optest.Config, *rp.Config) {}
	encrypting := encrypted(t, "ECDH-ES")
	for _, tt := range []struct {
		name   string
		change func(*optest.Config, *rp.Config)
		fault  optest.Fault
		want   string
	}{
		{"plain", plain, optest.Fault{}, ok},
		{"plain", plain, optest.LogoutTypeOddCase, ok},
		{"plain", plain, optest.LogoutBadSignature, "IDT-02"},
		{"plain", plain, optest.LogoutEmbeddedJWK, "IDT-02"}, // IDT-19
		{"plain", plain, optest.LogoutOtherAlg, "IDT-03"},
		{"plain", plain, optest.LogoutAlgNone, "IDT-03"},
		{"plain", plain, optest.LogoutAlgHS256PublicKey, "IDT-03"},
		{"plain", plain, optest.LogoutNullNonce, "nonce"},
		{"plain", plain, optest.LogoutStringEvent, "BCL-14"},
		{"HS256", macs, optest.Fault{}, ok},
		{"HS256", macs, optest.LogoutBadSignature, "IDT-02"},
		{"encrypted", encrypting, optest.Fault{}, ok},
		{"encrypted", encrypting, optest.LogoutNotEncrypted, "IDT-24"},
	} {
		t.Run(tt.name+" "+tt.fault.String(), func(t *testing.T) {
			f := startLoaded(t, tt.change)
			f.op.Fault(tt.fault)
			raw, err := f.op.LogoutToken(clientID, "alice", "s1")
			if err != nil {
				t.Fatal(err)
			}
			token, err := f.client.VerifyLogoutToken(t.Context(), raw)
			switch {
			case tt.want == ok && (err != nil || token.Subject != "alice" || token.SID != "s1"):
				t.Errorf("token %+v, error %v", token, err)
			case tt.want != ok && (!errors.Is(err, rp.ErrLogoutToken) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want ErrLogoutToken naming %s", err, tt.want)
			}
		})
	}
}

// TestBadLogoutTokensDoNotDriveTheOP is BCL-27.
func TestBadLogoutTokensDoNotDriveTheOP(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(optest.LogoutUnknownKid)
	for range 20 {
		raw, err := f.op.LogoutToken(clientID, "alice", "s1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.client.VerifyLogoutToken(t.Context(), raw); !errors.Is(err, rp.ErrLogoutToken) {
			t.Errorf("error %v, want ErrLogoutToken", err)
		}
	}
	f.wantCount(optest.JWKSEndpoint, 1+1)
}
