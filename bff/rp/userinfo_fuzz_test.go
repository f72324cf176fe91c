package rp

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
)

// FuzzUserinfo: whatever the endpoint answers, a signed answer that is accepted is from the OP and for us (UIN-03), and
// no answer is read as what it does not say it is (UIN-04).
func FuzzUserinfo(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	plain, p := fuzzClient(f, key)
	signed, signedProvider := fuzzClient(f, key)
	signed.cfg.UserinfoSigningAlg = "EdDSA"
	good := `{"iss":"` + fuzzIssuer + `","aud":["app"],"sub":"alice","email":"a@example.com"}`
	f.Add("application/json", good, "")
	f.Add("application/jwt", good, `{"alg":"EdDSA","kid":"k1"}`)
	f.Add("application/jwt", good, `{"alg":"none"}`)
	f.Add("application/jwt", `{"sub":"alice"}`, `{"alg":"EdDSA"}`)
	f.Add("application/jwt", "a.b.c.d.e", "")
	f.Add("text/html", "<html>", "")
	f.Add("application/json", `{"sub":"a","sub":"b"}`, "")
	f.Fuzz(func(t *testing.T, mediaType, body, header string) {
		if header != "" {
			body = sign(key, header, body)
		}
		a := &answer{status: 200, mediaType: mediaType, body: []byte(body)}
		claims, err := plain.readUserinfo(t.Context(), p, a)
		if err == nil && (claims == nil || mediaType != "application/json") {
			t.Errorf("plain: claims %v of %s", claims, mediaType)
		}
		claims, err = signed.readUserinfo(t.Context(), signedProvider, a)
		if err != nil {
			if !errors.Is(err, errUserinfo) {
				t.Errorf("error %v", err)
			}
			return
		}
		audience, audienceErr := claims.audience()
		if iss, err := claims.text("iss"); mediaType != "application/jwt" || err != nil || iss != fuzzIssuer ||
			audienceErr != nil || strings.Join(audience, " ") != "app" {
			t.Errorf("signed: claims %v of %s", claims, mediaType)
		}
	})
}
