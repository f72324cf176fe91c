package rp

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

const logoutHeader = `{"alg":"EdDSA","kid":"k1","typ":"logout+jwt"}`

// logoutClaims are those of a good logout token, with some changed; to nil means taken out.
func logoutClaims(t testing.TB, change map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": fuzzIssuer, "aud": "app", "sub": "alice", "sid": "s1", "jti": "j1",
		"iat": fuzzTime.Unix(), "exp": fuzzTime.Unix() + 120,
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLogoutToken(t *testing.T) {
	t.Parallel()
	type claims = map[string]any
	null := json.RawMessage("null")
	event := func(v any) claims { return claims{"events": claims{logoutEvent: v}} }
	for _, tt := range []struct {
		id     string
		header string // default logoutHeader
		change claims
		want   string // in the error; "": accepted
	}{
		{"as it should be", "", nil, ""},
		{"BCL-03 alg", `{"alg":"ES256","typ":"logout+jwt"}`, nil, "IDT-03"},
		{"BCL-04 none", `{"alg":"none","typ":"logout+jwt"}`, nil, "IDT-03"},
		{"BCL-03 unknown kid", `{"alg":"EdDSA","kid":"k9","typ":"logout+jwt"}`, nil, "IDT-02"},
		{"IDT-21 crit", `{"alg":"EdDSA","kid":"k1","typ":"logout+jwt","crit":["x"],"x":1}`, nil, "IDT-21"},
		{"BCL-05 iss", "", claims{"iss": "https://evil.example"}, "IDT-06"},
		{"BCL-05 iss missing", "", claims{"iss": nil}, "IDT-06"},
		{"BCL-05 iss with a slash", "", claims{"iss": fuzzIssuer + "/"}, "IDT-06"},
		{"BCL-06 aud", "", claims{"aud": "another"}, "IDT-07"},
		{"BCL-06 aud missing", "", claims{"aud": nil}, "IDT-07"},
		{"BCL-06 aud as an array", "", claims{"aud": []string{"app"}}, ""},
		{"BCL-06 aud with another", "", claims{"aud": []string{"app", "another"}}, "IDT-08"},
		{"BCL-07 exp missing", "", claims{"exp": nil}, "IDT-10"},
		{"BCL-07 exp null", "", claims{"exp": null}, "IDT-10"},
		{"BCL-07 exp past", "", claims{"iat": fuzzTime.Unix() - 180, "exp": fuzzTime.Unix() - 61}, "IDT-10"},
		{"BCL-07 exp within the leeway", "", claims{"iat": fuzzTime.Unix() - 120, "exp": fuzzTime.Unix() - 59}, ""},
		{"BCL-07 exp as a string", "", claims{"exp": "9999999999"}, "IDT-10"},
		{"BCL-08 iat missing", "", claims{"iat": nil}, "IDT-11"},
		{"BCL-08 iat in the future", "", claims{"iat": fuzzTime.Unix() + 61}, "IDT-11"},
		{"BCL-08 iat too long ago", "", claims{"iat": fuzzTime.Unix() - 601}, "BCL-08"},
		{"BCL-09 exp in ten years", "", claims{"exp": fuzzTime.AddDate(10, 0, 0).Unix()}, "BCL-09"},
		{"BCL-09 exp in ten minutes", "", claims{"exp": fuzzTime.Unix() + 600}, ""},
		{"IDT-13 nbf", "", claims{"nbf": fuzzTime.Unix() + 61}, "IDT-13"},
		{"BCL-10 jti missing", "", claims{"jti": nil}, "BCL-10"},
		{"BCL-10 jti empty", "", claims{"jti": ""}, "BCL-10"},
		{"BCL-10 jti no string", "", claims{"jti": 7}, "jti has the wrong type"},
		{"BCL-13 sub alone", "", claims{"sid": nil}, ""},
		{"BCL-13 sid alone", "", claims{"sub": nil}, ""},
		{"BCL-13 neither", "", claims{"sub": nil, "sid": nil}, "BCL-13"},
		{"BCL-13 both empty", "", claims{"sub": "", "sid": ""}, "BCL-13"},
		{"BCL-13 sid no string", "", claims{"sid": 7}, "sid has the wrong type"},
		{"BCL-14 events missing", "", claims{"events": nil}, "BCL-14"},
		{"BCL-14 events null", "", claims{"events": null}, "BCL-14"},
		{"BCL-14 events a list", "", claims{"events": []string{logoutEvent}}, "BCL-14"},
		{"BCL-14 another event", "", claims{"events": claims{"https://example.com/event": claims{}}}, "BCL-14"},
		{"BCL-14 beside another event", "", claims{"events": claims{"x": claims{}, logoutEvent: claims{}}}, ""},
		{"BCL-14 event in capitals", "", claims{"events": claims{strings.ToUpper(logoutEvent): claims{}}}, "BCL-14"},
		{"BCL-14 event null", "", event(nil), "BCL-14"},
		{"BCL-14 event a string", "", event("{}"), "BCL-14"},
		{"BCL-14 event a list", "", event([]string{}), "BCL-14"},
		{"BCL-14 event with members", "", event(claims{"a": 1}), ""},
		{"BCL-15 nonce", "", claims{"nonce": "n"}, "nonce says"},
		{"BCL-15 nonce null", "", claims{"nonce": null}, "nonce says"},
		{"BCL-15 nonce no string", "", claims{"nonce": 7}, "nonce says"},
		{"BCL-16 typ odd case", `{"alg":"EdDSA","typ":"Logout+JWT"}`, nil, ""},
		{"BCL-16 typ with the prefix", `{"alg":"EdDSA","typ":"application/logout+jwt"}`, nil, ""},
		{"BCL-16 typ missing", `{"alg":"EdDSA"}`, nil, "IDT-22"},
		{"BCL-16 typ JWT", `{"alg":"EdDSA","typ":"JWT"}`, nil, "IDT-22"},
		{"BCL-16 typ at+jwt", `{"alg":"EdDSA","typ":"at+jwt"}`, nil, "IDT-22"},
	} {
		t.Run(tt.id, func(t *testing.T) {
			key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
			c, _ := fuzzClient(t, key)
			header := tt.header
			if header == "" {
				header = logoutHeader
			}
			raw := sign(key, header, logoutClaims(t, tt.change))
			token, err := c.VerifyLogoutToken(t.Context(), raw)
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (token != nil || !errors.Is(err, ErrLogoutToken) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want ErrLogoutToken and %q", err, tt.want)
			}
			// BCL-27: what a token says wrong of itself is noticed without any keys.
			c.provider.Store(nil)
			_, keyless := c.VerifyLogoutToken(t.Context(), raw)
			switch {
			case tt.want == "" || tt.want == "IDT-02":
				if !errors.Is(keyless, ErrUnavailable) {
					t.Errorf("without keys: %v, want ErrUnavailable", keyless)
				}
			case keyless == nil || keyless.Error() != err.Error():
				t.Errorf("without keys: %v, want %v", keyless, err)
			}
		})
	}
}

// TestLogoutTokenFields: what the caller gets to work with, and BCL-03: nobody else's signature.
func TestLogoutTokenFields(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	c, _ := fuzzClient(t, key)
	token, err := c.VerifyLogoutToken(t.Context(), sign(key, logoutHeader, logoutClaims(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	want := LogoutToken{
		Issuer: fuzzIssuer, Subject: "alice", SID: "s1", ID: "j1", IssuedAt: fuzzTime.UTC(), ExpiresAt: fuzzTime.Add(2 * time.Minute).UTC(),
	}
	if *token != want {
		t.Errorf("token %+v, want %+v", *token, want)
	}
	another := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	if _, err := c.VerifyLogoutToken(t.Context(), sign(another, logoutHeader, logoutClaims(t, nil))); !errors.Is(err, ErrLogoutToken) {
		t.Errorf("another key: %v", err)
	}
	if until := token.SpentUntil(); !until.Equal(token.ExpiresAt.Add(2 * time.Minute)) {
		t.Errorf("spent until %v, which is %v after its exp", until, until.Sub(token.ExpiresAt))
	}
}

// TestUntypedLogoutTokens is the option of BCL-16: absent and JWT pass, other kinds never do.
func TestUntypedLogoutTokens(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	c, _ := fuzzClient(t, key)
	c.cfg.UntypedLogoutTokens = true
	for header, ok := range map[string]bool{
		`{"alg":"EdDSA"}`: true, `{"alg":"EdDSA","typ":"JWT"}`: true, logoutHeader: true,
		`{"alg":"EdDSA","typ":"at+jwt"}`: false, `{"alg":"EdDSA","typ":"secevent+jwt"}`: false,
	} {
		if _, err := c.VerifyLogoutToken(t.Context(), sign(key, header, logoutClaims(t, nil))); (err == nil) != ok {
			t.Errorf("%s: %v", header, err)
		}
	}
	// An ID token does not pass for lack of a typ.
	if _, err := c.VerifyLogoutToken(t.Context(), sign(key, `{"alg":"EdDSA"}`, someClaims(`,"jti":"j1"`))); !errors.Is(err, ErrLogoutToken) {
		t.Errorf("an ID token: %v", err)
	}
	// Nor a logout token as an ID token, for lack of a typ (IDT-22).
	c, p := fuzzClient(t, key)
	untyped := sign(key, `{"alg":"EdDSA"}`, logoutClaims(t, nil))
	if _, err := c.verifyIDToken(t.Context(), p, secret.New(untyped)); !errors.Is(err, ErrIDToken) || !strings.Contains(err.Error(), "IDT-22") {
		t.Errorf("a logout token as an ID token: %v", err)
	}
}

// TestEncryptedLogoutToken is BCL-17: what is registered for ID tokens holds for logout tokens.
func TestEncryptedLogoutToken(t *testing.T) {
	t.Parallel()
	signing := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	e := Encryption{"ECDH-ES", "A128GCM"}
	key := encryptionKey(t, e.Alg, "e1")
	c, _ := decryptingClient(t, signing, e, key)
	plain := sign(signing, logoutHeader, logoutClaims(t, nil))
	if _, err := c.VerifyLogoutToken(t.Context(), plain); !errors.Is(err, ErrLogoutToken) || !strings.Contains(err.Error(), "IDT-24") {
		t.Errorf("not encrypted: %v", err)
	}
	if _, err := c.VerifyLogoutToken(t.Context(), encrypt(t, key, e.Enc, plain, nil)); err != nil {
		t.Errorf("encrypted: %v", err)
	}
}

// FuzzLogoutToken: whatever an OP signs, a token that is accepted names somebody, and is no older than it may be; without
// keys none is.
func FuzzLogoutToken(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	c, _ := fuzzClient(f, key)
	keyless, _ := fuzzClient(f, key)
	keyless.provider.Store(nil)
	good := logoutClaims(f, nil)
	for _, header := range []string{logoutHeader, `{"alg":"EdDSA"}`, `{"alg":"none"}`, `{"typ":["logout+jwt"]}`} {
		f.Add(header, good, "")
	}
	for _, claims := range []string{
		`{}`, `{"events":{"` + logoutEvent + `":{}},"events":null}`, someClaims(`,"jti":"j","events":{}`), `{"iat":1e400}`,
		strings.Replace(good, `"jti"`, `"nonce":null,"jti"`, 1), strings.Replace(good, `"s1"`, `"\u0000"`, 1),
	} {
		f.Add(logoutHeader, claims, "")
	}
	f.Add("", "", "a.b.c.d.e")
	f.Fuzz(func(t *testing.T, header, claims, raw string) {
		if raw == "" {
			raw = sign(key, header, claims)
		}
		if _, err := keyless.VerifyLogoutToken(t.Context(), raw); !errors.Is(err, ErrLogoutToken) && !errors.Is(err, ErrUnavailable) {
			t.Errorf("without keys: %v", err)
		}
		token, err := c.VerifyLogoutToken(t.Context(), raw)
		if err != nil {
			if !errors.Is(err, ErrLogoutToken) || token != nil {
				t.Errorf("%+v, error %v, want ErrLogoutToken", token, err)
			}
			return
		}
		if token.Issuer != fuzzIssuer || token.ID == "" || token.Subject == "" && token.SID == "" ||
			token.IssuedAt.After(fuzzTime.Add(leeway)) || token.IssuedAt.Before(fuzzTime.Add(-maxLogoutTokenLife)) ||
			token.ExpiresAt.Before(fuzzTime.Add(-leeway)) || token.ExpiresAt.Sub(token.IssuedAt) > maxLogoutTokenLife {
			t.Errorf("accepted %+v", token)
		}
	})
}
