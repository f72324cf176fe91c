package rp

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session/secret"
)

const macSecret = "a client secret of 32 octets, or 33"

// signMAC makes a JWS of exactly these bytes.
func signMAC(key []byte, header, claims string) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	h := hmac.New(sha256.New, key)
	h.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// someClaims are those of a good ID token.
func someClaims(more string) string {
	return fmt.Sprintf(`{"iss":%q,"aud":"app","sub":"alice","exp":%d,"iat":%d%s}`, fuzzIssuer, fuzzTime.Unix()+60, fuzzTime.Unix(), more)
}

// TestMACs is IDT-05: HS256 where it is configured and nowhere else, and neither key ever does the other's work.
func TestMACs(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	published := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	claims := someClaims(`,"at_hash":"uby9Z8Gb_H_x4fPjwNzguw"`)
	for _, tt := range []struct {
		name, configured, token, want string
	}{
		{"as configured", "HS256", signMAC([]byte(macSecret), `{"alg":"HS256"}`, claims), ""},
		{"with a kid", "HS256", signMAC([]byte(macSecret), `{"alg":"HS256","kid":"k1"}`, claims), ""},
		{"another secret", "HS256", signMAC([]byte(macSecret+"!"), `{"alg":"HS256"}`, claims), "IDT-02"},
		{"the published key", "HS256", signMAC(key.Public().(ed25519.PublicKey), `{"alg":"HS256","kid":"k1"}`, claims), "IDT-02"},
		{"the published key in PEM", "HS256", signMAC(published, `{"alg":"HS256","kid":"k1"}`, claims), "IDT-02"},
		{"another MAC", "HS256", signMAC([]byte(macSecret), `{"alg":"HS384"}`, claims), "IDT-03"},
		{"a signature of the OP", "HS256", sign(key, `{"alg":"EdDSA","kid":"k1"}`, claims), "IDT-03"},
		{"a MAC that nobody asked for", "EdDSA", signMAC([]byte(macSecret), `{"alg":"HS256"}`, claims), "IDT-03"},
		{"the published key, nobody asked", "EdDSA", signMAC(key.Public().(ed25519.PublicKey), `{"alg":"HS256"}`, claims), "IDT-03"},
		{"none", "HS256", sign(key, `{"alg":"none"}`, claims), "IDT-03"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, p := fuzzClient(t, key)
			c.cfg.SigningAlg, c.cfg.ClientSecret = tt.configured, secret.New(macSecret)
			id, err := c.verifyIDToken(t.Context(), p, secret.New(tt.token))
			if tt.want == "" && err == nil {
				err = id.checkAccessToken(secret.New("the-access-token"))
			}
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (!errors.Is(err, ErrIDToken) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want ErrIDToken naming %s", err, tt.want)
			}
		})
	}
}

// TestVerifiersDoNotMix: even asked to, the OP's keys make no MAC, and the secret no signature (IDT-05).
func TestVerifiersDoNotMix(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	_, p := fuzzClient(t, key)
	public := key.Public().(ed25519.PublicKey)
	if _, err := p.keys.verify(t.Context(), signMAC(public, `{"alg":"HS256","kid":"k1"}`, "{}"), "HS256"); err == nil {
		t.Error("a published key verified a MAC")
	}
	if _, err := (macKey{secret.New(macSecret)}).verify(t.Context(), sign(key, `{"alg":"EdDSA"}`, "{}"), "EdDSA"); err == nil {
		t.Error("the secret verified a signature")
	}
	if _, err := p.keys.verify(t.Context(), sign(key, `{"alg":"EdDSA","kid":"k1"}`, "{}"), "ES256"); err == nil {
		t.Error("a signature of another algorithm than the one asked for")
	}
}
