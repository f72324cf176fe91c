package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bench is one run: a folder, the programs that were built in it, and the processes.
type bench struct {
	ctx      context.Context
	scratch  string
	profile  string     // the name of a file, absolute, or ""
	running  []*process // oldest first
	upstream *subject
	redis    *process // nil until somebody needs it
	redisAt  string   // host:port
}

// open starts the upstream. It has to be run in the folder e2e.
func open(ctx context.Context, profile string) (*bench, error) {
	scratch, err := os.MkdirTemp("", "cloakroom-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{ctx: ctx, scratch: scratch, profile: profile}
	// httpd's children may run as somebody else.
	if err := os.Chmod(b.scratch, 0o755); err != nil {
		return b, err
	}
	program, err := b.build("bench/upstream", "upstream")
	if err != nil {
		return b, err
	}
	address, err := freeAddress()
	if err != nil {
		return b, err
	}
	p, err := b.start("upstream", address, program, address)
	b.upstream = &subject{process: p, address: address, field: plainToken}
	return b, err
}

// close ends everything, the youngest first.
func (b *bench) close() {
	for _, p := range slices.Backward(b.running) {
		p.stop()
	}
	_ = os.RemoveAll(b.scratch)
}

// build builds one program into the folder of the run, once.
func (b *bench) build(folder, name string, flags ...string) (program string, err error) {
	program = b.program(name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	arguments := slices.Concat([]string{"build", "-trimpath", "-o", program}, flags, []string{"."})
	cmd := exec.CommandContext(b.ctx, "go", arguments...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, text)
	}
	return program, nil
}

// cloakroom builds the gateway as `make build` does.
func (b *bench) cloakroom() (program string, err error) {
	flags, linker, err := b.profiled()
	if err != nil {
		return "", err
	}
	version := "devel"
	if text, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output(); err == nil {
		version = strings.TrimSpace(string(text))
	}
	flags = append(flags, "-pgo", "../../deploy/cloakroom.pgo", "-ldflags", "-s -w -X main.version="+version+linker)
	return b.build("../cmd/cloakroom", "cloakroom", flags...)
}

// program is where build puts one.
func (b *bench) program(name string) string { return filepath.Join(b.scratch, name) }

// write puts a file into the folder of the run.
func (b *bench) write(name, text string) (path string, err error) {
	path = filepath.Join(b.scratch, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// startRedis starts a server that keeps nothing on disk, once, and returns its host and port.
func (b *bench) startRedis() (address string, err error) {
	if b.redis != nil {
		return b.redisAt, nil
	}
	program, err := find("redis-server")
	if err != nil {
		return "", err
	}
	if b.redisAt, err = freeAddress(); err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(b.redisAt)
	b.redis, err = b.start("redis", b.redisAt, program,
		"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no")
	return b.redisAt, err
}

// ready waits for 200 from an address.
func (b *bench) ready(address string) error {
	deadline := time.After(startTime)
	for {
		res, err := http.Get(address)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s: %s", address, res.Status)
		}
		select {
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-deadline:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// served is how many requests the upstream has answered.
func (b *bench) served() (int, error) {
	res, err := http.Get("http://" + b.upstream.address + "/served")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}
