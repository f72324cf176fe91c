package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// outcome is how a command ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// run runs a command to its end.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(stderr.String(), "DATA RACE") {
		t.Errorf("cloakroom %v: %s", args, stderr.String())
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// TestCheck is `cloakroom check` against a good configuration and four mistakes: each line says ok or FAIL, and what is
// wrong tells the reader what to do.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := newConfig(t, startAPI(t))
	redis := startRedis(t)
	c.useRedis(t, redis)
	op := c.startOP(t, optest.Config{})
	dead := "127.0.0.1:" + strings.Split(loopback(freePort(t)), ":")[1]

	for _, tt := range []struct {
		name   string
		change func(*config)
		online []string // what check says
		fails  string   // the line that fails
		code   int
		off    int // exit code with -offline
	}{
		{
			"good", func(*config) {},
			[]string{"ok   configuration: ", "ok   session keys: ", "ok   provider default: ", "ok   store: "},
			"", 0, 0,
		},
		{
			"wrong issuer", func(c *config) { c.Issuer = strings.Replace(c.Issuer, "127.0.0.1", "localhost", 1) },
			[]string{"issuer", op.Issuer(), "ok   store: "},
			"FAIL provider default: ", 1, 0,
		},
		{
			"dead OP", func(c *config) { c.Issuer = "http://" + dead },
			[]string{dead, "; start it, correct the address", "ok   store: "},
			"FAIL provider default: ", 1, 0,
		},
		{
			"dead Redis", func(c *config) { c.Store = "redis://" + dead + "/0" },
			[]string{"ok   provider default: ", dead, "; start it, correct the address"},
			"FAIL store: ", 1, 0,
		},
		{
			"mistyped key", func(c *config) { c.Session = "idle_timeuot: 5m" },
			[]string{"cloakroom.yaml:", "session.idle_timeuot: ", "idle_timeout"},
			"FAIL configuration: ", 1, 1,
		},
		{
			"wrong key ring", func(c *config) { c.Keys = c.write(t) },
			[]string{"want a key id like"},
			"FAIL session keys: ", 1, 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			changed := *c
			tt.change(&changed)
			file := changed.write(t)
			got := run(t, "check", "-config", file)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d", got.code, tt.code)
			}
			for _, want := range append(tt.online, tt.fails) {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("the output lacks %q:\n%s%s", want, got.stdout, got.stderr)
				}
			}
			failures := 0
			for line := range strings.Lines(got.stdout) {
				if strings.HasPrefix(line, "FAIL ") {
					failures++
				} else if !strings.HasPrefix(line, "ok ") {
					t.Errorf("a line that says neither ok nor FAIL: %s", line)
				}
			}
			if failures != tt.code {
				t.Errorf("%d lines say FAIL, want %d:\n%s", failures, tt.code, got.stdout)
			}
			if strings.Contains(got.stdout+got.stderr, c.Secret) {
				t.Error("the output shows the client secret")
			}
			if offline := run(t, "check", "-offline", "-config", file); offline.code != tt.off {
				t.Errorf("-offline: exit code %d, want %d:\n%s", offline.code, tt.off, offline.stdout)
			}
		})
	}
}

// TestServeRefuses: a bad configuration is refused with everything that is wrong with it, one line each, on stderr.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bad.yaml")
	writeFile(t, file, `public_url: http://app.example.com
listen: 127.0.0.1:0
providers:
  - issuer: http://op.example.com
    client_id: app
    client_auth: private_key_jwt
session:
  store: redis://127.0.0.1
  per_user_limit: -1
routes:
  - {path: /api/, upstream: "http://127.0.0.1:9000", csrf: none, token: user}
  - {path: /ws/, upstream: "http://127.0.0.1:9000", websocket: true, csrf: header}
`)
	got := run(t, "serve", "-config", file)
	if got.code != 1 || got.stdout != "" {
		t.Errorf("exit code %d and stdout %q, want 1 and nothing", got.code, got.stdout)
	}
	lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
	for _, want := range []string{
		":1: public_url: ", ":4: providers[0].issuer: ", ":4: providers[0].client_key_file: ",
		"session.keys_file: ", ":9: session.per_user_limit: ", ":11: routes[0].csrf: ", ":12: routes[1].csrf: ",
	} {
		n := 0
		for _, line := range lines {
			if strings.HasPrefix(line, file+":") && strings.Contains(line, want) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d lines say %q, want 1", n, want)
		}
	}
	if len(lines) != 7 || t.Failed() {
		t.Errorf("want 7 lines, got %d:\n%s", len(lines), got.stderr)
	}
}

// TestServeRefusesMemory: sessions in memory behind a public https origin have to be asked for.
func TestServeRefusesMemory(t *testing.T) {
	t.Parallel()
	c := newConfig(t, startAPI(t))
	c.Origin, c.Issuer = "https://app.example.com", "https://op.example.com"
	got := run(t, "serve", "-config", c.write(t))
	if got.code != 1 || !strings.Contains(got.stderr, "session.store: ") || !strings.Contains(got.stderr, "allow_memory") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	if strings.Contains(got.stderr, c.Secret) {
		t.Error("the output shows the client secret")
	}
}

// TestCommandLine is contract.md "Command line", but for the commands that run on.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	version := run(t, "version")
	if version.code != 0 || !strings.HasPrefix(version.stdout, "cloakroom ") ||
		!strings.Contains(version.stdout, runtime.Version()) {
		t.Errorf("version: %+v", version)
	}
	first, second := run(t, "keygen", "session"), run(t, "keygen", "session")
	if first.code != 0 || first.stdout == second.stdout || strings.Count(first.stdout, "\n") != 1 {
		t.Errorf("keygen session: %+v", first)
	}
	if client := run(t, "keygen", "client"); client.code != 0 || !strings.Contains(client.stdout, `"kty"`) {
		t.Errorf("keygen client: %+v", client)
	}
	for _, args := range [][]string{
		{},
		{"unknown"},
		{"serve"},
		{"serve", "-config"},
		{"serve", "-config", "x", "y"},
		{"check", "-unknown"},
		{"keygen"},
		{"keygen", "door"},
		{"version", "x"},
		{"demo", "x"},
	} {
		if got := run(t, args...); got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, "usage:") {
			t.Errorf("cloakroom %v: %+v, want exit code 2 and the usage", args, got)
		}
	}
	for _, args := range [][]string{
		{"serve", "-config", "/nowhere.yaml"},
		{"check", "-config", "/nowhere.yaml"},
		{"demo", "-listen", "0.0.0.0:0"},
	} {
		if got := run(t, args...); got.code != 1 || strings.Count(got.stdout+got.stderr, "\n") != 1 {
			t.Errorf("cloakroom %v: %+v, want exit code 1 and one line", args, got)
		}
	}
}

// TestKeyRing: what keygen prints is a key ring; sessions survive a restart with it, and one more key in front of it
// (pain 18).
func TestKeyRing(t *testing.T) {
	t.Parallel()
	c := newConfig(t, startAPI(t))
	c.useRedis(t, startRedis(t))
	c.startOP(t, optest.Config{})
	first := serve(t, c)
	a := newAgent(first)
	a.login()
	first.stop(syscall.SIGTERM)

	old, err := os.ReadFile(c.Keys)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, c.Keys, run(t, "keygen", "session").stdout+string(old))
	a = a.via(serve(t, c))
	if session := a.session(); session["authenticated"] != true {
		t.Errorf("after a restart the session says %v", session)
	}
	a.login()
	if session := a.session(); session["authenticated"] != true {
		t.Errorf("with the new key the session says %v", session)
	}
}
