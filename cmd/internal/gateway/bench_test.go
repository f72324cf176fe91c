package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkCall is an API call of a signed-in browser, on 64 connections, and the same through a bare
// [httputil.ReverseProxy]. Browsers and upstream are processes of their own, so that cpu-us/op is this process's: what
// the gateway costs. `make bench` measures the binary, and the peers; this is for profiles.
func BenchmarkCall(b *testing.B) {
	upstream := startRole(b, "upstream")
	b.Run("bare", func(b *testing.B) {
		target := &url.URL{Scheme: "http", Host: upstream}
		server := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(target) },
			BufferPool: &buffers{},
			Transport: &http.Transport{
				MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute, DisableCompression: true, ForceAttemptHTTP2: true,
			},
		})
		defer server.Close()
		measure(b, strings.TrimPrefix(server.URL, "http://"), "")
	})
	for name, change := range map[string]func(*Config){
		"cached":   func(*Config) {},
		"uncached": func(c *Config) { c.Session.Cache = false },
	} {
		b.Run(name, func(b *testing.B) {
			g := newReplica(b, func(g *replica, c *Config) {
				c.Routes[0].Upstream = &url.URL{Scheme: "http", Host: upstream}
				change(c)
			}).ready()
			c := g.client().signIn()
			var cookies []string
			for _, cookie := range c.http.Jar.Cookies(parseURL(b, g.url)) {
				cookies = append(cookies, cookie.String())
			}
			g.Gateway.access = NewLogger(io.Discard)
			measure(b, strings.TrimPrefix(g.url, "http://"), strings.Join(cookies, "; "))
		})
	}
}

type buffers struct{ sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.Pool.Get().(*[32 << 10]byte); ok {
		return p[:]
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.Pool.Put((*[32 << 10]byte)(p)) }

const connections = 64

// measure sends b.N requests and reports the processor time of this process.
func measure(b *testing.B, address, cookies string) {
	var before, after syscall.Rusage
	b.ReportAllocs()
	b.ResetTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	out := runRole(b, "browsers", address, cookies, strconv.Itoa(b.N))
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	b.StopTimer()
	if out != "" {
		b.Fatal(out)
	}
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/1000/float64(b.N), "cpu-us/op")
}

const roleVariable = "CLOAKROOM_BENCH_ROLE"

// TestMain is the tests, or one of the other processes of a benchmark.
func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(m.Run())
	case "upstream":
		beUpstream()
	case "browsers":
		beBrowsers(os.Args[1], os.Args[2], os.Args[3])
	}
}

func role(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+name)
	return cmd
}

// startRole returns the address that the process listens at.
func startRole(b *testing.B, name string) string {
	cmd := role(name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// runRole returns what the process says.
func runRole(b *testing.B, name string, args ...string) string {
	out, err := role(name, args...).CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func beUpstream() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	answer := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 300\r\n\r\n" +
		strings.Repeat("x", 300)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			r := bufio.NewReader(conn)
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) == 2 {
					_, _ = io.WriteString(conn, answer)
				}
			}
		}()
	}
}

func beBrowsers(address, cookies, number string) {
	n, _ := strconv.Atoi(number)
	request := "GET /api/things?page=1 HTTP/1.1\r\nHost: " + address + "\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n" +
		"Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nAccept: */*\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36\r\n" +
		"Referer: http://" + address + "/\r\nCookie: theme=dark; " + cookies + "\r\n\r\n"
	var all sync.WaitGroup
	for i := range connections {
		share := n / connections
		if i < n%connections {
			share++
		}
		all.Go(func() {
			if share == 0 {
				return
			}
			conn, err := net.Dial("tcp", address)
			if err != nil {
				fmt.Println(err)
				return
			}
			r := bufio.NewReader(conn)
			for range share {
				if _, err = io.WriteString(conn, request); err != nil {
					break
				}
				var res *http.Response
				if res, err = http.ReadResponse(r, nil); err != nil {
					break
				}
				if _, err = io.Copy(io.Discard, res.Body); err == nil && res.StatusCode != 200 {
					err = fmt.Errorf("status %d", res.StatusCode)
				}
				if err != nil {
					break
				}
			}
			if err != nil {
				fmt.Println(err)
			}
		})
	}
	all.Wait()
}
