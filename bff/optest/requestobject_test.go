package optest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
)

const requestObjectType = "oauth-authz-req+jwt"

// requestClaims are those of a good request object with the parameters of authorizationRequest.
func (p *party) requestClaims(edit map[string]any) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{"iss": "app", "aud": p.op.Issuer(), "exp": now + 60, "nbf": now - 1, "jti": "jti-1"}
	for name, values := range p.authorizationRequest() {
		claims[name] = values[0]
	}
	maps.Copy(claims, edit)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// ellipticKey makes a key that can sign ES256, or be encrypted to.
func ellipticKey(t *testing.T, kid string) jose.JSONWebKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: k, KeyID: kid}
}

func objectParty(t *testing.T, s signature, edit func(*optest.Client)) *party {
	t.Helper()
	return newParty(t, registered(func(c *optest.Client) {
		c.JWKS = publicSet(map[string]signature{"": s})
		if edit != nil {
			edit(c)
		}
	}))
}

func (p *party) authorizeObject(object string, beside ...string) answer {
	p.Helper()
	query := url.Values{"client_id": {"app"}, "request": {object}}
	for i := 0; i < len(beside); i += 2 {
		query.Set(beside[i], beside[i+1])
	}
	return p.get(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + query.Encode())
}

// JAR-01: the parameters are those of the object, whatever stands beside it.
func TestRequestObject(t *testing.T) {
	t.Parallel()
	for name, s := range clientSignatures(t) {
		t.Run(name, func(t *testing.T) {
			p := objectParty(t, s, nil)
			object := s.sign(t, requestObjectType, p.requestClaims(map[string]any{
				"max_age": 60, "aud": []string{"https://other.invalid", p.op.Issuer()},
				"resource":              []string{"https://a.example", "https://b.example"},
				"authorization_details": []any{map[string]any{"type": "payment"}},
			}))
			got := p.callback(p.authorizeObject(object, "state", "outside", "redirect_uri", byeURL))
			if got.Get("state") != "state-1" {
				t.Errorf("callback parameters: %v", got)
			}
			response := p.ok(p.tokenRequest(codeForm(got.Get("code"))))
			claims, _ := p.verified(response["access_token"])
			if text, _ := json.Marshal(claims["aud"]); string(text) != `["https://a.example","https://b.example"]` {
				t.Errorf("access token: %v", claims)
			}
			if text, _ := json.Marshal(response["authorization_details"]); string(text) != `[{"type":"payment"}]` {
				t.Errorf("token response: %v", response)
			}
		})
	}
}

// Each line of the table is one check of the object (JAR-01, JAR-02).
func TestRefusedRequestObjects(t *testing.T) {
	t.Parallel()
	s := signature{jose.ES256, ellipticKey(t, "key-1")}
	p := objectParty(t, s, nil)
	hour := time.Now().Add(time.Hour).Unix()
	for name, claims := range map[string]map[string]any{
		"iss":                {"iss": "other"},
		"no iss":             {"iss": nil},
		"aud":                {"aud": p.op.EndpointURL(optest.AuthorizationEndpoint)},
		"no aud":             {"aud": nil},
		"exp":                {"exp": hour - 7200},
		"no exp":             {"exp": nil},
		"nbf":                {"nbf": hour},
		"client_id":          {"client_id": "post"},
		"no client_id":       {"client_id": nil},
		"sub":                {"sub": "app"},
		"request inside":     {"request": "a"},
		"request_uri inside": {"request_uri": "urn:a"},
		"redirect_uri":       {"redirect_uri": byeURL},
		"boolean":            {"prompt": true},
		"null":               {"prompt": json.RawMessage("null")},
		"list":               {"resource": []any{1}},
	} {
		t.Run(name, func(t *testing.T) {
			claims["jti"] = name
			a := p.authorizeObject(s.sign(t, requestObjectType, p.requestClaims(claims)))
			if name == "list" { // refused as a resource, and told to the client
				if got := p.callback(a); got.Get("error") != "invalid_target" {
					t.Errorf("callback parameters: %v", got)
				}
				return
			}
			if a.StatusCode != http.StatusBadRequest {
				t.Errorf("got %s %s", a.Status, a.Header.Get("Location"))
			}
		})
	}
	honest := p.requestClaims(map[string]any{"jti": nil})
	stranger, unknown := ellipticKey(t, "key-1"), ellipticKey(t, "key-2")
	for name, object := range map[string]string{
		"type JWT":         s.sign(t, "JWT", honest),
		"no type":          s.sign(t, "", honest),
		"another key":      signature{jose.ES256, stranger}.sign(t, requestObjectType, honest),
		"unknown kid":      signature{jose.ES256, unknown}.sign(t, requestObjectType, honest),
		"HS256":            signature{jose.HS256, []byte(longSecret)}.sign(t, requestObjectType, honest),
		"no JWT":           "a.b.c",
		"nothing":          "",
		"without keys too": s.sign(t, requestObjectType, honest) + "a",
	} {
		t.Run(name, func(t *testing.T) {
			if a := p.authorizeObject(object); a.StatusCode != http.StatusBadRequest {
				t.Errorf("got %s %s", a.Status, a.Header.Get("Location"))
			}
		})
	}
	if got := p.callback(p.authorizeObject(s.sign(t, "application/OAuth-Authz-Req+JWT", honest))); !got.Has("code") {
		t.Errorf("the honest object is refused: %v", got)
	}
}

