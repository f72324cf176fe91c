package rp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// ourKeys makes keys of ours: one that signs with ES256 and one that the OP may encrypt to.
func ourKeys(t *testing.T) *rp.ClientKeys {
	t.Helper()
	var keys []jose.JSONWebKey
	for _, use := range []string{"sig", "enc"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, jose.JSONWebKey{Key: key, Use: use, KeyID: use})
	}
	return clientKeysOf(t, keys...)
}

// object is the header and the claims of a request object that the OP would accept.
func (f *fixture) object(raw string) (header, claims map[string]any) {
	f.Helper()
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		f.Fatal(err)
	}
	keys := f.client.PublicKeys()
	payload, err := jws.Verify(keys.Key("sig")[0])
	if err != nil {
		f.Fatal(err)
	}
	protected := jws.Signatures[0].Protected
	header = map[string]any{"alg": protected.Algorithm, "kid": protected.KeyID, "typ": protected.ExtraHeaders[jose.HeaderType]}
	if err := json.Unmarshal(payload, &claims); err != nil {
		f.Fatal(err)
	}
	return header, claims
}

// TestRequestObject is JAR-01 and JAR-02: everything is inside, as JSON where it has a structure, and nobody can take
// it for a client assertion.
func TestRequestObject(t *testing.T) {
	t.Parallel()
	const details = `[{"type":"payment","amount":{"value":"1"}}]`
	f := startLoaded(t, func(_ *optest.Config, c *rp.Config) {
		c.PushedRequests, c.RequestObjectAlg, c.Keys = rp.PushedOff, "ES256", ourKeys(t)
		c.ResponseMode = rp.ResponseFormPost
		c.Resource = []string{"https://api.example.com/a", "https://api.example.com/b"}
		c.AuthorizationDetails = json.RawMessage(details)
		c.AuthorizationParams = map[string]string{"claims": `{"userinfo":{"name":null}}`, "audience": "https://api"}
	})
	r := newRequest(url.Values{"max_age": {"300"}, "login_hint": {"7"}})
	query := func() url.Values {
		address, expiresIn, err := f.client.AuthorizationURL(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if expiresIn != 5*time.Minute {
			t.Errorf("the address works for %v", expiresIn)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query()
	}
	outside := query()
	header, claims := f.object(outside.Get("request"))
	outside.Del("request")
	want := url.Values{"client_id": {clientID}, "response_type": {"code"}, "scope": {"openid"}} // Core §6.1
	if diff := cmp.Diff(want, outside); diff != "" {
		t.Error(diff)
	}
	wantHeader := map[string]any{"alg": "ES256", "kid": "sig", "typ": "oauth-authz-req+jwt"}
	if diff := cmp.Diff(wantHeader, header); diff != "" {
		t.Error(diff)
	}
	number := func(name string) time.Time {
		seconds, _ := claims[name].(float64)
		delete(claims, name)
		return time.Unix(int64(seconds), 0)
	}
	exp, nbf, iat, now := number("exp"), number("nbf"), number("iat"), time.Now()
	if exp.Before(now) || exp.After(now.Add(5*time.Minute)) || nbf.After(now) || exp.Sub(nbf) > time.Hour ||
		iat.After(now) || now.Sub(iat) > time.Minute {
		t.Errorf("exp %v, nbf %v, iat %v", exp, nbf, iat)
	}
	jti, _ := claims["jti"].(string)
	delete(claims, "jti")
	if _, again := f.object(query().Get("request")); jti == "" || again["jti"] == jti {
		t.Errorf("jti %q twice", jti)
	}
	var wantDetails any
	if err := json.Unmarshal([]byte(details), &wantDetails); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if s, _ := claims[name].(string); s == "" {
			t.Errorf("%s is missing", name)
		}
		delete(claims, name)
	}
	wantClaims := map[string]any{ // and no sub (JAR-02)
		"iss":                   clientID,
		"aud":                   f.op.Issuer(),
		"client_id":             clientID,
		"response_type":         "code",
		"response_mode":         "form_post",
		"redirect_uri":          redirectURI,
		"scope":                 "openid profile email offline_access",
		"code_challenge_method": "S256",
		"max_age":               300.0,
		"login_hint":            "7",
		"audience":              "https://api",
		"claims":                map[string]any{"userinfo": map[string]any{"name": nil}},
		"resource":              []any{"https://api.example.com/a", "https://api.example.com/b"},
		"authorization_details": wantDetails,
	}
	if diff := cmp.Diff(wantClaims, claims); diff != "" {
		t.Error(diff)
	}
}

// TestPushedRequestObject is JAR-03: beside the object only what authenticates the client.
func TestPushedRequestObject(t *testing.T) {
	t.Parallel()
	for method, want := range map[rp.ClientAuth]string{
		rp.ClientSecretBasic: "client_id request",
		rp.ClientSecretPost:  "client_id client_secret request",
		rp.PrivateKeyJWT:     "client_assertion client_assertion_type client_id request",
	} {
		f := startLoaded(t, func(_ *optest.Config, c *rp.Config) {
			c.ClientAuth, c.RequestObjectAlg, c.Keys = method, "ES256", ourKeys(t)
			c.Resource = []string{"https://api.example.com/a"}
		})
		address, _, err := f.client.AuthorizationURL(t.Context(), newRequest(url.Values{"login_hint": {"a"}}))
		if err != nil {
			t.Fatal(err)
		}
		pushed := f.op.Requests(optest.PushedEndpoint)
		if len(pushed) != 1 {
			t.Fatalf("%s: %d pushed requests", method, len(pushed))
		}
		if got := names(pushed[0].Form); got != want {
			t.Errorf("%s: pushed %s, want %s", method, got, want)
		}
		wantOnlyRequestURI(t, address)
		if _, claims := f.object(pushed[0].Form.Get("request")); claims["login_hint"] != "a" || claims["client_id"] != clientID {
			t.Errorf("%s: claims %v", method, claims)
		}
	}
}

// names is the names of all parameters, in order.
func names(params url.Values) string {
	var list []string
	for name := range params {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
