package optest

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Server is an OP that listens on a loopback port until its test ends.
type Server struct {
	*OP
	URL string // its origin, "http://127.0.0.1:port"

	t       testing.TB
	http    *httptest.Server
	browser *http.Client
}

// Start makes an OP and serves it on 127.0.0.1. The test fails at once if the configuration is wrong.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	listener := httptest.NewUnstartedServer(nil)
	origin := "http://" + listener.Listener.Addr().String()
	if cfg.Issuer == "" || strings.HasPrefix(cfg.Issuer, "/") {
		cfg.Issuer = origin + cfg.Issuer
	}
	op, err := New(cfg)
	if err != nil {
		listener.Close()
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	listener.Config.Handler = op
	listener.Start()
	s := &Server{OP: op, URL: origin, t: t, http: listener}
	s.browser = &http.Client{
		Jar:           jar,
		Transport:     listener.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		s.Close()
		op.releaseKeys()
	})
	return s
}

// Close stops listening and cuts all connections: the OP is gone. The end of the test does the same.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Visit opens a URL of the OP as a browser that keeps its cookies from one visit to the next, and returns where the
// OP redirects to, without going there. The test fails if it does not redirect.
func (s *Server) Visit(address string) *url.URL {
	s.t.Helper()
	resp, err := s.browser.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	location, err := resp.Location()
	if err != nil {
		s.t.Fatalf("optest: GET %s: no redirect but %s", address, resp.Status)
	}
	return location
}
