package sessiontest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a redis-server process of its own on a loopback port. It keeps nothing on disk.
type RedisServer struct {
	Addr string // host and port
	URL  string // redis:// or rediss://, without credentials

	t    testing.TB
	args []string
	cmd  *exec.Cmd
	log  *bytes.Buffer
}

// Redis starts a server that is stopped when the test ends. Further arguments go to redis-server. The test fails if it
// is not installed.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return startRedis(t, nil, args)
}

// RedisTLS starts a server that speaks nothing but TLS and wants a client certificate.
func RedisTLS(t testing.TB, certs Certs, args ...string) *RedisServer {
	t.Helper()
	return startRedis(t, &certs, args)
}

func startRedis(t testing.TB, certs *Certs, args []string) *RedisServer {
	t.Helper()
	return startRedisAt(t, freeAddr(t), certs, args)
}

// startRedisAt starts a server with arguments after a configuration file, if there is one.
func startRedisAt(t testing.TB, addr string, certs *Certs, args []string, file ...string) *RedisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not installed; `make deps` installs it, `make test-short` does without")
	}
	_, port, _ := net.SplitHostPort(addr)
	r := &RedisServer{Addr: addr, URL: "redis://" + addr, t: t}
	r.args = append(file, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if certs == nil {
		r.args = append(r.args, "--port", port)
	} else {
		r.URL = "rediss://" + addr
		r.args = append(r.args, "--port", "0", "--tls-port", port, "--tls-ca-cert-file", certs.CA,
			"--tls-cert-file", certs.ServerCert, "--tls-key-file", certs.ServerKey)
	}
	r.args = append(r.args, args...)
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start starts the server again after Stop, empty, on the same port.
func (r *RedisServer) Start() {
	r.t.Helper()
	r.log = &bytes.Buffer{}
	r.cmd = exec.Command("redis-server", r.args...)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	dialer := net.Dialer{Timeout: time.Second}
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := dialer.Dial("tcp", r.Addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			r.Stop()
			r.t.Fatalf("redis-server %v does not listen: %v\n%s", r.args, err, r.log)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Stop kills the server. What it held is lost.
func (r *RedisServer) Stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait() // says that it was killed
	r.cmd = nil
}

// Pause makes the server hang: connections stay open and nothing is answered, until Resume.
func (r *RedisServer) Pause() { r.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (r *RedisServer) Resume() { r.signal(syscall.SIGCONT) }

func (r *RedisServer) signal(sig syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
}

func (r *RedisServer) scheme() string {
	scheme, _, _ := strings.Cut(r.URL, "://")
	return scheme
}

// clientOptions are for connections of the tests' own, as a client that certs vouch for.
func clientOptions(t testing.TB, certs *Certs) *redis.Options {
	t.Helper()
	opts := &redis.Options{MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true}
	if certs == nil {
		return opts
	}
	pair, err := tls.LoadX509KeyPair(certs.ClientCert, certs.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(certs.CA)
	if err != nil {
		t.Fatal(err)
	}
	opts.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: x509.NewCertPool()}
	opts.TLSConfig.RootCAs.AppendCertsFromPEM(ca)
	return opts
}

func open(opts *redis.Options, server *RedisServer) *redis.Client {
	here := *opts
	here.Addr = server.Addr
	return redis.NewClient(&here)
}

// await polls for something that servers bring about among themselves.
func await(t testing.TB, what string, condition func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !condition(ctx) {
		select {
		case <-ctx.Done():
			t.Fatal("it did not happen in 20 seconds that " + what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
