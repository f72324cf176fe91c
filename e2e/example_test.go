package e2e_test

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

const examples = "../deploy/examples"

// example is a copy of one of the examples, with a gateway that serves its cloakroom.yaml, the API of the examples, and an
// OP where everybody is alice and is asked nothing.
type example struct {
	*gateway
	dir      string
	issued   *tokens
	env      []string // for all programs: what the file env sets, and more
	frontEnd int      // the port for the server of the pages
}

const exampleName = "Åsa Öberg" // alice's, in more than ASCII

func startExample(t *testing.T, name string) *example {
	t.Helper()
	port, admin, api, frontEnd := freePort(t), freePort(t), freePort(t), freePort(t)
	c := &config{
		Origin: fmt.Sprintf("http://localhost:%d", port), Listen: loopback(port), Admin: loopback(admin),
		ClientID: "app", Secret: "client-secret-" + rand.Text(),
	}
	op := optest.Start(t, optest.Config{
		Clients: []optest.Client{c.client()},
		Users:   []optest.User{{Subject: "alice", Claims: map[string]any{"name": exampleName}}},
	})
	e := &example{dir: copyExample(t, name), issued: recordTokens(op), frontEnd: frontEnd}
	e.env = append(
		os.Environ(),
		"ISSUER="+op.Issuer(), "CLIENT_SECRET="+c.Secret,
		"GATEWAY_PORT="+strconv.Itoa(port), "ADMIN_PORT="+strconv.Itoa(admin), "API_PORT="+strconv.Itoa(api),
		"NITRO_HOST=127.0.0.1", "NITRO_PORT="+strconv.Itoa(frontEnd), "NUXT_GATEWAY=http://"+c.Listen,
		"VITE_PORT="+strconv.Itoa(frontEnd),
		"NUXT_TELEMETRY_DISABLED=1",
	)
	e.gateway = &gateway{start(t, e.in(exec.Command(binary, "serve", "-config", "cloakroom.yaml"))), c}
	e.await("/readyz", http.StatusOK)
	e.awaitPort(start(t, e.node(absolute(t, examples, "api.mjs"))), api)
	return e
}

// in has a program run in the example's folder and environment.
func (e *example) in(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir, cmd.Env = e.dir, e.env
	return cmd
}

// node runs a script with a Node.js that is new enough; deps.sh fetches one where the system's is not.
func (e *example) node(arguments ...string) *exec.Cmd {
	e.t.Helper()
	if fetched, _ := filepath.Glob("node/node_modules/node-*/bin/node"); len(fetched) == 1 { // the pattern is well formed
		return e.in(exec.Command(absolute(e.t, fetched[0]), arguments...))
	}
	return e.in(exec.Command(program(e.t, "node"), arguments...))
}

func (e *example) awaitPort(p *process, port int) {
	e.t.Helper()
	eventually(e.t, startTime, p.name, func() bool {
		if !p.running() {
			e.t.Fatalf("%v has stopped: %s%s", p.cmd.Args, p.stdout, p.stderr)
		}
		conn, err := net.Dial("tcp", loopback(port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// secrets are the tokens that the OP has issued so far, and tickets.
func (e *example) secrets(tickets ...string) secrets {
	found := secrets{}
	e.issued.mu.Lock()
	defer e.issued.mu.Unlock()
	for _, response := range e.issued.issued {
		for _, name := range []string{"access_token", "id_token", "refresh_token"} {
			value, _ := response[name].(string)
			found.add("the "+name, value)
		}
	}
	for _, ticket := range tickets {
		found.add("a ticket", ticket)
	}
	return found
}

// copyExample copies an example's source, so that a test may build and change it, and links its packages.
func copyExample(t *testing.T, name string) (dir string) {
	t.Helper()
	from, dir := absolute(t, examples, name), t.TempDir()
	packages := filepath.Join(from, "node_modules")
	if _, err := os.Stat(packages); err != nil {
		t.Fatal("the packages of the examples are not installed; run `make deps`")
	}
	if err := os.CopyFS(dir, source{os.DirFS(from)}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(packages, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// source is a folder without what npm and builds leave in it.
type source struct{ fs.FS }

func (s source) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	return slices.DeleteFunc(entries, func(entry fs.DirEntry) bool {
		return slices.Contains([]string{"node_modules", ".nuxt", ".output", "dist"}, entry.Name())
	}), err
}

func absolute(t *testing.T, elements ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
