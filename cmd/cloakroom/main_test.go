package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session"
)

// runCommand runs the program with arguments until it ends by itself.
func runCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

func TestUsage(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string // the first line on stderr
	}{
		"nothing":         {nil, "cloakroom: a command is missing"},
		"no such command": {[]string{"session", "list"}, "cloakroom: there is no command session"},
		"no verb":         {[]string{"sessions"}, "cloakroom: sessions needs list or end"},
		"no such verb":    {[]string{"sessions", "kill"}, "cloakroom: sessions needs list or end, not kill"},
		"end of all":      {[]string{"sessions", "end"}, "cloakroom: sessions end needs -id, -sub or -sid"},
		"end of provider": {[]string{"sessions", "end", "-provider", "x"}, "cloakroom: sessions end needs -id, -sub or -sid"},
		"one and all":     {[]string{"sessions", "end", "-id", "x", "-sub", "y"}, "cloakroom: sessions end: -id goes without -sub, -sid and -provider"},
		"end as JSON":     {[]string{"sessions", "end", "-json", "-sub", "y"}, "cloakroom: sessions end: flag provided but not defined: -json"},
		"no file":         {[]string{"serve"}, "cloakroom: serve needs -config FILE"},
		"no file either":  {[]string{"check", "-offline"}, "cloakroom: check needs -config FILE"},
		"no such flag":    {[]string{"serve", "-conf", "x"}, "cloakroom: serve: flag provided but not defined: -conf"},
		"too much":        {[]string{"serve", "-config", "x", "y"}, "cloakroom: serve: what is y?"},
		"no key":          {[]string{"keygen"}, "cloakroom: keygen needs session or client"},
		"no such key":     {[]string{"keygen", "cookie"}, "cloakroom: keygen needs session or client, not cookie"},
		"no such alg":     {[]string{"keygen", "client", "-alg", "none"}, "cloakroom: keygen client: -alg must be one of ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512, ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A256KW, RSA-OAEP, RSA-OAEP-256, not none"},
		"too much again":  {[]string{"keygen", "session", "x"}, "cloakroom: keygen session: what is x?"},
		"demo":            {[]string{"demo", "8080"}, "cloakroom: demo: what is 8080?"},
		"version":         {[]string{"version", "-v"}, "cloakroom: version: flag provided but not defined: -v"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, test.args...)
			if want := test.want + "\n" + usage; code != 2 || stdout != "" || stderr != want {
				t.Errorf("code %d, stdout %q, stderr:\n%s\nwant code 2 and on stderr:\n%s", code, stdout, stderr, want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}, {"serve", "-h"}} {
		if code, stdout, stderr := runCommand(t, args...); code != 0 || stdout != usage || stderr != "" {
			t.Errorf("%v: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

// TestBadConfiguration: serve says it on stderr, a line per error; check on stdout, as its answer. Both end with 1.
func TestBadConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte("public_url: http://app.example.com\nlisten: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := []string{
		file + ":1: public_url: may be http on a loopback host only; write https://app.example.com",
		file + ":1: providers: is missing; write at least one provider with issuer, client_id and client_secret",
		file + ":2: listen: must be host:port, such as 127.0.0.1:8080, or :8080 for every interface",
	}
	code, stdout, stderr := runCommand(t, "serve", "-config", file)
	if want := strings.Join(lines, "\n") + "\n"; code != 1 || stdout != "" || stderr != want {
		t.Errorf("serve: code %d, stdout %q, stderr:\n%s\nwant:\n%s", code, stdout, stderr, want)
	}
	code, stdout, stderr = runCommand(t, "check", "-config", file)
	prefix := "FAIL configuration: "
	if want := prefix + strings.Join(lines, "\n"+prefix) + "\n"; code != 1 || stderr != "" || stdout != want {
		t.Errorf("check: code %d, stderr %q, stdout:\n%s\nwant:\n%s", code, stderr, stdout, want)
	}
}

// TestServe runs the program from a file until it is told to stop, with an OP that is down.
func TestServe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cloakroom.yaml")
	text := `public_url: http://localhost:8080
listen: 127.0.0.1:0
admin: {listen: ""}
providers: [{issuer: "http://127.0.0.1:1", client_id: app, client_secret: s}]
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop() // what a signal does
	var out, errs strings.Builder
	if code := run(ctx, []string{"serve", "-config", file}, &out, &errs); code != 0 || errs.String() != "" {
		t.Errorf("code %d, stderr %s", code, errs.String())
	}
}

func TestKeygenSession(t *testing.T) {
	_, first, _ := runCommand(t, "keygen", "session")
	code, second, stderr := runCommand(t, "keygen", "session")
	if code != 0 || stderr != "" || first == second {
		t.Fatalf("code %d, stderr %q, twice the same: %v", code, stderr, first == second)
	}
	if _, err := session.ParseKeyRing([]byte(second + first)); err != nil {
		t.Errorf("two lines make no key ring: %v", err)
	}
}

func TestVersion(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "v1.2.3", "abc123"
	code, stdout, _ := runCommand(t, "version")
	if code != 0 || !strings.HasPrefix(stdout, "cloakroom v1.2.3, commit abc123, go1.") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("code %d, %q", code, stdout)
	}
	version, commit = "", ""
	if _, stdout, _ := runCommand(t, "version"); !strings.HasPrefix(stdout, "cloakroom ") || strings.Contains(stdout, " , ") {
		t.Errorf("without -ldflags: %q", stdout)
	}
}
