package rp_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

// impatient is a token endpoint that keeps its connections open and answers the first request on each, if it likes; a
// second request on a connection it reads and hangs up, as servers do whose keep-alive time is over in that moment.
type impatient struct {
	*net.TCPListener
	answers  bool
	requests atomic.Int32
}

func startImpatient(t *testing.T, answers bool) *impatient {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &impatient{TCPListener: listener, answers: answers}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *impatient) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for first := true; ; first = false {
		req, err := http.ReadRequest(r)
		if err != nil || req.ParseForm() != nil {
			return
		}
		s.requests.Add(1)
		if !first || !s.answers {
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n" +
			"Content-Length: 25\r\n\r\n{\"error\":\"invalid_grant\"}"))
	}
}

// TestTokenRequestsAreSentOnce: a refresh token reaches the OP once, and no request meets a connection that is being
// closed, which would leave open whether it was spent (FLOW-29, RFR-29).
func TestTokenRequestsAreSentOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		answers bool
		want    error
	}{
		{"OP closes idle connections", true, rp.ErrInvalidGrant},
		{"OP never answers", false, rp.ErrUncertain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			endpoint := startImpatient(t, tt.answers)
			f := start(t)
			f.op.Fault(optest.Metadata("token_endpoint", "http://"+endpoint.Addr().String()+"/token"))
			f.load()
			for i := range 3 {
				_, err := f.client.Refresh(t.Context(), secret.New("marker"), rp.Identity{})
				if !errors.Is(err, tt.want) {
					t.Errorf("refresh %d: %v, want %v", i+1, err, tt.want)
				}
			}
			if n := endpoint.requests.Load(); n != 3 {
				t.Errorf("the OP saw %d requests, want 3", n)
			}
		})
	}
}

// TestErrorsHideQueries: an endpoint's query may hold a key; the text of an error repeats host and path only.
func TestErrorsHideQueries(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.op.Fault(optest.Metadata("token_endpoint", f.op.EndpointURL(optest.TokenEndpoint)+"?key=marker"), optest.Drop(optest.TokenEndpoint))
	f.load()
	if _, err := f.exchange(nil); !errors.Is(err, rp.ErrUncertain) || strings.Contains(err.Error(), "marker") {
		t.Errorf("error %v", err)
	}
}

// startRaw is an endpoint of an OP that reads a request and then writes reply, be it HTTP or not.
func startRaw(t *testing.T, reply string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil && req.ParseForm() == nil {
				_, _ = conn.Write([]byte(reply))
			}
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String() + "/token?key=marker"
}

// TestErrorsHideBrokenAnswers: net/http quotes an answer that is no HTTP in its error; it may hold tokens (XOA-06).
func TestErrorsHideBrokenAnswers(t *testing.T) {
	for name, reply := range map[string]string{
		"no HTTP":  `{"access_token":"marker"}`,
		"no head":  "HTTP/1.1 200 OK\r\n{\"access_token\":\"marker\"}\r\n\r\n",
		"status":   "HTTP/1.1 marker\r\n\r\n",
		"length":   "HTTP/1.1 200 OK\r\nContent-Length: marker\r\n\r\n",
		"encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: marker\r\n\r\n",
		"header":   "HTTP/1.1 200 OK\r\nmarker\x1b: marker\r\n\r\n",
		"empty":    "",
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.op.Fault(optest.Metadata("token_endpoint", startRaw(t, reply)))
			f.load()
			_, err := f.client.Refresh(t.Context(), secret.New("refresh"), rp.Identity{})
			if !errors.Is(err, rp.ErrUncertain) || strings.Contains(err.Error(), "marker") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestErrorsAreShort: what an OP, or someone in between, names itself reaches terminals and logs: as printable ASCII,
// and not much of it. What went wrong can be asked for all the same.
func TestErrorsAreShort(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	for range 50 {
		template.DNSNames = append(template.DNSNames, "a-stranger-with-a-long-name.example.com")
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler())
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	stranger.StartTLS()
	t.Cleanup(stranger.Close)

	long := "/" + strings.Repeat("a", 1000)
	for name, tt := range map[string]struct {
		address func(*fixture) string
		like    any
	}{
		"address":     {func(f *fixture) string { return f.op.Issuer() + long }, nil},
		"host":        {func(*fixture) string { return "https://%C2%9B31m.invalid/" }, new(*net.DNSError)},
		"certificate": {func(*fixture) string { return "https://localhost:" + port(stranger.URL) }, new(x509.HostnameError)},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.op.Fault(optest.Metadata("jwks_uri", tt.address(f)))
			err := f.client.Load(t.Context())
			strange := func(r rune) bool { return r < ' ' || r > '~' }
			if err == nil || len(err.Error()) > 500 || strings.ContainsFunc(err.Error(), strange) {
				t.Errorf("error %q", err)
			}
			if tt.like != nil && !errors.As(err, tt.like) {
				t.Errorf("error %v is no %T", err, tt.like)
			}
		})
	}
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// silent is an OP that takes requests and never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestRequestsEnd is DIS-18 and FLOW-33: nobody waits for an OP for ever.
func TestRequestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := goodConfig()
		cfg.HTTPClient = &http.Client{Transport: silent{}}
		client, err := rp.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := client.Load(t.Context()); !errors.Is(err, rp.ErrUnavailable) || time.Since(began) > time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestSlowAnswersEnd: the time is for the whole answer, not for each byte of it (DIS-18, FLOW-33).
func TestSlowAnswersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := goodConfig()
		cfg.HTTPClient = &http.Client{Transport: &http.Transport{
			DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go drip(theirs)
				return ours, nil
			},
		}}
		client, err := rp.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := client.Load(t.Context()); !errors.Is(err, rp.ErrUnavailable) || time.Since(began) > time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		time.Sleep(10 * time.Second) // drip notices at its next byte
	})
}

// drip answers a request with a byte every ten seconds, until nobody reads any more.
func drip(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	for _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")); err == nil; {
		time.Sleep(10 * time.Second)
		_, err = conn.Write([]byte(" "))
	}
}
