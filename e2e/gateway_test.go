package e2e_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// config is a configuration file of an application on loopback. Top,
// Provider, Providers, Session, Logout and Routes are further lines of YAML.
type config struct {
	Origin string // what the browser sees; its host is another one than the OP's, as in production
	Listen string // host:port
	Admin  string // host:port, or unix:/path

	AdminToken string // name of a file, or ""

	Top       string
	Issuer    string
	ClientID  string
	Secret    string // or ""
	KeyFile   string // the client's private key, or ""
	Provider  string
	Providers string

	Store   string
	Keys    string // name of a file, or ""
	Session string
	Logout  string

	API    string // URL
	Static string // folder
	Routes string

	roots *x509.CertPool // that vouch for an https origin
}

var configTemplate = template.Must(template.New("").Funcs(template.FuncMap{
	"indent": func(n int, text string) string {
		return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", n))
	},
}).Parse(`{{.Top}}
public_url: {{.Origin}}
listen: {{.Listen}}
admin: {listen: "{{.Admin}}"{{with .AdminToken}}, token_file: "{{.}}"{{end}}}
providers:
  - name: default
    issuer: {{.Issuer}}
    client_id: {{.ClientID}}
    {{with .Secret}}client_secret: {{.}}{{end}}
    {{with .KeyFile}}client_key_file: "{{.}}"{{end}}
    {{indent 4 .Provider}}
  {{indent 2 .Providers}}
session:
    store: "{{.Store}}"
    keys_file: "{{.Keys}}"
    {{indent 4 .Session}}
logout:
    revoke_tokens: true
    {{indent 4 .Logout}}
routes:
  - {path: /api/, upstream: "{{.API}}", token: user}
  - {path: /, static: "{{.Static}}"}
  {{indent 2 .Routes}}
`))

// newConfig is an application with an API and a page, without an OP yet, with sessions in memory.
func newConfig(t *testing.T, api *upstream) *config {
	t.Helper()
	c := &config{ClientID: "app", Secret: "client-secret-" + rand.Text(), Store: "memory:"}
	port := freePort(t)
	c.Origin = fmt.Sprintf("http://localhost:%d", port)
	c.Listen, c.Admin = loopback(port), loopback(freePort(t))
	c.Static = t.TempDir()
	writeFile(t, filepath.Join(c.Static, "index.html"), "<!doctype html><title>The application</title>\n")
	c.API = api.URL
	return c
}

// client is the application's registration at an OP.
func (c *config) client() optest.Client {
	return optest.Client{
		ID:                     c.ClientID,
		Secret:                 c.Secret,
		RedirectURIs:           []string{c.Origin + "/bff/callback"},
		PostLogoutRedirectURIs: []string{c.Origin + "/bff/logout/callback"},
	}
}

// startOP starts an OP that does as the test says, with the application as its client and alice and bob as its users.
func (c *config) startOP(t *testing.T, o optest.Config) *optest.Server {
	t.Helper()
	o.Clients = append(o.Clients, c.client())
	o.Users = []optest.User{
		{Subject: "alice", Claims: map[string]any{"name": "Alice Anderson", "email": "alice@op.test"}},
		{Subject: "bob", Claims: map[string]any{"name": "Bob Baker", "email": "bob@op.test"}},
	}
	op := optest.Start(t, o)
	c.Issuer = op.Issuer()
	return op
}

// useRedis keeps sessions in Redis, under a key ring made by the program itself.
func (c *config) useRedis(t *testing.T, s *redisServer) {
	t.Helper()
	ring, err := exec.Command(binary, "keygen", "session").Output()
	if err != nil {
		t.Fatal(err)
	}
	c.Store, c.Keys = s.URL, filepath.Join(t.TempDir(), "keys")
	writeFile(t, c.Keys, string(ring))
}

// useTLS puts the application on an https origin, as in production.
func (c *config) useTLS(t *testing.T) {
	t.Helper()
	ca := newAuthority(t)
	certFile, keyFile := ca.issue("the application", "example.com")
	c.roots = ca.pool()
	c.Origin = "https://example.com"
	c.Top = fmt.Sprintf("tls: {cert_file: %s, key_file: %s}", certFile, keyFile)
	c.Session = "allow_memory: true"
}

// replica is the configuration of one more gateway of the same application.
func (c *config) replica(t *testing.T) *config {
	t.Helper()
	other := *c
	other.Listen, other.Admin = loopback(freePort(t)), loopback(freePort(t))
	return &other
}

// write puts the file into a folder of the test.
func (c *config) write(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	if err := configTemplate.Execute(&text, c); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cloakroom.yaml")
	writeFile(t, file, text.String())
	return file
}

// gateway is `cloakroom serve`.
type gateway struct {
	*process
	config *config
}

// launch starts a gateway and waits until it is alive, which it is also when nothing else is.
func launch(t *testing.T, c *config) *gateway {
	t.Helper()
	g := &gateway{start(t, exec.Command(binary, "serve", "-config", c.write(t))), c}
	g.await("/healthz", http.StatusOK)
	return g
}

// serve starts a gateway and waits until it is ready.
func serve(t *testing.T, c *config) *gateway {
	t.Helper()
	g := launch(t, c)
	g.await("/readyz", http.StatusOK)
	return g
}

// await polls the admin listener until it answers with the status, and returns the body.
func (g *gateway) await(path string, status int) string {
	g.t.Helper()
	var body string
	client, url := g.config.admin()
	eventually(g.t, startTime, fmt.Sprintf("%d from %s", status, path), func() bool {
		if !g.running() {
			g.t.Fatalf("the gateway has stopped while the test waits for %s; it wrote: %s", path, g.stderr)
		}
		res, err := client.Get(url + path)
		if err != nil {
			return false
		}
		body = readAll(g.t, res)
		return res.StatusCode == status
	})
	return body
}

// admin is how to reach the admin listener.
func (c *config) admin() (client *http.Client, url string) {
	socket, ok := strings.CutPrefix(c.Admin, "unix:")
	if !ok {
		return http.DefaultClient, "http://" + c.Admin
	}
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}, "http://localhost"
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
