package optest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
)

var (
	keyAlgs = []jose.KeyAlgorithm{
		jose.RSA_OAEP, jose.RSA_OAEP_256, jose.ECDH_ES, jose.ECDH_ES_A128KW, jose.ECDH_ES_A192KW, jose.ECDH_ES_A256KW,
	}
	contentAlgs = []jose.ContentEncryption{
		jose.A128CBC_HS256, jose.A192CBC_HS384, jose.A256CBC_HS512, jose.A128GCM, jose.A192GCM, jose.A256GCM,
	}
)

var rsaEncryptionKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// encryptionKeys are two private keys with use=enc, and one for signatures that must not be encrypted to.
func encryptionKeys(t *testing.T) []jose.JSONWebKey {
	t.Helper()
	rsaKey, err := rsaEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	elliptic := ellipticKey(t, "ec")
	elliptic.Use = "enc"
	signing := ellipticKey(t, "sig")
	signing.Use = "sig"
	return []jose.JSONWebKey{signing, elliptic, {Key: rsaKey, KeyID: "rsa", Use: "enc"}}
}

func publicKeys(private []jose.JSONWebKey) *jose.JSONWebKeySet {
	set := &jose.JSONWebKeySet{}
	for _, k := range private {
		set.Keys = append(set.Keys, k.Public())
	}
	return set
}

// decrypted opens a nested JWT with the key that it names.
func decrypted(t *testing.T, token any, private []jose.JSONWebKey) (string, jose.Header) {
	t.Helper()
	text, _ := token.(string)
	jwe, err := jose.ParseEncryptedCompact(text, keyAlgs, contentAlgs)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, k := range private {
		if k.KeyID == jwe.Header.KeyID {
			plain, err := jwe.Decrypt(k)
			if err != nil {
				t.Fatal(err)
			}
			return string(plain), jwe.Header
		}
	}
	t.Fatalf("encrypted to the key %q", jwe.Header.KeyID)
	return "", jose.Header{}
}

// IDT-24, UIN-03, JRM-01: what is registered as encrypted is signed and then encrypted, with every algorithm.
func TestEncryption(t *testing.T) {
	t.Parallel()
	private := encryptionKeys(t)
	for i, alg := range keyAlgs {
		e := optest.Encryption{Alg: string(alg), Enc: string(contentAlgs[i])}
		t.Run(e.Alg+" "+e.Enc, func(t *testing.T) {
			p := newParty(t, registered(func(c *optest.Client) {
				c.JWKS, c.UserInfoAlg = publicKeys(private), "RS256"
				c.IDTokenEncryption, c.UserInfoEncryption, c.ResponseEncryption = e, e, e
			}))
			request := p.authorizationRequest("response_mode", "jwt")
			answer := p.op.Authorize(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + request.Encode())
			check := func(token any) map[string]any {
				nested, header := decrypted(t, token, private)
				if header.Algorithm != e.Alg || header.ExtraHeaders["enc"] != e.Enc || header.ExtraHeaders["cty"] != "JWT" {
					t.Errorf("header %+v", header)
				}
				claims, _ := p.verified(nested)
				return claims
			}
			response := check(answer.URL.Query().Get("response"))
			tokens := p.ok(p.tokenRequest(codeForm(response["code"].(string))))
			if claims := check(tokens["id_token"]); claims["sub"] != "alice" {
				t.Errorf("ID token: %v", claims)
			}
			userInfo := p.userInfo(tokens["access_token"])
			if claims := check(userInfo.body); claims["sub"] != "alice" ||
				userInfo.Header.Get("Content-Type") != "application/jwt" {
				t.Errorf("userinfo: %v %v", userInfo.Header, claims)
			}
			nested, _ := decrypted(t, tokens["id_token"], private)
			a := p.get(p.op.EndpointURL(optest.EndSessionEndpoint) + "?id_token_hint=" + nested)
			if a.StatusCode != http.StatusOK {
				t.Errorf("logout: %s", a.Status)
			}
		})
	}
}

func TestDefaultContentEncryption(t *testing.T) {
	t.Parallel()
	private := encryptionKeys(t)
	p := newParty(t, registered(func(c *optest.Client) {
		c.JWKS, c.IDTokenEncryption = publicKeys(private), optest.Encryption{Alg: "ECDH-ES"}
	}))
	if _, header := decrypted(t, p.login()["id_token"], private); header.ExtraHeaders["enc"] != "A128CBC-HS256" {
		t.Errorf("header %+v", header)
	}
}

// The key is the newest that the client publishes, and one for the algorithm.
func TestEncryptionKeyOfClient(t *testing.T) {
	t.Parallel()
	private := encryptionKeys(t)
	private[1].Algorithm = "ECDH-ES+A256KW"
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(publicKeys(private))
	}))
	defer client.Close()
	p := newParty(t, registered(func(c *optest.Client) {
		c.JWKSURI, c.IDTokenEncryption = client.URL, optest.Encryption{Alg: "ECDH-ES"}
	}))
	token := func() answer { return p.tokenRequest(codeForm(p.callback(p.authorize()).Get("code"))) }
	p.refused(token(), http.StatusInternalServerError, "server_error")
	private[1].Algorithm, private[1].KeyID = "ECDH-ES", "newer"
	if _, header := decrypted(t, p.ok(token())["id_token"], private); header.KeyID != "newer" {
		t.Errorf("header %+v", header)
	}
}
