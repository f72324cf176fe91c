package optest_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// hashed is OpenID Connect Core, 3.1.3.6 for every algorithm.
func hashed(alg jose.SignatureAlgorithm, accessToken any) string {
	text, _ := accessToken.(string)
	var sum []byte
	switch {
	case alg == jose.EdDSA || strings.HasSuffix(string(alg), "512"):
		hash := sha512.Sum512([]byte(text))
		sum = hash[:]
	case strings.HasSuffix(string(alg), "384"):
		hash := sha512.Sum384([]byte(text))
		sum = hash[:]
	default:
		hash := sha256.Sum256([]byte(text))
		sum = hash[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// Every algorithm can be the OP's own, and another client's (IDT-03, IDT-18).
func TestSigningAlgorithms(t *testing.T) {
	t.Parallel()
	for _, alg := range keyPairAlgs {
		t.Run(string(alg), func(t *testing.T) {
			cfg := config()
			cfg.SigningAlg = string(alg)
			cfg.Clients[1].IDTokenAlg = "ES384"
			p := newParty(t, cfg)
			response := p.login()
			claims, header := p.verified(response["id_token"])
			if header["alg"] != string(alg) || claims["at_hash"] != hashed(alg, response["access_token"]) {
				t.Errorf("header %v, claims %v", header, claims)
			}
			if _, header := p.verified(response["access_token"]); header["alg"] != string(alg) {
				t.Errorf("access token: header %v", header)
			}
		})
	}
}

// The key for a client's algorithm is published before it is used, and rotated with the others.
func TestIDTokenAlgOfClient(t *testing.T) {
	t.Parallel()
	p := newParty(t, registered(func(c *optest.Client) { c.IDTokenAlg = "PS384" }))
	kids := func() string {
		o := observed{}
		for _, k := range p.ok(p.get(p.op.EndpointURL(optest.JWKSEndpoint)))["keys"].([]any) {
			o.keys = append(o.keys, k.(map[string]any))
		}
		return kids(o)
	}
	before := kids()
	response := p.login()
	claims, header := p.verified(response["id_token"])
	if header["alg"] != "PS384" || !strings.Contains(before, header["kid"].(string)) ||
		claims["at_hash"] != hashed(jose.PS384, response["access_token"]) {
		t.Errorf("header %v, claims %v, keys before %s", header, claims, before)
	}
	if _, header := p.verified(response["access_token"]); header["alg"] != "RS256" {
		t.Errorf("access token: header %v", header)
	}
	if err := p.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if after := kids(); len(strings.Fields(after)) != 6 {
		t.Errorf("published after rotation: %s", after)
	}
	p.op.RetireKeys()
	if after := kids(); len(strings.Fields(after)) != 3 || strings.Contains(after, header["kid"].(string)) {
		t.Errorf("published after retirement: %s", after)
	}
	p.verified(p.login()["id_token"])
}

// HS256 is keyed with the client's secret (IDT-05), and such an ID token is a good hint at logout.
func TestHS256(t *testing.T) {
	t.Parallel()
	cfg := registered(func(c *optest.Client) { c.Secret, c.IDTokenAlg = longSecret, "HS256" })
	cfg.Clients[1].Secret = longSecret
	p := newParty(t, cfg)
	code := p.callback(p.authorize()).Get("code")
	response := p.ok(p.post(p.op.EndpointURL(optest.TokenEndpoint), codeForm(code), basic("app", longSecret)))
	idToken := response["id_token"].(string)
	parsed, err := jwt.ParseSigned(idToken, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims([]byte(longSecret), &claims); err != nil {
		t.Fatal(err)
	}
	if claims["at_hash"] != hashed(jose.HS256, response["access_token"]) || parsed.Headers[0].KeyID != "" {
		t.Errorf("kid %q, claims %v", parsed.Headers[0].KeyID, claims)
	}
	logout := p.op.EndpointURL(optest.EndSessionEndpoint) + "?id_token_hint="
	forged := signature{jose.HS256, []byte(strings.Repeat("x", 32))}.sign(t, "JWT", claims)
	claims["aud"] = "post" // the same secret, but registered for RS256
	confused := signature{jose.HS256, []byte(longSecret)}.sign(t, "JWT", claims)
	for hint, status := range map[string]int{forged: 400, confused: 400, idToken: 200} {
		if a := p.get(logout + hint); a.StatusCode != status {
			t.Errorf("logout: got %s, want %d", a.Status, status)
		}
	}
}

func TestAlgorithmsOfRegistration(t *testing.T) {
	t.Parallel()
	rsaOAEP := optest.Encryption{Alg: "RSA-OAEP"}
	for name, test := range map[string]struct {
		edit func(*optest.Client)
		want string
	}{
		"unknown ID token alg":    {func(c *optest.Client) { c.IDTokenAlg = "none" }, `"none" is not supported`},
		"unknown userinfo alg":    {func(c *optest.Client) { c.UserInfoAlg = "RS1" }, `"RS1" is not supported`},
		"unknown response alg":    {func(c *optest.Client) { c.ResponseAlg = "HS512" }, `"HS512" is not supported`},
		"HS256 and short secret":  {func(c *optest.Client) { c.IDTokenAlg = "HS256" }, "32 octets"},
		"HS256 request objects":   {func(c *optest.Client) { c.RequestObjectAlg = "HS256" }, `"HS256" is not supported`},
		"encryption without keys": {func(c *optest.Client) { c.IDTokenEncryption = rsaOAEP }, "JWKS or JWKSURI"},
		"unknown encryption alg":  {func(c *optest.Client) { c.ResponseEncryption.Alg = "RSA1_5" }, `"RSA1_5" is not`},
		"unknown content alg": {func(c *optest.Client) {
			c.ResponseEncryption = optest.Encryption{Alg: "RSA-OAEP", Enc: "A1"}
		}, `"A1" is not supported`},
		"userinfo encrypted but not signed": {func(c *optest.Client) {
			c.JWKS, c.UserInfoEncryption = &jose.JSONWebKeySet{}, rsaOAEP
		}, "needs UserInfoAlg"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := registered(test.edit)
			cfg.Issuer = "http://localhost"
			if _, err := optest.New(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAlgorithmsOfMetadata(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	m := p.ok(p.get(p.op.EndpointURL(optest.MetadataEndpoint)))
	for _, prefix := range []string{"id_token", "userinfo", "authorization"} {
		algs, _ := m[prefix+"_signing_alg_values_supported"].([]any)
		if len(algs) != 10 || !slices.Contains(algs, any("HS256")) || !slices.Contains(algs, any("ES384")) {
			t.Errorf("%s: %v", prefix, algs)
		}
		if m[prefix+"_encryption_alg_values_supported"] == nil || m[prefix+"_encryption_enc_values_supported"] == nil {
			t.Errorf("%s: no encryption: %v", prefix, m)
		}
	}
	objects, _ := m["request_object_signing_alg_values_supported"].([]any)
	if len(objects) != 9 || m["request_parameter_supported"] != true {
		t.Errorf("request objects: %v", m)
	}
}
