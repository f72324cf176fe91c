package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// party is one of those that are compared.
type party struct {
	name  string // for -only
	title string // for the table
	open  opener
}

// opener starts a party under its name, and signs in where it has sessions. The error is exec.ErrNotFound where it is
// not installed.
type opener func(b *bench, name string) (*subject, error)

// parties in the order of the table.
var parties = []party{
	{"bare", "bare `httputil.ReverseProxy`", bare},
	{"cached", "Cloakroom, Redis", cloakroom((*bench).cloakroom, "on", true)},
	{"uncached", "Cloakroom, Redis, `cache: off`", cloakroom((*bench).cloakroom, "off", true)},
	{"memory", "Cloakroom, `memory:`", cloakroom((*bench).cloakroom, "on", false)},
	{"nginx", "nginx, plain proxy", nginx},
	{"haproxy", "HAProxy, plain proxy", haproxy},
	{"httpd-redis", "Apache httpd, Redis", httpd(true)},
	{"httpd-shm", "Apache httpd, shared memory", httpd(false)},
	{"upstream", "the upstream alone", alone},
}

// subject is a party that runs.
type subject struct {
	*process
	party   party
	version string   // "" if that does not matter
	address string   // host:port
	field   string   // of each request's header: a session cookie, or plainToken
	op      provider // that the session is from; none with plainToken
}

// payload is a kind of request.
type payload struct {
	name   string // for -payload
	method string
	path   string
	body   int // bytes
}

var payloads = []payload{
	{"small", http.MethodGet, "/api/small", 0},
	{"large", http.MethodGet, "/api/large", 0},
	{"upload", http.MethodPost, "/api/upload", 64 << 10},
}

// request returns the header of a request as a browser's fetch sends it, line by line, without Host.
func (s *subject) request(p payload) []string {
	fields := []string{
		"Accept: application/json",
		"Accept-Encoding: gzip, deflate, br",
		"Accept-Language: en-GB,en;q=0.9",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"Referer: http://" + s.address + "/orders",
		"Sec-Fetch-Site: same-origin",
		"Sec-Fetch-Mode: cors",
		"Sec-Fetch-Dest: empty",
		"X-CSRF: 1",
	}
	if p.body > 0 {
		fields = append(fields, "Content-Type: application/octet-stream")
	}
	return append(fields, s.field)
}

// check sends one request of each kind and looks at what came: the answer, whole, and a token of the OP at the upstream.
func (b *bench) check(s *subject) error {
	for _, p := range payloads {
		body, err := s.once(p)
		if err != nil {
			return err
		}
		direct, err := (&subject{address: b.upstream.address, field: plainToken}).once(p)
		if err != nil {
			return err
		}
		if body != direct {
			return fmt.Errorf("%s: %d bytes that are not the upstream's", p.path, len(body))
		}
	}
	token, err := s.once(payload{method: http.MethodGet, path: "/api/token"})
	if err != nil {
		return err
	}
	if "Authorization: "+token == plainToken {
		return nil
	}
	return s.op.knows(token)
}

// once sends a request and returns the body of its answer.
func (s *subject) once(p payload) (string, error) {
	r, err := http.NewRequest(p.method, "http://"+s.address+p.path, strings.NewReader(strings.Repeat("x", p.body)))
	if err != nil {
		return "", err
	}
	for _, field := range s.request(p) {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(r) // follows no redirects
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", p.path, res.Status, body)
	}
	return string(body), err
}
