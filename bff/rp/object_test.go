package rp

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session/secret"
)

// TestClaimNamesAreExact: go-oidc reads with encoding/json, to which "ISS" and "iſs" are iss, too. A claim of such a
// name is some other claim, and vouches for nothing.
func TestClaimNamesAreExact(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	c, p := fuzzClient(t, key)
	c.cfg.TrustedAudiences = []string{"another"}
	for _, tt := range []struct{ want, claims string }{
		{"", `"iss":"https://op.example.com","aud":["app","another"]`},
		{"", `"iss":"https://op.example.com","aud":"app","at_hash":"B7p8o12G5vm-9CEZGSanwzMw-leqyauPjU1ebdjBHYw"`},
		{"IDT-06", `"iss":"https://evil.example","aud":"app","ISS":"https://op.example.com"`},
		{"IDT-06", `"aud":"app","i\u017fs":"https://op.example.com"`},
		{"IDT-07", `"iss":"https://op.example.com","aud":"another","AUD":"app"`},
		{"IDT-07", `"iss":"https://op.example.com","AUD":"app"`},
		{"IDT-18", `"iss":"https://op.example.com","aud":"app","at_hash":"wrong","AT_HASH":"B7p8o12G5vm-9CEZGSanwzMw-leqyauPjU1ebdjBHYw"`},
	} {
		claims := fmt.Sprintf(`{"sub":"alice","exp":%d,"iat":%[1]d,%s}`, fuzzTime.Unix(), tt.claims)
		id, err := c.verifyIDToken(t.Context(), p, secret.New(sign(key, `{"alg":"EdDSA","kid":"k1"}`, claims)))
		if err == nil {
			err = id.checkAccessToken(secret.New("the-access-token"))
		}
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.claims, err)
		case tt.want != "" && (!errors.Is(err, ErrIDToken) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error %v, want ErrIDToken naming %s", tt.claims, err, tt.want)
		}
	}
}
