package optest_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cloakroom/cloakroom/bff/optest"
)

const (
	jwtBearer  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	longSecret = "0123456789abcdef0123456789abcdef"
)

// A signature is what a client signs its assertions with.
type signature struct {
	alg jose.SignatureAlgorithm
	key any
}

func (s signature) publicKey() jose.JSONWebKey {
	k := s.key.(jose.JSONWebKey)
	return k.Public()
}

// clientSignatures are those of one client, by the algorithms that they are for. They are the same for all tests: an
// RSA key takes long to make.
func clientSignatures(t *testing.T) map[string]signature {
	t.Helper()
	signatures, err := newSignatures()
	if err != nil {
		t.Fatal(err)
	}
	return signatures
}

var newSignatures = sync.OnceValues(func() (map[string]signature, error) {
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	p256, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err3 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, err4 := ed25519.GenerateKey(rand.Reader)
	signatures := map[string]signature{
		"ES256": {jose.ES256, jose.JSONWebKey{Key: p256, KeyID: "p256"}},
		"ES384": {jose.ES384, jose.JSONWebKey{Key: p384, KeyID: "p384"}},
		"EdDSA": {jose.EdDSA, jose.JSONWebKey{Key: ed, KeyID: "ed"}},
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		signatures[alg] = signature{jose.SignatureAlgorithm(alg), jose.JSONWebKey{Key: rsaKey, KeyID: "rsa"}}
	}
	return signatures, errors.Join(err1, err2, err3, err4)
})

// publicSet returns the public halves, each key once.
func publicSet(signatures map[string]signature) *jose.JSONWebKeySet {
	set := &jose.JSONWebKeySet{}
	seen := map[string]bool{}
	for _, s := range signatures {
		if k := s.publicKey(); !seen[k.KeyID] {
			seen[k.KeyID] = true
			set.Keys = append(set.Keys, k)
		}
	}
	return set
}

func (s signature) sign(t *testing.T, typ string, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// assertionClaims are good ones, changed by edit.
func (p *party) assertionClaims(edit map[string]any) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": p.clientID, "sub": p.clientID, "aud": p.op.Issuer(), "jti": rand.Text(), "iat": now, "exp": now + 60,
	}
	maps.Copy(claims, edit)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

func (p *party) assert(form url.Values, assertion string) url.Values {
	form.Set("client_assertion_type", jwtBearer)
	form.Set("client_assertion", assertion)
	return form
}

// assertedRefresh is a token request that fails with invalid_grant if, and only if, the client is authenticated.
func (p *party) assertedRefresh(assertion string) answer {
	p.Helper()
	return p.post(p.op.EndpointURL(optest.TokenEndpoint), p.assert(refreshForm("no-token"), assertion), nil)
}

const goodType = "client-authentication+jwt"

// keyParty is a party with private_key_jwt.
func keyParty(t *testing.T, signatures map[string]signature, edit func(*optest.Client)) *party {
	t.Helper()
	cfg := config()
	c := optest.Client{
		ID: "keys", AuthMethod: optest.PrivateKeyJWT, JWKS: publicSet(signatures),
		RedirectURIs: []string{callbackURL},
	}
	if edit != nil {
		edit(&c)
	}
	cfg.Clients = append(cfg.Clients, c)
	p := newParty(t, cfg)
	p.clientID = "keys"
	return p
}

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	p := keyParty(t, signatures, nil)
	for name, s := range signatures {
		t.Run(name, func(t *testing.T) {
			assertion := s.sign(t, goodType, p.assertionClaims(nil))
			code := p.callback(p.authorize()).Get("code")
			p.ok(p.post(p.op.EndpointURL(optest.TokenEndpoint), p.assert(codeForm(code), assertion), nil))
		})
	}
}

