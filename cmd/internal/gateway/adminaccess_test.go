package gateway

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tokenFile is a file that holds a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Who may administer sessions: on loopback anybody who is no browser, elsewhere whoever has the token, and nobody where
// there is none (SES-07).
func TestAdminAccess(t *testing.T) {
	t.Parallel()
	file := tokenFile(t, "the-token\n")
	const (
		ok     = ""
		remote = "192.0.2.1:4000"
		here   = "127.0.0.1:4000"
	)
	for _, test := range []struct {
		listen, token string
		peer, host    string
		headers       string
		way, code     string
	}{
		{"127.0.0.1:9090", "", here, "127.0.0.1:9090", "", "loopback", ok},
		{"[::1]:9090", "", "[::1]:4000", "[::1]:9090", "", "loopback", ok},
		{"localhost:9090", "", here, "LOCALHOST:9090", "", "loopback", ok},
		{"localhost:9090", "", here, "localhost", "", "loopback", ok},
		{"unix:/run/x", "", "@", "anything", "", "unix", ok},
		// A name that is not this machine's: DNS rebinding.
		{"127.0.0.1:9090", "", here, "evil.example:9090", "", "loopback", "misdirected"},
		{"127.0.0.1:9090", "", here, "localhost.evil.example", "", "loopback", "misdirected"},
		{"127.0.0.1:9090", "", here, "", "", "loopback", "misdirected"},
		// Whatever a browser sends with a request that a page makes.
		{"127.0.0.1:9090", "", here, "127.0.0.1:9090", "Origin: https://evil.example", "loopback", "cross_site_request"},
		{"127.0.0.1:9090", "", here, "127.0.0.1:9090", "Origin: null", "loopback", "cross_site_request"},
		{"127.0.0.1:9090", "", here, "127.0.0.1:9090", "Origin: http://127.0.0.1:9090", "loopback", "cross_site_request"},
		{"127.0.0.1:9090", "", here, "127.0.0.1:9090", "Sec-Fetch-Site: cross-site", "loopback", "cross_site_request"},
		{"127.0.0.1:9090", "", here, "127.0.0.1:9090", "Sec-Fetch-Site: none", "loopback", "cross_site_request"},
		{"unix:/run/x", "", "@", "x", "Origin: https://evil.example", "unix", "cross_site_request"},
		{":9090", file, remote, "x", "Origin: x; Authorization: Bearer the-token", "token", "cross_site_request"},
		// Reachable from elsewhere, without a token: there is no such thing.
		{":9090", "", here, "127.0.0.1:9090", "", "none", "not_found"},
		{"0.0.0.0:9090", "", here, "127.0.0.1:9090", "", "none", "not_found"},
		{"10.0.0.1:9090", "", "10.0.0.1:4000", "10.0.0.1:9090", "", "none", "not_found"},
		{"localhost:9090", "", remote, "localhost:9090", "", "loopback", "not_found"},
		{"127.0.0.1:9090", "", "nonsense", "127.0.0.1:9090", "", "loopback", "not_found"},
		// With a token it is needed everywhere.
		{":9090", file, remote, "gateway:9090", "Authorization: Bearer the-token", "token", ok},
		{":9090", file, remote, "gateway:9090", "Authorization: bearer the-token", "token", ok},
		{"127.0.0.1:9090", file, here, "127.0.0.1:9090", "Authorization: Bearer the-token", "token", ok},
		{"unix:/run/x", file, "@", "x", "Authorization: Bearer the-token", "token", ok},
		{"127.0.0.1:9090", file, here, "127.0.0.1:9090", "", "token", "unauthenticated"},
		{"unix:/run/x", file, "@", "x", "", "token", "unauthenticated"},
		{":9090", file, remote, "x", "Authorization: Bearer ", "token", "unauthenticated"},
		{":9090", file, remote, "x", "Authorization: Bearer the-toke", "token", "unauthenticated"},
		{":9090", file, remote, "x", "Authorization: Bearer the-token2", "token", "unauthenticated"},
		{":9090", file, remote, "x", "Authorization: Basic the-token", "token", "unauthenticated"},
		{":9090", file, remote, "x", "Authorization: the-token", "token", "unauthenticated"},
	} {
		access, err := newAdminAccess(Admin{Listen: test.listen, TokenFile: test.token})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/sessions", nil)
		r.RemoteAddr, r.Host = test.peer, test.host
		for header := range strings.SplitSeq(test.headers, "; ") {
			if name, value, ok := strings.Cut(header, ": "); ok {
				r.Header.Add(name, value)
			}
		}
		code := ok
		if err := access.admit(r); err != nil {
			code = string(asProblem(err).Code)
		}
		if access.way != test.way || code != test.code {
			t.Errorf("%+v: by %s, %q", test, access.way, code)
		}
	}
}

// The token is read again at each request; a file that cannot be used lets nobody in, at start and later.
func TestAdminTokenFile(t *testing.T) {
	t.Parallel()
	file := tokenFile(t, "token-one")
	a := newAdminReplica(t, func(_ *replica, c *Config) { c.Admin.TokenFile = file })
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(token string, status int) {
		t.Helper()
		res := a.ask("GET", "/sessions", "Authorization: Bearer "+token)
		if res.StatusCode != status || status != 200 && strings.Contains(res.body, "alice") {
			t.Errorf("with %q: %s %s", token, res.Status, res.body)
		}
		if challenge := res.Header.Get("WWW-Authenticate"); (status == 401) != (challenge == "Bearer") {
			t.Errorf("%s: WWW-Authenticate %q", res.Status, challenge)
		}
	}
	want("token-one", 200)
	want("token-two", 401)
	write("token-two\n")
	want("token-two", 200)
	want("token-one", 401)
	write("\n")
	want("", 500)
	want("token-two", 500)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want("token-two", 500)
	for _, path := range []string{"/healthz", "/metrics"} { // which need none
		if res := a.ask("GET", path); res.StatusCode != 200 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	for _, content := range []string{"token-one", "token-two"} {
		if strings.Contains(a.log.String(), content) {
			t.Errorf("the log has the token %s", content)
		}
	}
	for _, bad := range []string{file, tokenFile(t, ""), tokenFile(t, "\r\n")} {
		config := *a.config
		config.Admin.TokenFile = bad
		if _, err := New(&config, Options{}); err == nil || !strings.Contains(err.Error(), "admin.token_file") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
