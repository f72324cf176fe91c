package optest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// Keys are fetched once, and again when a kid is unknown.
func TestJWKSURI(t *testing.T) {
	t.Parallel()
	var set atomic.Pointer[jose.JSONWebKeySet]
	var fetched atomic.Int32
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		json.NewEncoder(w).Encode(set.Load())
	}))
	defer client.Close()
	first, second := ellipticKey(t, "key-1"), ellipticKey(t, "key-2")
	p := newParty(t, registered(func(c *optest.Client) { c.JWKSURI = client.URL }))
	for i, step := range []struct {
		key     jose.JSONWebKey
		fetched int32
	}{{first, 1}, {first, 1}, {second, 2}, {second, 2}} {
		set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{step.key.Public()}})
		claims := p.requestClaims(map[string]any{"jti": nil})
		p.callback(p.authorizeObject(signature{jose.ES256, step.key}.sign(t, requestObjectType, claims)))
		if got := fetched.Load(); got != step.fetched {
			t.Errorf("step %d: fetched %d times, want %d", i, got, step.fetched)
		}
	}
}

func TestBadJWKSURI(t *testing.T) {
	t.Parallel()
	key := ellipticKey(t, "key-1")
	good, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"private keys": func(w http.ResponseWriter, _ *http.Request) { w.Write(private) },
		"HTML":         func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<!doctype html>")) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(strings.Repeat(" ", 1<<20) + string(good)))
		},
		"not found": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			w.Write(good)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
				return
			}
			w.Write(good)
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := httptest.NewServer(answer)
			defer client.Close()
			p := newParty(t, registered(func(c *optest.Client) { c.JWKSURI = client.URL }))
			a := p.authorizeObject(signature{jose.ES256, key}.sign(t, requestObjectType, p.requestClaims(nil)))
			if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "jwks_uri") {
				t.Errorf("got %s %s", a.Status, a.body)
			}
		})
	}
}