// CA-04, CA-05, CA-07: each line of the table is one check of the assertion.
func TestRefusedAssertions(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	p := keyParty(t, signatures, nil)
	es := signatures["ES256"]
	now := time.Now().Unix()
	for name, c := range map[string]struct {
		typ    string
		claims map[string]any
	}{
		"no typ":               {"", nil},
		"typ JWT":              {"JWT", nil},
		"another issuer":       {goodType, map[string]any{"iss": "app"}},
		"no issuer":            {goodType, map[string]any{"iss": nil}},
		"unknown client":       {goodType, map[string]any{"iss": "nobody", "sub": "nobody"}},
		"no subject":           {goodType, map[string]any{"sub": nil}},
		"aud token endpoint":   {goodType, map[string]any{"aud": p.op.EndpointURL(optest.TokenEndpoint)}},
		"aud array":            {goodType, map[string]any{"aud": []string{p.op.Issuer()}}},
		"aud with a slash":     {goodType, map[string]any{"aud": p.op.Issuer() + "/"}},
		"no aud":               {goodType, map[string]any{"aud": nil}},
		"no exp":               {goodType, map[string]any{"exp": nil}},
		"expired":              {goodType, map[string]any{"exp": now - 60}},
		"lives for 5 minutes":  {goodType, map[string]any{"exp": now + 300}},
		"no iat":               {goodType, map[string]any{"iat": nil}},
		"iat in the future":    {goodType, map[string]any{"iat": now + 50}},
		"no jti":               {goodType, map[string]any{"jti": nil}},
		"claims of wrong type": {goodType, map[string]any{"exp": "tomorrow"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.assertedRefresh(es.sign(t, c.typ, p.assertionClaims(c.claims)))
			p.refused(a, http.StatusUnauthorized, "invalid_client")
		})
	}
	t.Run("good", func(t *testing.T) {
		a := p.assertedRefresh(es.sign(t, goodType, p.assertionClaims(nil)))
		p.refused(a, http.StatusBadRequest, "invalid_grant")
	})
}

// CA-04: a new assertion for each request, on retry too, at whichever endpoint.
func TestAssertionReplay(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	p := keyParty(t, signatures, nil)
	assertion := signatures["ES256"].sign(t, goodType, p.assertionClaims(nil))
	p.refused(p.assertedRefresh(assertion), http.StatusBadRequest, "invalid_grant")
	p.refused(p.assertedRefresh(assertion), http.StatusUnauthorized, "invalid_client")
	form := p.assert(url.Values{"token": {"a"}}, assertion)
	p.refused(p.post(p.op.EndpointURL(optest.RevocationEndpoint), form, nil), http.StatusUnauthorized, "invalid_client")
}

func TestAssertionForm(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	p := keyParty(t, signatures, nil)
	for name, c := range map[string]struct {
		edit   func(url.Values)
		status int
		code   string
	}{
		"no type":           {func(v url.Values) { v.Del("client_assertion_type") }, 400, "invalid_request"},
		"another type":      {func(v url.Values) { v.Set("client_assertion_type", "urn:x") }, 400, "invalid_request"},
		"no assertion":      {func(v url.Values) { v.Del("client_assertion") }, 401, "invalid_client"},
		"no JWT":            {func(v url.Values) { v.Set("client_assertion", "a.b.c") }, 401, "invalid_client"},
		"another client_id": {func(v url.Values) { v.Set("client_id", "app") }, 401, "invalid_client"},
		"with a secret":     {func(v url.Values) { v.Set("client_secret", secret) }, 400, "invalid_request"},
		"its own client_id": {func(v url.Values) { v.Set("client_id", "keys") }, 400, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			form := p.assert(refreshForm("no-token"), signatures["ES256"].sign(t, goodType, p.assertionClaims(nil)))
			c.edit(form)
			p.refused(p.post(p.op.EndpointURL(optest.TokenEndpoint), form, nil), c.status, c.code)
		})
	}
}

func TestAssertionKeys(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	es := signatures["ES256"]
	public := es.publicKey()
	claims := func(p *party) map[string]any { return p.assertionClaims(nil) }
	unauthorized := func(t *testing.T, p *party, s signature) {
		t.Helper()
		p.refused(p.assertedRefresh(s.sign(t, goodType, claims(p))), http.StatusUnauthorized, "invalid_client")
	}
	t.Run("another client's key", func(t *testing.T) {
		p := keyParty(t, signatures, nil)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		unauthorized(t, p, signature{jose.ES256, jose.JSONWebKey{Key: key, KeyID: public.KeyID}})
	})
	t.Run("an encryption key", func(t *testing.T) {
		set := &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public.Key, KeyID: public.KeyID, Use: "enc"}}}
		unauthorized(t, keyParty(t, nil, func(c *optest.Client) { c.JWKS = set }), es)
	})
	t.Run("a key for another algorithm", func(t *testing.T) {
		rs := signatures["RS256"]
		public := rs.publicKey()
		public.Algorithm = "PS256"
		set := &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}
		unauthorized(t, keyParty(t, nil, func(c *optest.Client) { c.JWKS = set }), rs)
	})
	t.Run("HS256 with a public key", func(t *testing.T) {
		p := keyParty(t, signatures, func(c *optest.Client) { c.Secret = longSecret })
		unauthorized(t, p, signature{jose.HS256, []byte(longSecret)})
	})
	t.Run("the key of a jwks_uri, after a rotation", func(t *testing.T) {
		var set atomic.Pointer[jose.JSONWebKeySet]
		set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
		jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(set.Load())
		}))
		defer jwks.Close()
		p := keyParty(t, nil, func(c *optest.Client) { c.JWKS, c.JWKSURI = nil, jwks.URL })
		p.refused(p.assertedRefresh(es.sign(t, goodType, claims(p))), http.StatusBadRequest, "invalid_grant")
		ed := signatures["EdDSA"]
		unauthorized(t, p, ed)
		set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{ed.publicKey()}})
		p.refused(p.assertedRefresh(ed.sign(t, goodType, claims(p))), http.StatusBadRequest, "invalid_grant")
	})
}

