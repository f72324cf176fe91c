package e2e_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = 30 * time.Second // for a program to come up on a busy machine
	stopTime  = 35 * time.Second // longer than the gateway's drain
)

// process is a program that runs until its test ends, with all that it has said.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdout *transcript
	stderr *transcript
	exited chan struct{}
	err    error // of Wait; valid after exited
	ended  sync.Once
}

// start starts a program. At the end of the test it gets SIGTERM and has to exit with 0; its output is shown when the
// test failed.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{
		t: t, name: cmd.Args[0], cmd: cmd,
		stdout: &transcript{}, stderr: &transcript{}, exited: make(chan struct{}),
	}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("%s wrote:\n%s%s", p.name, p.stdout, p.stderr)
		}
	})
	return p
}

// stop sends the signal, once, and waits for a clean exit.
func (p *process) stop(signal syscall.Signal) {
	p.t.Helper()
	p.ended.Do(func() {
		_ = p.cmd.Process.Signal(signal) // it may be gone, which is reported below
		select {
		case <-p.exited:
		case <-time.After(stopTime):
			_ = p.cmd.Process.Kill()
			p.t.Errorf("%s did not stop within %s of %s", p.name, stopTime, signal)
			return
		}
		if p.err != nil {
			p.t.Errorf("%s: %v", p.name, p.err)
		}
		if strings.Contains(p.stderr.String(), "DATA RACE") {
			p.t.Errorf("%s: the race detector found something", p.name)
		}
	})
}

// running tells a test that polls for something that it waits in vain.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// transcript is what a process has written so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// eventually polls until done, and fails the test when that takes longer than limit. what completes "waiting for".
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited %s for %s", limit, what)
		case <-tick.C:
		}
	}
}

var ports struct {
	sync.Mutex
	next int
}

// freePort finds a loopback port for a program that has to be told its own. The ports are below those that the system
// hands out by itself, so that nobody takes one between here and the program's start; the demo also takes the next.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = 20000 + os.Getpid()%10000
	}
	for range 1000 {
		if ports.next += 2; ports.next >= 32000 {
			ports.next = 20000
		}
		l, err := net.Listen("tcp", loopback(ports.next))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return ports.next
	}
	t.Fatal("no free port")
	return 0
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
