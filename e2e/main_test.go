package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the program under test.
var binary string

// TestMain builds the binary with the race detector, and removes what the tests leave behind.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cloakroom-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "cloakroom")
	build := exec.Command("go", "build", "-race", "-o", binary, "./cmd/cloakroom")
	build.Dir = ".."
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	status := 1
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "cloakroom cannot be built:", err)
	} else {
		status = m.Run()
		printMatrix(os.Stdout)
	}
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// program finds one of the programs that deps.sh installs.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed; run `make deps`", names[0])
	return ""
}
