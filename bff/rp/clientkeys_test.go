package rp

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func keysOf(t testing.TB, keys ...jose.JSONWebKey) *ClientKeys {
	t.Helper()
	k, err := NewClientKeys(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSigner: the newest key signs unless an algorithm is asked for; a key for encryption never does, and an RSA key
// signs with RS256 only when its alg says so (CA-08).
func TestSigner(t *testing.T) {
	t.Parallel()
	k := testKeys()
	keys := keysOf(t,
		jose.JSONWebKey{Key: k.p384, Use: "enc", KeyID: "enc"},
		jose.JSONWebKey{Key: k.rsa, KeyID: "new"},
		jose.JSONWebKey{Key: k.p256, KeyID: "old"},
	)
	for alg, want := range map[string]string{
		"": "new", "PS256": "new", "ES256": "old", "RS256": "", "ES384": "", "EdDSA": "", "HS256": "", "none": "",
	} {
		key, err := keys.signer(alg)
		if key.KeyID != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", alg, key.KeyID, err, want)
		}
	}
	if got := keys.decrypters(); len(got) != 1 || got[0].KeyID != "enc" {
		t.Errorf("decrypters %v, want the one with use enc", got)
	}
	if _, err := (*ClientKeys)(nil).signer(""); err == nil {
		t.Error("a key out of nothing")
	}
}

func TestNewClientKeysRefuses(t *testing.T) {
	t.Parallel()
	k := testKeys()
	for name, key := range map[string]any{
		"nil": nil, "public": &k.rsa.PublicKey, "symmetric": []byte("01234567890123456789012345678901"), "weak": k.weakRSA,
		"halves of two": ed25519.PrivateKey(append(bytes.Repeat([]byte{7}, 32), k.ed.Public().(ed25519.PublicKey)...)),
	} {
		if _, err := NewClientKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key}}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestPublicKeys is CA-09: all keys are published, with use, alg and kid, and nothing private of them (CA-14).
func TestPublicKeys(t *testing.T) {
	t.Parallel()
	k := testKeys()
	client := Client{cfg: Config{Keys: keysOf(t,
		jose.JSONWebKey{Key: k.rsa}, jose.JSONWebKey{Key: k.p256}, jose.JSONWebKey{Key: k.ed},
		jose.JSONWebKey{Key: k.p384, Use: "enc", Algorithm: "ECDH-ES+A256KW"},
	)}}
	set := client.PublicKeys()
	if len(set.Keys) != 4 {
		t.Fatalf("%d keys, want 4", len(set.Keys))
	}
	for i, key := range set.Keys {
		if !key.IsPublic() || !key.Valid() || key.Use == "" || key.Algorithm == "" || key.KeyID == "" {
			t.Errorf("key %d: %T, use %q, alg %q, kid %q", i+1, key.Key, key.Use, key.Algorithm, key.KeyID)
		}
		thumbprint, err := key.Thumbprint(crypto.SHA256)
		if err != nil || len(thumbprint) == 0 {
			t.Errorf("key %d: %v", i+1, err)
		}
	}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	var published struct{ Keys []map[string]any }
	if err := json.Unmarshal(data, &published); err != nil {
		t.Fatal(err)
	}
	for _, key := range published.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
			if _, found := key[private]; found {
				t.Errorf("%v is published", private)
			}
		}
	}
	if data, err = json.Marshal(new(Client).PublicKeys()); err != nil || string(data) != `{"keys":[]}` {
		t.Errorf("without keys: %s, %v", data, err)
	}
}

// TestClientKeysNeverPrint is CA-14: no formatter shows a key, not even of the configuration that holds it.
func TestClientKeysNeverPrint(t *testing.T) {
	t.Parallel()
	seed := bytes.Repeat([]byte{219}, 32)
	keys := keysOf(t, jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(seed)})
	var said bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&said, verb+"\n", keys)
		fmt.Fprintf(&said, verb+"\n", Config{Keys: keys})
	}
	slog.New(slog.NewTextHandler(&said, nil)).Info("", "keys", keys)
	slog.New(slog.NewJSONHandler(&said, nil)).Info("", "keys", keys)
	for _, octets := range []string{"219 219", "dbdb", "0xdb, 0xdb", "29vb"} {
		if strings.Contains(said.String(), octets) {
			t.Errorf("the key was printed as %q:\n%s", octets, &said)
		}
	}
}

// TestClientKeysAreReadAgain is CA-09: the file is rotated without a restart, and what cannot be used in it changes
// nothing and is said once.
func TestClientKeysAreReadAgain(t *testing.T) {
	t.Parallel()
	k := testKeys()
	file := filepath.Join(t.TempDir(), "client.jwks")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old, next := jwkOf(t, k.p256, map[string]any{"kid": "old"}), jwkOf(t, k.ed, map[string]any{"kid": "new"})
	write(old)
	var log bytes.Buffer
	keys, err := OpenClientKeys(file, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	want := func(signer string, published int) {
		t.Helper()
		key, err := keys.signer("")
		if err != nil || key.KeyID != signer || len(keys.public().Keys) != published {
			t.Errorf("%s signs and %d are published, %v; want %s and %d", key.KeyID, len(keys.public().Keys), err, signer, published)
		}
	}
	want("old", 1)
	write(fmt.Sprintf(`{"keys":[%s,%s]}`, old, next))
	want("old", 2)

	// The same size, and a time of its own, since this test is faster than some clocks.
	write(fmt.Sprintf(`{"keys":[%s,%s]}`, next, old))
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	want("new", 2)

	for _, bad := range []string{`{"keys":[`, old[:20], ""} {
		log.Reset()
		write(bad)
		want("new", 2)
		want("new", 2)
		if n := strings.Count(log.String(), "cannot be read again"); n > 1 {
			t.Errorf("%q: said %d times", bad, n)
		}
	}
	log.Reset()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want("new", 2)
	want("new", 2)
	if n := strings.Count(log.String(), "cannot be read again"); n != 1 {
		t.Errorf("a missing file was logged %d times, want once:\n%s", n, &log)
	}

	// As a secret volume does it: another file under the same name.
	log.Reset()
	if err := os.WriteFile(file+".next", []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".next", file); err != nil {
		t.Fatal(err)
	}
	want("new", 1)
	want("new", 1)
	if n := strings.Count(log.String(), "were read again"); n != 1 {
		t.Errorf("the rotation was logged %d times, want once:\n%s", n, &log)
	}
}

func TestOpenClientKeysRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "client.jwks")
	if _, err := OpenClientKeys(file, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenClientKeys(file, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("bad file: %v", err)
	}
}