// CA-06: an OP from before RFC 7523bis asks for its token endpoint.
func TestLegacyAudience(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	p := keyParty(t, signatures, func(c *optest.Client) { c.LegacyAudience = true })
	endpoint := p.op.EndpointURL(optest.TokenEndpoint)
	for _, c := range []struct {
		audience any
		typ      string
		status   int
		code     string
	}{
		{endpoint, "JWT", 400, "invalid_grant"},
		{endpoint, "", 400, "invalid_grant"},
		{[]string{"https://other.invalid", endpoint}, "JWT", 400, "invalid_grant"},
		{p.op.Issuer(), "JWT", 401, "invalid_client"},
		{endpoint, goodType, 401, "invalid_client"}, // which it has never heard of
	} {
		claims := p.assertionClaims(map[string]any{"aud": c.audience})
		p.refused(p.assertedRefresh(signatures["ES256"].sign(t, c.typ, claims)), c.status, c.code)
	}
}

func TestClientSecretJWT(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Clients = append(cfg.Clients, optest.Client{
		ID: "mac", Secret: longSecret, AuthMethod: optest.ClientSecretJWT, RedirectURIs: []string{callbackURL},
	})
	p := newParty(t, cfg)
	p.clientID = "mac"
	mac := signature{jose.HS256, []byte(longSecret)}
	p.refused(p.assertedRefresh(mac.sign(t, goodType, p.assertionClaims(nil))), http.StatusBadRequest, "invalid_grant")

	other := signature{jose.HS256, []byte(strings.Repeat("x", 32))}
	p.refused(p.assertedRefresh(other.sign(t, goodType, p.assertionClaims(nil))), 401, "invalid_client")
	es := clientSignatures(t)["ES256"]
	p.refused(p.assertedRefresh(es.sign(t, goodType, p.assertionClaims(nil))), 401, "invalid_client")
	p.refused(p.post(p.op.EndpointURL(optest.TokenEndpoint), refreshForm("a"), basic("mac", longSecret)),
		401, "invalid_client")
}

// Whatever the assertion is, without the key it does not authenticate.
func FuzzAssertion(f *testing.F) {
	op, err := optest.New(optest.Config{Issuer: "http://localhost", Clients: []optest.Client{
		{ID: "mac", Secret: longSecret, AuthMethod: optest.ClientSecretJWT},
		{ID: "keys", AuthMethod: optest.PrivateKeyJWT, JWKS: &jose.JSONWebKeySet{}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	for _, header := range []string{
		`{"alg":"none"}`, `{"alg":"HS256","typ":"client-authentication+jwt"}`, `{"alg":"ES256","kid":"a"}`, `{}`, `[]`,
	} {
		for _, claims := range []string{
			`{"iss":"mac","sub":"mac","aud":"http://localhost","jti":"1","iat":1,"exp":99999999999}`,
			`{"iss":"keys","sub":"keys","aud":["http://localhost",1],"exp":1e400}`, `null`, ``,
		} {
			f.Add(encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature")))
		}
	}
	f.Fuzz(func(t *testing.T, assertion string) {
		form := url.Values{"client_assertion_type": {jwtBearer}, "client_assertion": {assertion}}
		r := httptest.NewRequest(http.MethodPost, op.EndpointURL(optest.TokenEndpoint), strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		op.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
