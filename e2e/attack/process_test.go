package attack_test

import (
	"bytes"
	"io"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = 30 * time.Second // for a program to come up on a busy machine
	stopTime  = 35 * time.Second // longer than the gateway's drain
	tailSize  = 4 << 10          // bytes of a program's output that are kept
)

// process is a program that runs until its test ends.
type process struct {
	t      *testing.T
	name   string
	exited chan struct{}
}

// start starts a program whose output goes to w too. At the end of the test it gets SIGTERM and has to exit with 0; the
// end of its output is shown when the test failed.
func start(t *testing.T, cmd *exec.Cmd, w io.Writer) *process {
	t.Helper()
	p := &process{t: t, name: cmd.Args[0], exited: make(chan struct{})}
	output := &tail{}
	cmd.Stdout = output
	cmd.Stderr = io.MultiWriter(output, w)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var err error
	go func() {
		err = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone, which is reported below
		select {
		case <-p.exited:
		case <-time.After(stopTime):
			_ = cmd.Process.Kill()
			<-p.exited
			t.Errorf("%s did not stop within %s", p.name, stopTime)
		}
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		if t.Failed() {
			t.Logf("%s wrote at the end:\n%s", p.name, output)
		}
	})
	return p
}

// eventually polls until done. It fails the test when that takes longer than startTime, or the program has stopped.
func (p *process) eventually(what string, done func() bool) {
	p.t.Helper()
	if done() {
		return
	}
	deadline := time.After(startTime)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-p.exited:
			p.t.Fatalf("%s has stopped while the test waits for %s", p.name, what)
		case <-deadline:
			p.t.Fatalf("waited %s for %s", startTime, what)
		case <-tick.C:
		}
	}
}

// listens reports whether somebody takes connections at the address.
func listens(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// tail keeps the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text = append(t.text, b...); len(t.text) > 2*tailSize {
		t.text = bytes.Clone(t.text[len(t.text)-tailSize:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// freePort finds a loopback port for a program that has to be told its own.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
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
