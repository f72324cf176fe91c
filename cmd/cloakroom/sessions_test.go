package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSessions asks a gateway that runs, and one that does not.
func TestSessions(t *testing.T) {
	folder := t.TempDir()
	socket := filepath.Join(folder, "admin.sock")
	config := filepath.Join(folder, "cloakroom.yaml")
	token := filepath.Join(folder, "token")
	for file, text := range map[string]string{token: "the-token", config: `public_url: http://localhost:8080
listen: 127.0.0.1:0
admin: {listen: "unix:` + socket + `", token_file: ` + token + `}
providers: [{issuer: "http://127.0.0.1:1", client_id: app, client_secret: s}]
`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(args ...string) (code int, stdout, stderr string) {
		return runCommand(t, append([]string{"sessions"}, args...)...)
	}
	if code, stdout, stderr := ask("list", "-admin", "unix:"+socket); code != 1 || stdout != "" ||
		!strings.HasPrefix(stderr, "cloakroom: the admin listener at unix:") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("nobody there: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "-config", config}, new(strings.Builder), new(strings.Builder))
	}()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not start")
		}
		time.Sleep(5 * time.Millisecond) // polling, with the deadline above
	}
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"list", "-token-file", token}, 0, "", ""},
		{[]string{"list", "-token-file", token, "-sub", "alice", "-json"}, 0, "", ""},
		{[]string{"end", "-token-file", token, "-sub", "alice"}, 0, "0 ended\n", ""},
		{[]string{"end", "-token-file", token, "-id", "x"}, 1, "", "cloakroom: there is no such session\n"},
		{[]string{"list"}, 1, "", "cloakroom: the gateway wants the token of its admin.token_file; name that file with -token-file\n"},
		{[]string{"list", "-token-file", folder}, 1, "", "cloakroom: the token file: read " + folder + ": is a directory\n"},
	} {
		code, stdout, stderr := ask(append(test.args, "-admin", "unix:"+socket)...)
		if code != test.code || stdout != test.stdout || stderr != test.stderr {
			t.Errorf("%v: code %d, stdout %q, stderr %q", test.args, code, stdout, stderr)
		}
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("serve ended with %d", code)
	}
}