func TestRequestObjectIsUsedOnce(t *testing.T) {
	t.Parallel()
	s := signature{jose.ES256, ellipticKey(t, "key-1")}
	p := objectParty(t, s, nil)
	object := s.sign(t, requestObjectType, p.requestClaims(nil))
	p.callback(p.authorizeObject(object))
	if a := p.authorizeObject(object); a.StatusCode != http.StatusBadRequest {
		t.Errorf("the second time: %s", a.Status)
	}
}

// A key for encryption or for another algorithm signs nothing (DIS-14 for the client's keys).
func TestRequestObjectKeyUse(t *testing.T) {
	t.Parallel()
	s := signature{jose.ES256, ellipticKey(t, "key-1")}
	for name, edit := range map[string]func(*jose.JSONWebKey){
		"use": func(k *jose.JSONWebKey) { k.Use = "enc" },
		"alg": func(k *jose.JSONWebKey) { k.Algorithm = "ES384" },
	} {
		t.Run(name, func(t *testing.T) {
			p := objectParty(t, s, func(c *optest.Client) { edit(&c.JWKS.Keys[0]) })
			a := p.authorizeObject(s.sign(t, requestObjectType, p.requestClaims(nil)))
			if a.StatusCode != http.StatusBadRequest {
				t.Errorf("got %s", a.Status)
			}
		})
	}
}

// A client that is registered with an algorithm must use request objects, and sign them with it (RFC 9101, 10.5).
func TestRegisteredRequestObjectAlg(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	p := objectParty(t, signatures["PS256"], func(c *optest.Client) { c.RequestObjectAlg = "PS256" })
	if a := p.authorize(); a.StatusCode != http.StatusBadRequest {
		t.Errorf("without object: %s", a.Status)
	}
	p.refused(p.push(p.authorizationRequest()), http.StatusBadRequest, "invalid_request")
	object := signatures["RS256"].sign(t, requestObjectType, p.requestClaims(nil))
	if a := p.authorizeObject(object); a.StatusCode != http.StatusBadRequest {
		t.Errorf("another algorithm: %s", a.Status)
	}
	p.callback(p.authorizeObject(signatures["PS256"].sign(t, requestObjectType, p.requestClaims(nil))))
}

// JAR-03: a pushed request object comes alone.
func TestPushedRequestObject(t *testing.T) {
	t.Parallel()
	s := signature{jose.ES256, ellipticKey(t, "key-1")}
	p := objectParty(t, s, nil)
	object := func(jti string) url.Values {
		return url.Values{"request": {s.sign(t, requestObjectType, p.requestClaims(map[string]any{"jti": jti}))}}
	}
	got := p.callback(p.authorizePushed("app", p.pushed(object("1"))))
	if got.Get("state") != "state-1" || !got.Has("code") {
		t.Errorf("callback parameters: %v", got)
	}
	for name := range p.authorizationRequest("client_id", "") {
		form := object("2")
		form.Set(name, p.authorizationRequest().Get(name))
		p.refused(p.push(form), http.StatusBadRequest, "invalid_request")
	}
	form := object("3")
	form.Set("request", form.Get("request")+"a")
	p.refused(p.push(form), http.StatusBadRequest, "invalid_request_object")
	withID := object("4")
	withID.Set("client_id", "app")
	p.pushed(withID)
}

// Whatever a browser sends as request, the answer is a page, and the OP goes on.
func FuzzRequestObject(f *testing.F) {
	f.Add("e30.e30.e30")
	f.Add(strings.Repeat(".", 100))
	f.Add(`{"payload":"e30","signatures":[]}`)
	op, err := optest.New(optest.Config{Issuer: "http://localhost", Clients: []optest.Client{{
		ID: "app", Secret: "s", RedirectURIs: []string{callbackURL}, JWKS: &jose.JSONWebKeySet{},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, object string) {
		query := url.Values{"client_id": {"app"}, "request": {object}}
		w := httptest.NewRecorder()
		op.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/authorize?"+query.Encode(), nil))
		if w.Code != http.StatusBadRequest {
			t.Errorf("got %d", w.Code)
		}
	})
}
