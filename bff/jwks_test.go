package bff

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/rp"
)

// CA-09: what a provider fetches from our jwks_uri: the public keys of all clients, each once, and nothing private.
func TestJWKS(t *testing.T) {
	t.Parallel()
	open := func(kids ...string) *rp.ClientKeys {
		var set jose.JSONWebKeySet
		for _, kid := range kids {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: "ES256", Use: "sig"})
		}
		text, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := rp.OpenClientKeys(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	shared := open("a", "b")
	for name, test := range map[string]struct {
		one, two *rp.ClientKeys
		legacy   bool // the second
		query    string
		want     []string
	}{
		"none":                  {nil, nil, false, "", nil},
		"of one":                {nil, shared, false, "", []string{"a", "b"}},
		"the same file":         {shared, shared, false, "", []string{"a", "b"}},
		"of both":               {shared, open("c"), false, "", []string{"a", "b", "c"}},
		"one kid twice":         {shared, open("b"), false, "", []string{"a", "b", "b"}},
		"of the named":          {shared, open("c"), false, "?provider=two", []string{"c"}},
		"CA-06":                 {shared, open("c"), true, "", []string{"a", "b"}},
		"CA-06 of its provider": {shared, open("c"), true, "?provider=two", []string{"c"}},
	} {
		a := newApp(t, twoProviders, func(o *setup) {
			for i, keys := range []*rp.ClientKeys{test.one, test.two} {
				o.RP[i].Keys = keys
			}
			if test.legacy {
				o.RP[1].ClientAuth, o.RP[1].LegacyAudience = rp.PrivateKeyJWT, true
			}
		})
		res := a.browser().get("/bff/jwks.json" + test.query)
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/jwk-set+json" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v", name, res.Status, res.Header)
		}
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal([]byte(res.body), &set); err != nil || set.Keys == nil {
			t.Fatalf("%s: %v: %s", name, err, res.body)
		}
		var kids []string
		for _, key := range set.Keys {
			kids = append(kids, key["kid"].(string))
			for member := range key {
				if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, member) {
					t.Errorf("%s: the private member %s is published", name, member)
				}
			}
		}
		if !slices.Equal(kids, test.want) {
			t.Errorf("%s: %q, want %q", name, kids, test.want)
		}
	}
}

func TestJWKSOfNobody(t *testing.T) {
	t.Parallel()
	if res := newApp(t).browser().get("/bff/jwks.json?provider=nobody"); res.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s", res.Status, res.body)
	}
}
