package gateway

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
)

// checked is a configuration file for Check to read. Only the issuer is needed.
type checked struct{ issuer, public, secret, provider, store, session, extra string }

// file writes the configuration, a key ring and a front-end into a folder of the test.
func (c checked) file(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	keys, dist := filepath.Join(folder, "keys"), filepath.Join(folder, "dist")
	file := filepath.Join(folder, "cloakroom.yaml")
	text := fmt.Sprintf(`public_url: %s
providers:
  - issuer: %s
    client_id: app
%s%ssession:
  store: %q
  keys_file: %s
%sroutes:
  - path: /
    static: %s
%s`, cmp.Or(c.public, "http://localhost:8080"), c.issuer,
		cmp.Or(c.secret, "    client_secret: s\n"), c.provider,
		cmp.Or(c.store, "memory:"), keys, c.session, dist, c.extra)
	for _, err := range []error{
		os.WriteFile(keys, []byte(session.GenerateKey(time.Now())+"\n"), 0o600),
		os.Mkdir(dist, 0o700),
		os.WriteFile(filepath.Join(dist, "index.html"), []byte("<!doctype html>"), 0o600),
		os.WriteFile(file, []byte(text), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// runCheck returns the lines of Check with the file's folder left out, and its verdict.
func runCheck(t *testing.T, file string, offline bool) (lines []string, ok bool) {
	t.Helper()
	var out strings.Builder
	ok = Check(t.Context(), file, &out, offline)
	text := strings.ReplaceAll(out.String(), filepath.Dir(file)+string(filepath.Separator), "")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n"), ok
}

func startOP(t *testing.T) *optest.Server {
	t.Helper()
	return optest.Start(t, optest.Config{
		Clients: []optest.Client{{ID: "app", Secret: "s", RedirectURIs: []string{"http://localhost:8080/bff/callback"}}},
	})
}

// nobody is a loopback address where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestCheckOfflineAsksNobody(t *testing.T) {
	lines, ok := runCheck(t, checked{issuer: "http://" + nobody(t), store: "redis://" + nobody(t)}.file(t), true)
	wantLines(t, lines,
		"ok   configuration: cloakroom.yaml",
		"ok   session keys: keys",
		"ok   route /: dist",
		"ok   routes: 1",
		"ok   provider default: not asked, because of -offline",
		"ok   store: not asked, because of -offline",
	)
	if !ok {
		t.Error("the verdict is bad")
	}
}

// TestCheckFails: one line fails, it says what to do, and the others are there all the same.
func TestCheckFails(t *testing.T) {
	op := startOP(t)
	lying := startOP(t)
	lying.Fault(optest.Metadata("issuer", "https://another.example.com"))
	keyless := startOP(t)
	keyless.Fault(optest.Status(optest.JWKSEndpoint, http.StatusInternalServerError))
	pushing := startOP(t)
	pushing.Fault(optest.Metadata("require_pushed_authorization_requests", true))
	private := httptest.NewUnstartedServer(http.NotFoundHandler())
	private.Config.ErrorLog = log.New(io.Discard, "", 0)
	private.StartTLS()
	defer private.Close()
	dead := nobody(t)

	const (
		provider = "FAIL provider default: "
		reach    = "; start it, correct the address, or let this machine reach it"
		issuer   = "; correct the issuer, or ask the operator of the OP"
	)
	for name, test := range map[string]struct {
		checked
		want []string // that the line begins with, holds, and ends with
	}{
		"wrong issuer": {checked{issuer: lying.URL}, []string{provider, "another.example.com", lying.URL, "they must be equal"}},
		"no OP there":  {checked{issuer: op.URL + "/realm"}, []string{provider, "/realm/.well-known/openid-configuration", "404", issuer}},
		"dead OP":      {checked{issuer: "http://" + dead}, []string{provider, dead, "refused", reach}},
		"dead JWKS":    {checked{issuer: keyless.URL}, []string{provider, "/jwks", "500", "or ask the operator of the OP"}},
		"PAR needed": {
			checked{issuer: pushing.URL, provider: "    pushed_authorization_requests: off\n"},
			[]string{provider + "pushed authorization requests ", "asked: off ", "offered: required ", "set pushed_authorization_requests to auto"},
		},
		"private CA": {checked{issuer: private.URL}, []string{provider, "unknown authority", "; name the certificate of its CA in ca_file"}},
		"dead Redis": {checked{issuer: op.URL, store: "redis://" + dead}, []string{"FAIL store: redis://" + dead, "refused", reach}},
		"mistyped key": {
			checked{issuer: op.URL, extra: "sesion: {}\n"},
			[]string{"FAIL configuration: cloakroom.yaml:12: sesion: is not known; did you mean session?"},
		},
		"no certificate": {
			checked{issuer: op.URL, public: "https://localhost", extra: "tls: {cert_file: no.crt, key_file: no.key}\n"},
			[]string{"FAIL TLS certificate: open no.crt: no such file or directory; name a certificate in tls.cert_file"},
		},
		"no CA": {
			checked{issuer: op.URL, provider: "    ca_file: no.pem\n"},
			[]string{provider + "ca_file: open no.pem: no such file or directory; name a file with the certificate of the OP's CA"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			lines, ok := runCheck(t, test.file(t), false)
			failed := slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "ok   ") })
			if ok || len(failed) != 1 {
				t.Fatalf("ok is %v, want one line to fail:\n%s", ok, strings.Join(failed, "\n"))
			}
			line := failed[0]
			if !strings.HasPrefix(line, test.want[0]) || len(test.want) > 1 && !strings.HasSuffix(line, test.want[len(test.want)-1]) {
				t.Errorf("got %s\nwant it to begin and end with %q", line, test.want)
			}
			for _, part := range test.want {
				if !strings.Contains(line, part) {
					t.Errorf("got %s\nwant it to say %q", line, part)
				}
			}
		})
	}
}

// TestCheckEmptyFolder finds a front-end that was not built.
func TestCheckEmptyFolder(t *testing.T) {
	file := checked{issuer: startOP(t).URL}.file(t)
	if err := os.Remove(filepath.Join(filepath.Dir(file), "dist", "index.html")); err != nil {
		t.Fatal(err)
	}
	lines, ok := runCheck(t, file, true)
	if want := "FAIL route /: dist is empty; build the front-end first"; ok || !slices.Contains(lines, want) {
		t.Errorf("ok is %v, got:\n%s", ok, strings.Join(lines, "\n"))
	}
}

// TestCheckNoKeyRing says how to make one.
func TestCheckNoKeyRing(t *testing.T) {
	file := checked{issuer: startOP(t).URL}.file(t)
	if err := os.Remove(filepath.Join(filepath.Dir(file), "keys")); err != nil {
		t.Fatal(err)
	}
	lines, ok := runCheck(t, file, true)
	want := "FAIL session keys: session.keys_file: open keys: no such file or directory; " +
		"write the output of `cloakroom keygen session` into that file"
	if ok || !slices.Contains(lines, want) {
		t.Errorf("ok is %v, got:\n%s", ok, strings.Join(lines, "\n"))
	}
}

// TestCheckBadKeyRing shows no key.
func TestCheckBadKeyRing(t *testing.T) {
	file := checked{issuer: startOP(t).URL}.file(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "keys"), []byte("no-key hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines, ok := runCheck(t, file, true)
	text := strings.Join(lines, "\n")
	if ok || !strings.Contains(text, "FAIL session keys: ") || !strings.Contains(text, "line 1") || strings.Contains(text, "hunter2") {
		t.Errorf("ok is %v, got:\n%s", ok, text)
	}
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
