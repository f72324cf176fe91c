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

	"github.com/cloakroom/cloakroom/session"
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

// serving is `cloakroom serve` as a process, which says that it serves.
type serving struct {
	*exec.Cmd
	t       *testing.T
	address string
	log     *bufio.Scanner
}

// startServing starts it with an upstream and more lines of configuration.
func startServing(t *testing.T, upstream, more string) *serving {
	t.Helper()
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
%s`, address, upstream, more)
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
	s := &serving{program, t, address, bufio.NewScanner(stderr)}
	s.waitFor(`"msg":"serving"`)
	return s
}

// waitFor returns the next line of the log with this text.
func (s *serving) waitFor(text string) string {
	s.t.Helper()
	for s.log.Scan() {
		if strings.Contains(s.log.Text(), text) {
			return s.log.Text()
		}
	}
	s.t.Fatalf("it ended without saying %q", text)
	return ""
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
	program := startServing(t, upstream.URL, "")
	go func() {
		if res, err := http.Get("http://" + program.address + "/"); err == nil {
			res.Body.Close()
		}
	}()
	<-arrived
	began := time.Now()
	_ = program.Process.Signal(syscall.SIGTERM)
	program.waitFor(`"msg":"stopping`)
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

// TestHangup: SIGHUP reads the key ring again, also one that has not changed, and ends nothing.
func TestHangup(t *testing.T) {
	line := session.GenerateKey(time.Now())
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	program := startServing(t, "http://127.0.0.1:1", fmt.Sprintf("session: {keys_file: %q}\n", keys))
	for range 2 {
		_ = program.Process.Signal(syscall.SIGHUP)
		id, key, _ := strings.Cut(line, " ")
		if said := program.waitFor("the session keys were read again"); !strings.Contains(said, id) || strings.Contains(said, key) {
			t.Errorf("it said %s", said)
		}
	}
	_ = program.Process.Signal(syscall.SIGTERM)
	program.waitFor(`"msg":"stopping`)
	if err := program.Wait(); err != nil {
		t.Error(err)
	}
}
