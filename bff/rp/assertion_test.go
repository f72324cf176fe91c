package rp_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

// readAssertion returns header and claims of the client assertion of a request. That its signature is good is the OP's
// to say.
func readAssertion(t *testing.T, r optest.Request) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(r.Form.Get("client_assertion"), ".")
	if len(parts) != 3 {
		t.Fatalf("%s: client_assertion is no JWS", r.Endpoint)
	}
	for i, v := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, v); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// wantAssertion checks header and claims of an assertion and collects its jti.
func (f *fixture) wantAssertion(r optest.Request, audience string, ids map[string]bool) {
	f.Helper()
	header, claims := readAssertion(f.T, r)
	id, _ := claims["jti"].(string)
	if ids[id] || len(id) < 26 { // 26 characters of base32 are 130 bits
		f.Errorf("CA-04: jti %q is not new or too short", id)
	}
	ids[id] = true
	issued, _ := claims["iat"].(float64)
	if age := r.Time.Sub(time.Unix(int64(issued), 0)); age < 0 || age > 10*time.Second {
		f.Errorf("CA-04: iat is %v before the request", age)
	}
	want := map[string]any{
		"iss": clientID, "sub": clientID, "jti": id, "iat": issued, "exp": issued + 60, // CA-04
		"aud": audience, // CA-05: a string, not an array
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		f.Errorf("%s: claims:\n%s", r.Endpoint, diff)
	}
	wantTyp := "client-authentication+jwt" // CA-07
	if audience != f.op.Issuer() {
		wantTyp = "JWT"
	}
	if header["typ"] != wantTyp {
		f.Errorf("typ is %v, want %s", header["typ"], wantTyp)
	}
	if keys := f.client.PublicKeys().Keys; len(keys) > 0 && (header["kid"] != keys[0].KeyID || header["alg"] != keys[0].Algorithm) {
		f.Errorf("CA-08: header %v, want kid and alg of the first key", header)
	}
}

// TestLegacyAudience is CA-06: by option alone, and at every endpoint, an OP of before RFC 7523bis gets what it knows.
func TestLegacyAudience(t *testing.T) {
	t.Parallel()
	f := startAs(t, rp.PrivateKeyJWT, func(c *rp.Config, r *optest.Client) { c.LegacyAudience, r.LegacyAudience = true, true })
	f.login()
	if err := f.client.Revoke(t.Context(), secret.New("t"), "refresh_token"); err != nil {
		t.Error(err)
	}
	ids := map[string]bool{}
	for _, e := range []optest.Endpoint{optest.PushedEndpoint, optest.TokenEndpoint, optest.RevocationEndpoint} {
		f.wantCount(e, 1)
		for _, r := range f.op.Requests(e) {
			f.wantAssertion(r, f.op.EndpointURL(optest.TokenEndpoint), ids)
		}
	}
}

// TestAssertionIsNotReplayed is CA-04: the OP takes each assertion once, and one that it took before its answer was
// lost is not sent again.
func TestAssertionIsNotReplayed(t *testing.T) {
	t.Parallel()
	for _, method := range []rp.ClientAuth{rp.ClientSecretJWT, rp.PrivateKeyJWT} {
		f := startAs(t, method)
		f.op.Fault(optest.Reply("answer lost", optest.RevocationEndpoint, func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
			honest.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		if err := f.client.Revoke(t.Context(), secret.New("t"), "refresh_token"); err == nil {
			t.Errorf("%s: no error", method)
		}
		f.op.ClearFaults()
		if err := f.client.Revoke(t.Context(), secret.New("t"), "refresh_token"); err != nil {
			t.Errorf("%s: the second time: %v", method, err)
		}
		f.wantCount(optest.RevocationEndpoint, 2)
	}
}

// TestAssertionAlgorithms is CA-08: the OP verifies what keys of each kind sign.
func TestAssertionAlgorithms(t *testing.T) {
	for _, alg := range []string{"ES256", "PS256", "RS256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, alg)
			f := startAs(t, rp.PrivateKeyJWT, func(c *rp.Config, r *optest.Client) {
				c.Keys = clientKeysOf(t, key)
				r.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}
			})
			if err := f.client.Revoke(t.Context(), secret.New("t"), "refresh_token"); err != nil {
				t.Error(err)
			}
			header, _ := readAssertion(t, f.op.Requests(optest.RevocationEndpoint)[0])
			if header["alg"] != alg || header["kid"] != key.KeyID {
				t.Errorf("header %v", header)
			}
		})
	}
}

// TestKeyRotationUnderLoad is CA-09: the file goes from an old key to a new one while requests are made, and the OP,
// which fetches our published keys, refuses none of them.
func TestKeyRotationUnderLoad(t *testing.T) {
	t.Parallel()
	before, after := keyFor(t, "ES256"), keyFor(t, "EdDSA")
	file := filepath.Join(t.TempDir(), "client.jwks")
	write := func(keys ...jose.JSONWebKey) {
		data, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		if err == nil {
			err = os.WriteFile(file+".new", data, 0o600)
		}
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(before)
	var client atomic.Pointer[rp.Client]
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(client.Load().PublicKeys())
	}))
	t.Cleanup(published.Close)
	f := startAs(t, rp.PrivateKeyJWT, func(c *rp.Config, r *optest.Client) {
		var err error
		if c.Keys, err = rp.OpenClientKeys(file, c.Logger); err != nil {
			t.Fatal(err)
		}
		r.JWKS, r.JWKSURI = nil, published.URL
	})
	client.Store(f.client)

	stop, results := make(chan struct{}), make(chan error)
	for range 4 {
		go func() {
			for {
				err := f.client.Revoke(t.Context(), secret.New("t"), "refresh_token")
				select {
				case results <- err:
				case <-stop:
					return
				}
			}
		}()
	}
	defer close(stop)
	for _, keys := range [][]jose.JSONWebKey{{before}, {before, after}, {after, before}, {after}} {
		write(keys...)
		for range 20 {
			if err := <-results; err != nil {
				t.Errorf("with %d keys: %v", len(keys), err)
			}
		}
	}
	seen := map[any]bool{}
	for _, r := range f.op.Requests(optest.RevocationEndpoint) {
		header, _ := readAssertion(t, r)
		seen[header["kid"]] = true
	}
	if !seen[before.KeyID] || !seen[after.KeyID] || len(seen) != 2 {
		t.Errorf("signed with %v, want both keys", seen)
	}
}
