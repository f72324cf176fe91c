package e2e_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// thirdParty is an OP that nobody here wrote, run as a program of the folder op.
type thirdParty struct {
	*process
	issuer string
}

// startThirdParty starts an OP with the environment KEY=VALUE, and makes it the application's.
func (c *config) startThirdParty(t *testing.T, cmd *exec.Cmd, environment ...string) *thirdParty {
	t.Helper()
	cmd.Env = append(os.Environ(), environment...)
	op := &thirdParty{process: start(t, cmd)}
	eventually(t, startTime, "the issuer of "+op.name, func() bool {
		if !op.running() {
			t.Fatalf("%s has stopped; it wrote: %s", op.name, op.stderr)
		}
		for line := range strings.Lines(op.stdout.String()) {
			if strings.HasPrefix(line, "http") && strings.HasSuffix(line, "\n") {
				op.issuer = strings.TrimSpace(line)
			}
		}
		return op.issuer != ""
	})
	c.Issuer = op.issuer
	return op
}

// saw reports whether the OP has written a line that begins with these words, which it does for what it has seen.
func (op *thirdParty) saw(line string) bool {
	return strings.Contains("\n"+op.stdout.String(), "\n"+line)
}

// want fails the test where the OP has not seen something.
func (op *thirdParty) want(lines ...string) {
	op.t.Helper()
	for _, line := range lines {
		if !op.saw(line) {
			op.t.Errorf("%s has not seen %q but:\n%s", op.name, line, op.stdout)
		}
	}
}

// metadata are members of a client's registration.
type metadata map[string]any

// registration is the application's at an OP, as JSON, with further members.
func (c *config) registration(t *testing.T, more metadata) string {
	t.Helper()
	client := metadata{
		"client_id":                 c.ClientID,
		"redirect_uris":             c.client().RedirectURIs,
		"post_logout_redirect_uris": c.client().PostLogoutRedirectURIs,
		"grant_types":               []string{"authorization_code", "refresh_token"},
		"response_types":            []string{"code"},
	}
	if c.Secret != "" {
		client["client_secret"] = c.Secret
		client["token_endpoint_auth_method"] = "client_secret_basic"
	}
	maps.Copy(client, more)
	text, err := json.Marshal(client)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// useKey gives the application a key of its own instead of a secret, as an operator does, and returns the public half.
func (c *config) useKey(t *testing.T) jose.JSONWebKeySet {
	t.Helper()
	pair, err := exec.Command(binary, "keygen", "client").Output()
	if err != nil {
		t.Fatal(err)
	}
	c.Secret, c.KeyFile = "", filepath.Join(t.TempDir(), "client.jwks")
	writeFile(t, c.KeyFile, string(pair))
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(pair, &keys); err != nil {
		t.Fatal(err)
	}
	return publicKeys(keys)
}

// useDecryptionKey adds a key for what the OP encrypts to those of useKey, and returns the public halves of all.
func (c *config) useDecryptionKey(t *testing.T) jose.JSONWebKeySet {
	t.Helper()
	text, err := os.ReadFile(c.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	keys.Keys = append(keys.Keys, jose.JSONWebKey{Key: newKey(t), KeyID: "decrypt", Use: "enc", Algorithm: "ECDH-ES"})
	if text, err = json.Marshal(keys); err != nil {
		t.Fatal(err)
	}
	writeFile(t, c.KeyFile, string(text))
	return publicKeys(keys)
}

func publicKeys(keys jose.JSONWebKeySet) jose.JSONWebKeySet {
	var public jose.JSONWebKeySet
	for _, key := range keys.Keys {
		public.Keys = append(public.Keys, key.Public())
	}
	return public
}

// startPanva starts npm oidc-provider with further members of the registration and further environment (see
// op/panva/server.mjs).
func startPanva(t *testing.T, c *config, client metadata, environment ...string) *thirdParty {
	t.Helper()
	if _, err := os.Stat("op/panva/node_modules/openid-client"); err != nil {
		t.Fatal("npm oidc-provider is not installed; run `make deps`")
	}
	cmd := exec.Command(program(t, "node"), "server.mjs")
	cmd.Dir = "op/panva"
	return c.startThirdParty(t, cmd, append(environment, "CLIENT="+c.registration(t, client))...)
}

func startLuikyv(t *testing.T, c *config, client metadata, environment ...string) *thirdParty {
	t.Helper()
	return c.startThirdParty(t, exec.Command(opProgram(t, "luikyv")),
		append(environment, "CLIENT="+c.registration(t, client))...)
}

func startZitadel(t *testing.T, c *config, client metadata) *thirdParty {
	t.Helper()
	return c.startThirdParty(t, exec.Command(opProgram(t, "zitadel")), "CLIENT="+c.registration(t, client))
}

var opPrograms = sync.OnceValues(func() (folder string, err error) {
	folder = filepath.Dir(binary)
	build := exec.Command("go", "build", "-o", folder, "./op/luikyv", "./op/zitadel")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	return folder, build.Run()
})

// opProgram builds the OPs that are written in Go, once.
func opProgram(t *testing.T, name string) string {
	t.Helper()
	folder, err := opPrograms()
	if err != nil {
		t.Fatalf("the OPs cannot be built: %v", err)
	}
	return filepath.Join(folder, name)
}
