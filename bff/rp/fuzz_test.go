package rp

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/session/secret"
)

const fuzzIssuer = "https://op.example.com"

var fuzzTime = time.Unix(1_800_000_000, 0)

// fuzzClient is a client that has loaded an OP which signs with the key.
func fuzzClient(f testing.TB, key ed25519.PrivateKey) (*Client, *provider) {
	f.Helper()
	now := func() time.Time { return fuzzTime }
	c, err := New(Config{
		Issuer:       fuzzIssuer,
		ClientID:     "app",
		ClientSecret: secret.New("s"),
		RedirectURI:  "https://app.example.com/cb",
		Scopes:       []string{"openid"},
		SigningAlg:   "EdDSA",
		Now:          now,
	})
	if err != nil {
		f.Fatal(err)
	}
	p := &provider{
		Metadata: Metadata{Issuer: fuzzIssuer, ResponseISS: true},
		keys: &keySet{
			now:     now,
			keys:    []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1"}},
			fetched: fuzzTime,
			resting: fuzzTime.Add(time.Hour),
		},
	}
	c.provider.Store(p)
	return c, p
}

// sign makes a JWS of exactly these bytes.
func sign(key ed25519.PrivateKey, header, claims string) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(input)))
}

// FuzzIDToken: whatever an OP signs, the claims of a token that is accepted are within what the checks promise.
func FuzzIDToken(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	c, p := fuzzClient(f, key)
	good := fmt.Sprintf(`{"iss":%q,"aud":"app","sub":"alice","exp":%d,"iat":%d,"nonce":"n"}`, fuzzIssuer, fuzzTime.Unix()+60, fuzzTime.Unix())
	for _, header := range []string{
		`{"alg":"EdDSA","kid":"k1"}`, `{"alg":"EdDSA","typ":"application/jwt"}`, `{"alg":"none"}`,
		`{"alg":"EdDSA","crit":["b64"],"b64":false}`, `{"alg":"EdDSA","jwk":{"kty":"oct","k":"AA"}}`,
	} {
		f.Add(header, good, "")
	}
	for _, claims := range []string{
		`null`, `[]`, `{"iss":null}`, `{"ISS":"x"}`, `{"aud":["app",7]}`, `{"exp":1e400}`, `{"iat":-1}`, `{"sub":"\u0000"}`,
		`{"_claim_names":{"a":"b"}}`,
	} {
		f.Add(`{"alg":"EdDSA","kid":"k1"}`, claims, "")
	}
	f.Add("", "", "a.b.c")
	f.Fuzz(func(t *testing.T, header, claims, raw string) {
		if raw == "" {
			raw = sign(key, header, claims)
		}
		id, err := c.verifyIDToken(t.Context(), p, secret.New(raw))
		if err != nil {
			if !errors.Is(err, ErrIDToken) {
				t.Errorf("error %v, want ErrIDToken", err)
			}
			return
		}
		exp, err := id.claims.date("exp")
		if id.Issuer != fuzzIssuer || len(id.Audience) == 0 || id.Subject == "" || len(id.Subject) > 255 ||
			id.IssuedAt.After(fuzzTime.Add(leeway)) || err != nil || exp.Before(fuzzTime.Add(-leeway)) {
			t.Errorf("accepted: %+v", id)
		}
		for _, aud := range id.Audience {
			if aud != "app" {
				t.Errorf("accepted audience %q", aud)
			}
		}
	})
}

// FuzzResponse: a code comes only out of a response that has the state, the issuer and one code.
func FuzzResponse(f *testing.F) {
	c, _ := fuzzClient(f, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	const state = "the-state"
	f.Add("code=c&state=the-state&iss=https%3A%2F%2Fop.example.com")
	f.Add("code=c&state=the-state")
	f.Add("code=c&code=d&state=the-state&iss=https://op.example.com")
	f.Add("error=access_denied&error_description=%00%ff&state=the-state&iss=https://op.example.com")
	f.Add("state=the-state&id_token=a.b.c&iss=https://op.example.com")
	f.Fuzz(func(t *testing.T, query string) {
		params, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		code, err := c.CheckResponse(&Response{params: params}, state)
		answer, fromOP := errors.AsType[*AuthorizationError](err)
		switch {
		case err != nil && !code.IsZero():
			t.Error("a code and an error")
		case fromOP && answer.Code != "unknown" && !slices.Contains(errorCodes, answer.Code):
			t.Errorf("the code %q is repeated", answer.Code)
		case err != nil && !fromOP && !errors.Is(err, ErrResponse):
			t.Errorf("error %v", err)
		case err == nil && (code.IsZero() || len(params["code"]) != 1 || len(params["state"]) != 1 ||
			params.Get("state") != state || params.Get("iss") != fuzzIssuer || params.Has("error")):
			t.Errorf("accepted %q", query)
		}
	})
}

// FuzzTokenResponse: tokens that are accepted can stand in a header, and they expire.
func FuzzTokenResponse(f *testing.F) {
	f.Add([]byte(`{"token_type":"Bearer","access_token":"a","expires_in":300,"scope":"openid"}`))
	f.Add([]byte(`{"token_type":"bearer","access_token":"a\r\nb","expires_in":"1e9"}`))
	f.Add([]byte(`{"token_type":"bearer","access_token":"a","expires_in":0x1p-2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseTokens(&answer{status: 200, mediaType: "application/json", body: data}, fuzzTime)
		if err != nil {
			return
		}
		if got.access.IsZero() || !isVisible(got.access.Reveal()) ||
			!got.expiresAt.After(fuzzTime) || got.expiresAt.After(fuzzTime.Add(maxLifetime)) {
			t.Errorf("accepted %q", data)
		}
	})
}

// FuzzErrorAnswer: of a refusal nothing is repeated but a registered code, and only one with status 400 and up can end a
// grant (RFR-28).
func FuzzErrorAnswer(f *testing.F) {
	f.Add(400, "application/json", []byte(`{"error":"invalid_grant","error_description":"\u0000<b>"}`))
	f.Add(503, "application/json", []byte(`{"error":"invalid_grant"}`))
	f.Add(400, "text/html", []byte(`{"error":"invalid_grant"}`))
	f.Add(401, "application/json", []byte(`{"error":["invalid_client"],"error":null}`))
	f.Fuzz(func(t *testing.T, status int, mediaType string, body []byte) {
		a := &answer{status: status, mediaType: mediaType, body: body}
		err := &TokenError{Status: status, Code: errorCode(a)}
		if err.Code != "" && !slices.Contains(errorCodes, err.Code) {
			t.Errorf("the code %q is repeated", err.Code)
		}
		if errors.Is(err, ErrInvalidGrant) && (status < 400 || status >= 500 || mediaType != "application/json") {
			t.Errorf("status %d of type %q ends a grant", status, mediaType)
		}
	})
}
