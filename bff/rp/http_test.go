package rp_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
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
	f := start(t)
	f.op.Fault(optest.Metadata("token_endpoint", f.op.EndpointURL(optest.TokenEndpoint)+"?key=marker"), optest.Drop(optest.TokenEndpoint))
	f.load()
	if _, err := f.exchange(nil); !errors.Is(err, rp.ErrUncertain) || strings.Contains(err.Error(), "marker") {
		t.Errorf("error %v", err)
	}
}

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
