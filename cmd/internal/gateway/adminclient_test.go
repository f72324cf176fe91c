package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// adminCommand is what `cloakroom sessions` does with an address and a token file.
func adminCommand(t *testing.T, address, tokenFile string, do func(*AdminClient) error) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	client, err := NewAdminClient(&b, address, tokenFile)
	if err == nil {
		err = do(client)
		client.http.CloseIdleConnections()
	}
	return b.String(), err
}

func listing(t *testing.T, s Selection, asJSON bool) func(*AdminClient) error {
	return func(c *AdminClient) error { return c.List(t.Context(), s, asJSON) }
}

func ending(t *testing.T, s Selection) func(*AdminClient) error {
	return func(c *AdminClient) error { return c.End(t.Context(), s) }
}

// The command against the listener of a gateway that runs: by address, with a token, and on a socket.
func TestAdminClient(t *testing.T) {
	t.Parallel()
	token := tokenFile(t, "the-token\n")
	socket := filepath.Join(t.TempDir(), "s")
	for name, with := range map[string]struct{ listen, token string }{
		"loopback":           {"127.0.0.1:0", ""},
		"token":              {"127.0.0.1:0", token},
		"socket":             {"unix:" + socket, ""},
		"socket with token":  {"unix:" + socket + "t", token},
		"every interface":    {":0", token},
		"every interface v6": {"[::]:0", token},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAdminReplica(t, func(_ *replica, c *Config) { c.Admin = Admin{with.listen, with.token} })
			address := a.adminAddress()

			out, err := adminCommand(t, address, with.token, listing(t, Selection{Subject: "alice"}, false))
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if err != nil || len(lines) != 5 || !strings.HasPrefix(lines[0], "ID ") || !strings.Contains(lines[0], "USER AGENT") {
				t.Errorf("%v\n%s", err, out)
			}
			for _, line := range lines[1:] {
				if !strings.Contains(line, "alice") || !strings.HasSuffix(line, "a browser") {
					t.Errorf("a line is %q", line)
				}
			}
			id := string(a.ids["second alice 1"])
			out, err = adminCommand(t, address, with.token, listing(t, Selection{ID: id}, true))
			var one adminSession
			decode(t, out, &one)
			if err != nil || one.Subject != "alice" || one.Provider != "second" || string(one.ID) != id {
				t.Errorf("%v %s", err, out)
			}
			for i, selection := range []Selection{{ID: id}, {Subject: "alice"}, {SID: "3"}} {
				out, err = adminCommand(t, address, with.token, ending(t, selection))
				if want := []string{"1 ended\n", "3 ended\n", "1 ended\n"}[i]; err != nil || out != want {
					t.Errorf("%+v: %v %q", selection, err, out)
				}
			}
			if left := a.left(); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			out, err = adminCommand(t, address, with.token, listing(t, Selection{}, false))
			if err != nil || out != "" {
				t.Errorf("of none: %v %q", err, out)
			}
			_, err = adminCommand(t, address, with.token, ending(t, Selection{ID: id}))
			if err == nil || err.Error() != "there is no such session" {
				t.Errorf("again: %v", err)
			}
			if with.token != "" {
				_, err = adminCommand(t, address, "", listing(t, Selection{}, false))
				if err == nil || !strings.Contains(err.Error(), "-token-file") {
					t.Errorf("without the token: %v", err)
				}
			}
		})
	}
}

// adminAddress is where the admin listener of Run is.
func (g *replica) adminAddress() (address string) {
	g.t.Helper()
	poll(g.t, "the admin listener", func() bool {
		_, line, found := strings.Cut(g.log.String(), `serving health and metrics","listen":"`)
		address, _, _ = strings.Cut(line, `"`)
		return found
	})
	if strings.HasPrefix(address, "/") {
		return "unix:" + address
	}
	return address
}

// The list follows all pages.
func TestAdminClientFollowsPages(t *testing.T) {
	t.Parallel()
	a := newAdminReplica(t, nil)
	for i := range 1500 {
		a.add(fmt.Sprintf("default crowd s%d", i), "")
	}
	out, err := adminCommand(t, a.adminAddress(), "", listing(t, Selection{Provider: "default"}, true))
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		seen[line] = true
	}
	if err != nil || len(seen) != 1503 {
		t.Errorf("%d sessions, %v", len(seen), err)
	}
}

// SES-14: what browsers and OPs wrote stays on its line and does nothing to a terminal.
func TestAdminClientPrintsSafely(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\a\u009b2J\u202e\r\nid\tforged\x7f\U000e0041end"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"title": evil, "detail": evil})
			return
		}
		s := adminSession{ID: evil, Provider: evil, Issuer: evil, Subject: evil, SID: evil, UserAgent: evil}
		_ = json.NewEncoder(w).Encode(adminList{Sessions: []adminSession{s}})
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	for _, asJSON := range []bool{true, false} {
		out, err := adminCommand(t, address, "", listing(t, Selection{}, asJSON))
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]int{true: 1, false: 2}[asJSON]
		if lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n"); len(lines) != want {
			t.Errorf("%d lines: %q", len(lines), out)
		}
		for _, r := range strings.ReplaceAll(out, "\n", "") {
			if !unicode.IsPrint(r) {
				t.Errorf("JSON %v: %U is printed", asJSON, r)
			}
		}
		if asJSON { // and nothing is lost
			var s adminSession
			decode(t, out, &s)
			if s.UserAgent != evil {
				t.Errorf("it reads %q", s.UserAgent)
			}
		}
	}
	_, err := adminCommand(t, address, "", ending(t, Selection{ID: "x"}))
	if err == nil || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("the error is %q", err)
	}
}

// Errors say what is wrong and what to do, in a line, and hold neither the user nor the token.
func TestAdminClientErrors(t *testing.T) {
	t.Parallel()
	moved := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer moved.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer page.Close()
	token := tokenFile(t, "the-token")
	for address, want := range map[string]string{
		"9090":                                   `"9090" must be host:port or unix:/path, as in admin.listen`,
		"127.0.0.1:":                             `"127.0.0.1:" must be host:port or unix:/path, as in admin.listen`,
		"127.0.0.1:1":                            "the admin listener at 127.0.0.1:1 does not answer: dial tcp 127.0.0.1:1: connect: connection refused",
		"unix:/none/s":                           "the admin listener at unix:/none/s does not answer: dial unix /none/s: connect: no such file or directory",
		strings.TrimPrefix(moved.URL, "http://"): "the answer is 302 Found, which no admin listener says",
		strings.TrimPrefix(page.URL, "http://"):  "is not that of an admin listener",
	} {
		_, err := adminCommand(t, address, token, listing(t, Selection{Subject: "alice"}, false))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "alice") ||
			strings.Contains(err.Error(), "the-token") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := NewAdminClient(nil, "127.0.0.1:1", "no-such-file"); err == nil {
		t.Error("a token file that is not there")
	}
}

// Of a failure of the gateway the log knows the cause.
func TestAdminClientNamesTheLog(t *testing.T) {
	t.Parallel()
	file := tokenFile(t, "the-token")
	a := newAdminReplica(t, func(_ *replica, c *Config) { c.Admin.TokenFile = file })
	address, copied := a.adminAddress(), tokenFile(t, "the-token")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err := adminCommand(t, address, copied, ending(t, Selection{Subject: "alice"}))
	said, id, found := strings.Cut(fmt.Sprint(err), "; the gateway's log has the cause under request_id ")
	if !found || said != "Something went wrong" || id == "" || !strings.Contains(a.log.String(), id) {
		t.Errorf("it says %v", err)
	}
}
