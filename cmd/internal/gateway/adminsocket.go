package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is in bytes. Systems take some more, which the path that a socket is made under needs.
const maxSocketPath = 85

// listen opens the admin listener.
func (a *Admin) listen() (net.Listener, error) {
	path, isSocket := a.socket()
	if !isSocket {
		return net.Listen("tcp", a.Listen)
	}
	if err := refuseTaken(path); err != nil {
		return nil, err
	}
	// It is made where nobody else can reach it, and gets its name when nobody but its owner may use it.
	folder, err := os.MkdirTemp(filepath.Dir(path), ".new")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	made := filepath.Join(folder, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // that would be the first name
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &adminSocket{UnixListener: listener, path: path}, nil
}

// refuseTaken lets a new socket replace only a socket that nobody listens on, as a process that was killed leaves one.
func refuseTaken(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there already and is no socket; write another path", path)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("another process listens on %s; stop it or write another path", path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return err
}

// adminSocket is a unix socket whose file goes with it.
type adminSocket struct {
	*net.UnixListener
	path string
}

// Addr is where clients find it.
func (s *adminSocket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close implements [net.Listener].
func (s *adminSocket) Close() error {
	return errors.Join(s.UnixListener.Close(), os.Remove(s.path))
}
