package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/rp"
)

// TestKeygenClient: what is printed is a file of client keys, for each algorithm.
func TestKeygenClient(t *testing.T) {
	for _, tt := range []struct {
		args     []string
		alg, use string
	}{
		{nil, "ES256", "sig"},
		{[]string{"-alg", "ES256"}, "ES256", "sig"},
		{[]string{"-alg", "ES384"}, "ES384", "sig"},
		{[]string{"-alg", "PS256"}, "PS256", "sig"},
		{[]string{"-alg", "RS256"}, "RS256", "sig"},
		{[]string{"-alg", "EdDSA"}, "EdDSA", "sig"},
		{[]string{"-alg", "ECDH-ES+A256KW"}, "ECDH-ES+A256KW", "enc"},
		{[]string{"-alg", "RSA-OAEP-256"}, "RSA-OAEP-256", "enc"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := runCommand(t, append([]string{"keygen", "client"}, tt.args...)...)
			if code != 0 || stderr != "" {
				t.Fatalf("code %d, stderr %q", code, stderr)
			}
			var set jose.JSONWebKeySet
			if err := json.Unmarshal([]byte(stdout), &set); err != nil || len(set.Keys) != 1 {
				t.Fatalf("%d keys, %v", len(set.Keys), err)
			}
			key := set.Keys[0]
			if !key.Valid() || key.IsPublic() || key.Algorithm != tt.alg || key.Use != tt.use || key.KeyID == "" {
				t.Errorf("valid %v, public %v, alg %s, use %s, kid %q", key.Valid(), key.IsPublic(), key.Algorithm, key.Use, key.KeyID)
			}
			if public := key.Public(); !public.Valid() || public.KeyID != key.KeyID {
				t.Error("no public key comes out of it")
			}
			file := filepath.Join(t.TempDir(), "client.jwks")
			if err := os.WriteFile(file, []byte(stdout), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := rp.OpenClientKeys(file, slog.New(slog.DiscardHandler)); err != nil {
				t.Errorf("the gateway cannot read it: %v", err)
			}
		})
	}
}
