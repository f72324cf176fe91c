package gateway

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A gateway on a unix socket: its user alone can connect, and the file goes when it ends.
func TestAdminSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "admin.sock")
	g := newReplica(t, func(_ *replica, c *Config) { c.Admin.Listen = "unix:" + path })
	poll(t, "the socket", func() bool { return strings.Contains(g.log.String(), `"listen":"`+path+`"`) })
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/healthz", "/metrics", "/sessions"} {
		res, err := client.Get("http://gateway" + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if len(files) != 0 || err != nil {
		t.Errorf("left behind: %v %v", files, err)
	}
}

// What a killed process left is replaced; nothing else is.
func TestAdminSocketReplaces(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "admin.sock")
	listen := func() (net.Listener, error) { return (&Admin{Listen: "unix:" + path}).listen() }

	first, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen(); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("beside a living one: %v", err)
	}
	if conn, err := net.Dial("unix", path); err != nil { // it has not been touched
		t.Error(err)
	} else {
		conn.Close()
	}
	if err := first.(*adminSocket).UnixListener.Close(); err != nil { // as kill -9 does
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	second, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its end: %v", err)
	}

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("in place of a file: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Errorf("the file holds %q", data)
	}
	path = filepath.Join(folder, "none", "admin.sock")
	if _, err := listen(); err == nil {
		t.Error("in a folder that does not exist")
	}
}

// The longest path that the configuration allows can be listened on.
func TestAdminSocketPathMayBeLong(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for long := maxSocketPath - len(folder) - len("/x") - 1; long > 0; long = 0 {
		folder = filepath.Join(folder, strings.Repeat("d", long))
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "x")
	listener, err := (&Admin{Listen: "unix:" + path}).listen()
	if err != nil {
		t.Fatalf("%d bytes: %v", len(path), err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}
