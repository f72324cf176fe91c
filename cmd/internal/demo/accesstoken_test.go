package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var testTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const testAudience = "http://orders.test"

// keyServer publishes keys as an OP does, and counts how often it is asked for them.
type keyServer struct {
	*httptest.Server
	issuer string // what the metadata says; the server's URL unless a test changes it

	mu      sync.Mutex
	keys    []any
	fetched int
}

func newKeyServer(t *testing.T, keys ...any) *keyServer {
	t.Helper()
	s := &keyServer{keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"issuer": s.issuer, "jwks_uri": s.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fetched++
		writeJSON(w, http.StatusOK, map[string]any{"keys": s.keys})
	})
	s.Server = httptest.NewServer(mux)
	s.issuer = s.URL
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) publish(keys ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *keyServer) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetched
}

func newTestVerifier(t *testing.T, s *keyServer, now func() time.Time) *verifier {
	t.Helper()
	keys, err := discoverKeys(t.Context(), s.Client(), s.URL, now)
	if err != nil {
		t.Fatal(err)
	}
	return &verifier{issuer: s.URL, audience: testAudience, keys: keys, now: now}
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(kid, use string, public any) jose.JSONWebKey {
	return jose.JSONWebKey{Key: public, KeyID: kid, Use: use}
}

// signed is a JWT of the claims.
func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, kid, typ string, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", kid)
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// goodClaims is what the OP puts into an access token for the orders API.
func goodClaims(issuer string) map[string]any {
	return map[string]any{
		"iss": issuer, "aud": testAudience, "sub": "alice", "client_id": "demo", "jti": "1",
		"scope": "openid orders:read orders:write",
		"iat":   testTime.Unix(), "exp": testTime.Add(time.Minute).Unix(),
	}
}

// TestVerify has one row for each check of RFC 9068 §4: the good token with one thing wrong.
func TestVerify(t *testing.T) {
	rsaKey, otherKey, encKey := newRSAKey(t), newRSAKey(t), newRSAKey(t)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	op := newKeyServer(t,
		map[string]string{"kty": "EC", "crv": "secp256k1", "kid": "strange", "x": "AA", "y": "AA"},
		publicKey("rsa", "sig", rsaKey.Public()),
		publicKey("ec", "sig", ecKey.Public()),
		publicKey("enc", "enc", encKey.Public()),
		publicKey("", "sig", otherKey.Public()),
		publicKey("shared", "sig", []byte("a secret between two parties, made public")),
	)
	v := newTestVerifier(t, op, func() time.Time { return testTime })

	token := func(change func(claims map[string]any)) string {
		claims := goodClaims(op.URL)
		change(claims)
		return signed(t, jose.RS256, rsaKey, "rsa", "at+jwt", claims)
	}
	unchanged := goodClaims(op.URL)
	good := signed(t, jose.RS256, rsaKey, "rsa", "at+jwt", unchanged)
	none := "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoicnNhIn0." + strings.Split(good, ".")[1] + "."

	for name, tt := range map[string]struct {
		token string
		want  string // in the error; "" for a good token
	}{
		"good":                {good, ""},
		"long type":           {signed(t, jose.RS256, rsaKey, "rsa", "application/AT+JWT", unchanged), ""},
		"several audiences":   {token(func(c map[string]any) { c["aud"] = []string{"other", testAudience} }), ""},
		"not a JWT":           {"abc", "not a JWT"},
		"too long":            {strings.Repeat("a", maxTokenLength+1), "too long"},
		"alg none":            {none, "not a JWT signed with RS256"},
		"alg of another key":  {signed(t, jose.ES256, ecKey, "ec", "at+jwt", unchanged), "not a JWT signed with RS256"},
		"alg PS256":           {signed(t, jose.PS256, rsaKey, "rsa", "at+jwt", unchanged), "not a JWT signed with RS256"},
		"ID token":            {signed(t, jose.RS256, rsaKey, "rsa", "JWT", unchanged), "typ"},
		"no type":             {signed(t, jose.RS256, rsaKey, "rsa", "", unchanged), "typ"},
		"logout token":        {signed(t, jose.RS256, rsaKey, "rsa", "logout+jwt", unchanged), "typ"},
		"forged":              {signed(t, jose.RS256, otherKey, "rsa", "at+jwt", unchanged), "wrong signature"},
		"payload exchanged":   {exchangePayload(t, good, goodClaims(op.URL), "bob"), "wrong signature"},
		"unknown key":         {signed(t, jose.RS256, otherKey, "other", "at+jwt", unchanged), "does not publish"},
		"key for encryption":  {signed(t, jose.RS256, encKey, "enc", "at+jwt", unchanged), "does not publish"},
		"key of unknown kind": {signed(t, jose.RS256, otherKey, "strange", "at+jwt", unchanged), "does not publish"},
		"no kid":              {signed(t, jose.RS256, otherKey, "", "at+jwt", unchanged), "does not publish"},
		"symmetric key":       {signed(t, jose.RS256, otherKey, "shared", "at+jwt", unchanged), "does not publish"},
		"another issuer":      {token(func(c map[string]any) { c["iss"] = "https://op.example" }), "issued by somebody else"},
		"no issuer":           {token(func(c map[string]any) { delete(c, "iss") }), "issued by somebody else"},
		"another API":         {token(func(c map[string]any) { c["aud"] = "demo" }), "another API"},
		"no audience":         {token(func(c map[string]any) { delete(c, "aud") }), "another API"},
		"expired":             {token(func(c map[string]any) { c["exp"] = testTime.Add(-time.Minute).Unix() }), "expired"},
		"expired to the second": {
			token(func(c map[string]any) { c["exp"] = testTime.Add(-clockLeeway).Unix() }), "expired",
		},
		"expired within leeway": {token(func(c map[string]any) { c["exp"] = testTime.Add(-time.Second).Unix() }), ""},
		"no expiry":             {token(func(c map[string]any) { delete(c, "exp") }), "expired"},
		"not yet":               {token(func(c map[string]any) { c["nbf"] = testTime.Add(time.Minute).Unix() }), "not valid yet"},
		"no iat":                {token(func(c map[string]any) { delete(c, "iat") }), "no iat"},
		"no subject":            {token(func(c map[string]any) { delete(c, "sub") }), "no sub"},
		"claims of other types": {token(func(c map[string]any) { c["exp"] = "tomorrow" }), "malformed claims"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.verify(t.Context(), tt.token)
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want == "" && got.Subject != "alice":
				t.Errorf("subject %q", got.Subject)
			case tt.want != "" && (!errors.Is(err, errInvalidToken) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want an invalid token: %s", err, tt.want)
			}
		})
	}
}

// exchangePayload keeps header and signature of the token and puts the claims in between, for another subject.
func exchangePayload(t *testing.T, token string, claims map[string]any, sub string) string {
	t.Helper()
	claims["sub"] = sub
	other := signed(t, jose.RS256, newRSAKey(t), "rsa", "at+jwt", claims)
	parts, otherParts := strings.Split(token, "."), strings.Split(other, ".")
	return parts[0] + "." + otherParts[1] + "." + parts[2]
}

// FuzzVerify holds that no text makes the API panic or let a stranger in.
func FuzzVerify(f *testing.F) {
	for _, seed := range []string{"", "a.b.c", "eyJhbGciOiJSUzI1NiJ9.e30.AA", "{}", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	keys := &keySet{url: "http://127.0.0.1:0", client: http.DefaultClient, now: time.Now}
	keys.byID.Store(&map[string]jose.JSONWebKey{})
	v := &verifier{issuer: "http://127.0.0.1", audience: testAudience, keys: keys, now: time.Now}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.verify(t.Context(), token); err == nil {
			t.Errorf("accepted %q", token)
		}
	})
}
