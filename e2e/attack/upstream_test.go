package attack_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// received is a request as the upstream got it.
type received struct {
	line   string   // "GET /x"
	fields []string // "Name: value", in the order in which they came
	body   string
}

// values returns the values of a field.
func (r *received) values(name string) []string {
	var values []string
	for _, field := range r.fields {
		if n, value, _ := strings.Cut(field, ": "); strings.EqualFold(n, name) {
			values = append(values, value)
		}
	}
	return values
}

func (r *received) value(name string) string { return strings.Join(r.values(name), "|") }

// upstream is a server that keeps every request. It answers with the request line, or with bytes that a test has left
// for the path.
type upstream struct {
	net.Listener
	t *testing.T

	mu       sync.Mutex
	requests []*received
	scripts  map[string]*script // by path
	conns    []net.Conn
}

// script is an answer, byte for byte.
type script struct {
	text   string
	closes bool // the connection, after text

	later   string        // what follows on the same connection when go on is closed
	goOn    chan struct{} // nil without later
	written chan struct{} // closed after later
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{Listener: l, t: t, scripts: map[string]*script{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.conns = append(u.conns, conn)
			u.mu.Unlock()
			serving.Go(func() { u.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		u.mu.Lock()
		for _, conn := range u.conns {
			conn.Close()
		}
		u.mu.Unlock()
		serving.Wait()
	})
	return u
}

func (u *upstream) url() string { return "http://" + u.Addr().String() }

// script has the upstream answer a path with these bytes.
func (u *upstream) script(path string, s *script) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.scripts[path] = s
}

// all returns the requests so far, oldest first.
func (u *upstream) all() []*received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		if _, err := r.Peek(1); err != nil {
			return // between two requests it may close the connection at any time
		}
		req, err := readStrictly(r, conn)
		if errors.Is(err, errGone) {
			return
		}
		if err != nil {
			u.t.Errorf("the upstream got a request that can be misread: %v", err)
			return
		}
		u.mu.Lock()
		u.requests = append(u.requests, req)
		s := u.scripts[strings.Fields(req.line)[1]]
		u.mu.Unlock()
		switch {
		case s != nil:
			_, _ = io.WriteString(conn, s.text)
			if s.later != "" {
				<-s.goOn
				_, _ = io.WriteString(conn, s.later)
				close(s.written)
			}
			if s.closes {
				return
			}
		case req.value("Upgrade") == "websocket":
			_, _ = io.WriteString(conn, message("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
				"Sec-WebSocket-Accept: "+acceptFor(req.value("Sec-WebSocket-Key")), "X-Upstream: 1"))
			_, _ = io.Copy(conn, r) // an echo of frames is good enough for a WebSocket
			return
		default:
			body := req.line
			if strings.HasPrefix(body, "HEAD") {
				body = ""
			}
			_, _ = io.WriteString(conn, message("HTTP/1.1 200 OK", "X-Upstream: 1", "Content-Type: text/plain",
				fmt.Sprint("Content-Length: ", len(body)))+body)
		}
	}
}

var (
	errGone = errors.New("the connection has ended in the middle of a request")

	requestLine = regexp.MustCompile(`^([A-Z]+ [!-~]+) HTTP/1\.1$`)
	fieldLine   = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^`|~-]+: ?[^\x00-\x08\x0a-\x1f\x7f]*$")
	lengthValue = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
	chunkSize   = regexp.MustCompile(`^[0-9a-fA-F]{1,8}$`)
	onceForAll  = []string{"Host", "Content-Length", "Transfer-Encoding", "Authorization", "Connection", "Cookie"}
)

// readStrictly reads a request that no two servers read differently: CRLF only, no underscore in a name, one length at
// most, "chunked" in one spelling and without extensions or trailers.
func readStrictly(r *bufio.Reader, conn io.Writer) (*received, error) {
	head, err := readLines(r)
	if err != nil {
		return nil, err
	}
	match := requestLine.FindStringSubmatch(head[0])
	if match == nil {
		return nil, fmt.Errorf("request line %q", head[0])
	}
	req := &received{line: match[1], fields: head[1:]}
	for _, field := range req.fields {
		if !fieldLine.MatchString(field) {
			return nil, fmt.Errorf("field %q", field)
		}
	}
	for _, name := range onceForAll {
		if len(req.values(name)) > 1 {
			return nil, fmt.Errorf("%s twice in %q", name, req.fields)
		}
	}
	if len(req.values("Host")) != 1 {
		return nil, fmt.Errorf("no Host in %q", req.fields)
	}
	switch expect := req.value("Expect"); {
	case expect == "":
	case !strings.EqualFold(expect, "100-continue"):
		return nil, fmt.Errorf("expectation %q", expect)
	default:
		_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	length, chunked := req.values("Content-Length"), req.values("Transfer-Encoding")
	switch {
	case len(length)+len(chunked) > 1:
		return nil, fmt.Errorf("two lengths in %q", req.fields)
	case len(length) == 1 && !lengthValue.MatchString(length[0]), len(chunked) == 1 && chunked[0] != "chunked":
		return nil, fmt.Errorf("no good length in %q", req.fields)
	case len(length) == 1:
		n, _ := strconv.Atoi(length[0])
		req.body, err = readBytes(r, n)
	case len(chunked) == 1:
		req.body, err = readChunks(r)
	}
	return req, err
}

// readLines reads lines up to an empty one.
func readLines(r *bufio.Reader) ([]string, error) {
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, errGone
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		switch {
		case !ok:
			return nil, fmt.Errorf("line %q without CR", line)
		case text == "" && len(lines) == 0:
			return nil, errors.New("an empty line before a request")
		case text == "":
			return lines, nil
		}
		lines = append(lines, text)
	}
}

func readChunks(r *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", errGone
		}
		size, ok := strings.CutSuffix(line, "\r\n")
		if !ok || !chunkSize.MatchString(size) {
			return "", fmt.Errorf("chunk size %q", line)
		}
		n, _ := strconv.ParseUint(size, 16, 32)
		chunk, err := readBytes(r, int(n))
		if err != nil {
			return "", err
		}
		end, err := readBytes(r, len("\r\n"))
		switch {
		case err != nil:
			return "", err
		case end != "\r\n":
			return "", fmt.Errorf("%q after a chunk of %d bytes, or a trailer", end, n)
		case n == 0:
			return body.String(), nil
		}
		body.WriteString(chunk)
	}
}

func readBytes(r *bufio.Reader, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", errGone
	}
	return string(b), nil
}
