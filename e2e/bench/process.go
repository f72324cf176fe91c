package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a program of the bench, with its output in a file.
type process struct {
	*exec.Cmd
	log    string // name of the file
	exited chan struct{}
}

const startTime = 20 * time.Second

// start runs a program until close, and waits until it accepts connections.
func (b *bench) start(name, address, program string, arguments ...string) (*process, error) {
	p := &process{
		Cmd: exec.Command(program, arguments...), log: filepath.Join(b.scratch, name+".log"), exited: make(chan struct{}),
	}
	// Appended to, so that emptied keeps it small.
	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	p.Stdout, p.Stderr, p.Dir = output, output, b.scratch
	if err := p.Start(); err != nil {
		return nil, err
	}
	b.running = append(b.running, p)
	go func() {
		_ = p.Wait()
		close(p.exited)
	}()
	deadline := time.After(startTime)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-b.ctx.Done():
			return nil, b.ctx.Err()
		case <-p.exited:
			return nil, fmt.Errorf("%s has stopped: %s", name, p.output())
		case <-deadline:
			return nil, fmt.Errorf("%s does not listen on %s: %s", name, address, p.output())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the program, and its children by their parent.
func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		_ = p.Process.Kill()
		<-p.exited
	}
}

// output is the end of what the program has written.
func (p *process) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// find returns the path of a program, which may be one that only root has in its path. The error is exec.ErrNotFound
// where it is not installed.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		return path, nil
	}
	return "", err
}

// freeAddress is host and port for a program that has to be told its own.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
