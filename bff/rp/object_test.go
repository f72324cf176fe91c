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
	t.Parallel()
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

// TestParseObject: the strictness that all JSON from outside gets.
func TestParseObject(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	for data, good := range map[string]bool{
		`{"a":1,"b":null}`: true, `{}`: true, deep(100): true, `{"a":{"b":1,"b":2}}`: true, // that is for who reads a
		``: false, `null`: false, `[]`: false, `"a"`: false, `{"a":1`: false, `{"a":1}{}`: false, `{"a":1}x`: false,
		`{"a":1,"a":1}`: false, `{"a":null,"a":1}`: false, `{"a":1,"\u0061":1}`: false, `{"\ud800":1,"\udfff":1}`: false,
		deep(20_000): false,
	} {
		o, err := parseObject([]byte(data))
		if (err == nil) != good {
			t.Errorf("%.40s: %v", data, err)
		}
		if err == nil && o.has("b") {
			t.Errorf("%s: a member that is null is there", data)
		}
		if err != nil && o != nil {
			t.Errorf("%.40s: an object and an error", data)
		}
	}
}

// TestHeadersAreStrict: a header is read once and then again by go-jose, and both must see the same (IDT-03, IDT-30).
func TestHeadersAreStrict(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	c, p := fuzzClient(t, key)
	for _, header := range []string{
		`{"alg":"EdDSA","alg":"none"}`, `{"alg":"none","alg":"EdDSA"}`, `{"alg":"EdDSA","typ":"at+jwt","typ":"JWT"}`,
		`{"ALG":"EdDSA"}`, `{"alg":["EdDSA"]}`, `{"alg":"EdDSA","kid":7}`, `{"alg":"EdDSA","crit":[]}`, `{"alg":"EdDSA","b64":false,"crit":["b64"]}`,
		`["EdDSA"]`, `{"alg":"EdDSA","typ":7}`, `{"alg":"eddsa"}`,
	} {
		if _, err := c.verifyIDToken(t.Context(), p, secret.New(sign(key, header, someClaims("")))); !errors.Is(err, ErrIDToken) {
			t.Errorf("%s: error %v, want ErrIDToken", header, err)
		}
	}
	for _, change := range []func(string) string{
		func(s string) string { return " " + s },
		func(s string) string { return s + "\n" },
		func(s string) string { return s + "=" },
		func(s string) string { return s[:4] + "\n" + s[4:] },
		func(s string) string { return strings.Replace(s, ".", "=.", 1) },
	} {
		raw := change(sign(key, `{"alg":"EdDSA"}`, someClaims("")))
		if _, err := c.verifyIDToken(t.Context(), p, secret.New(raw)); !errors.Is(err, ErrIDToken) || !strings.Contains(err.Error(), "IDT-30") {
			t.Errorf("%.20q: error %v, want ErrIDToken naming IDT-30", raw, err)
		}
	}
}
