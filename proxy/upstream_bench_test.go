//go:build unix

package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchUpstream is the variable that makes this test binary the upstream of the benchmarks, in a process of its own, so
// that the CPU time of the benchmark is that of the transport.
const benchUpstream = "CLOAKROOM_BENCH_UPSTREAM"

func init() {
	if os.Getenv(benchUpstream) == "" {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
		os.Exit(0)
	}()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n" +
		"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n" + `{"id":42,"name":"Cloakroom"}`[:27])
	for {
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			buf := make([]byte, 128<<10)
			for have := 0; ; {
				n, err := conn.Read(buf[have:])
				if err != nil {
					return
				}
				have += n
				end := bytes.Index(buf[:have], []byte("\r\n\r\n"))
				if end < 0 || bytes.HasPrefix(buf, []byte("POST")) && have < end+4+benchBody {
					continue
				}
				have = 0
				_, _ = conn.Write(answer)
			}
		}()
	}
}

const benchBody = 64 << 10

// BenchmarkTransport compares one request with that of net/http, in time, allocations and CPU time of the process:
//
//	go test ./proxy -run '^$' -bench Transport -benchmem -count 5
func BenchmarkTransport(b *testing.B) {
	up := exec.Command(os.Args[0])
	up.Env = append(os.Environ(), benchUpstream+"=1")
	in, err := up.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := up.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := up.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { in.Close(); _ = up.Wait() }()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	url := "http://" + strings.TrimSpace(addr) + "/api/orders/42?full=1"
	ours, theirs := NewTransport(), &http.Transport{DisableCompression: true}
	defer ours.CloseIdleConnections()
	defer theirs.CloseIdleConnections()
	for name, rt := range map[string]http.RoundTripper{"ours": ours, "nethttp": theirs} {
		b.Run("GET/"+name, func(b *testing.B) { benchmarkRoundTrip(b, rt, http.MethodGet, url, "") })
		b.Run("POST64K/"+name, func(b *testing.B) {
			benchmarkRoundTrip(b, rt, http.MethodPost, url, strings.Repeat("x", benchBody))
		})
	}
}

func benchmarkRoundTrip(b *testing.B, rt http.RoundTripper, method, url, body string) {
	b.ReportAllocs()
	header := http.Header{}
	for _, f := range []string{
		"Accept: application/json", "Accept-Encoding: gzip, br", "Accept-Language: en", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
		"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example.com",
		"Authorization: Bearer " + strings.Repeat("x", 600), "Referer: https://app.example.com/orders",
	} {
		name, value, _ := strings.Cut(f, ": ")
		header.Set(name, value)
	}
	buf := make([]byte, 32<<10)
	before := cpuTime(b)
	for b.Loop() {
		var r io.Reader
		if body != "" {
			r = strings.NewReader(body)
		}
		req, err := http.NewRequestWithContext(b.Context(), method, url, r)
		if err != nil {
			b.Fatal(err)
		}
		req.Header = header
		res, err := rt.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = res.Body.Read(buf)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		res.Body.Close()
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
