package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const asProgram = "CLOAKROOM_TEST_ARGS"

// TestMain makes the test binary the program itself when a test starts it so.
func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(asProgram); ok {
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		main()
	}
	os.Exit(m.Run())
}

// TestSecondSignal: the first signal waits for a request in flight, the second one does not.
func TestSecondSignal(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	defer upstream.Close()
	defer close(release)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	file := filepath.Join(t.TempDir(), "cloakroom.yaml")
	text := fmt.Sprintf(`public_url: http://%s
listen: %[1]s
admin: {listen: ""}
providers: [{issuer: "http://127.0.0.1:1", client_id: app, client_secret: s}]
routes: [{path: /, upstream: %q, token: none}]
`, address, upstream.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), asProgram+"=serve -config "+file)
	stderr, err := program.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	waitFor := func(text string) {
		t.Helper()
		for log.Scan() {
			if strings.Contains(log.Text(), text) {
				return
			}
		}
		t.Fatalf("it ended without saying %q", text)
	}
	waitFor(`"msg":"serving"`)
	go func() {
		if res, err := http.Get("http://" + address + "/"); err == nil {
			res.Body.Close()
		}
	}()
	<-arrived
	began := time.Now()
	_ = program.Process.Signal(syscall.SIGTERM)
	waitFor(`"msg":"stopping`)
	ended := make(chan struct{})
	go func() {
		_ = program.Wait()
		close(ended)
	}()
	for running := true; running; {
		_ = program.Process.Signal(syscall.SIGTERM) // again, if it came before the first one was done with
		select {
		case <-ended:
			running = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	status := program.ProcessState.Sys().(syscall.WaitStatus)
	if took := time.Since(began); !status.Signaled() || status.Signal() != syscall.SIGTERM || took > 10*time.Second {
		t.Errorf("it ended by itself or late: %s after %s", program.ProcessState, took)
	}
}
