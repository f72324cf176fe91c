package optest

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
)

// TB is what a Server needs of a testing.TB. The package testing is for test binaries, this one is not only for them.
type TB interface {
	Helper()
	Cleanup(func())
	Fatal(...any)
	Fatalf(format string, arguments ...any)
}

// Server is an OP that listens on a loopback port until its test ends.
type Server struct {
	*OP
	URL string // its origin, "http://127.0.0.1:port" or "https://127.0.0.1:port"

	// CA is the certificate, in PEM, that stands behind those of a server made by StartTLS; RootCAs is the same as a
	// pool. Both are nil after Start.
	CA      []byte
	RootCAs *x509.CertPool

	t         TB
	authority *authority // nil without TLS
	listeners []*httptest.Server
	browser   *http.Client
}

// Start makes an OP and serves it on 127.0.0.1. The test fails at once if the configuration is wrong.
func Start(t TB, cfg Config) *Server {
	t.Helper()
	s := &Server{t: t}
	s.start(cfg, s.listen(nil))
	return s
}

// StartTLS is Start on https, with a CA made for this server. A second port asks for client certificates, which the
// first one never does; the metadata name its endpoints as mtls_endpoint_aliases (RFC 8705, 5). Config.ClientCAs is
// this CA unless given.
func StartTLS(t TB, cfg Config) *Server {
	t.Helper()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.serverCertificate()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, authority: ca, CA: ca.pem(), RootCAs: ca.pool()}
	if cfg.ClientCAs == nil {
		cfg.ClientCAs = s.RootCAs
	}
	origin := s.listen(&tls.Config{Certificates: []tls.Certificate{certificate}})
	cfg.CertificateOrigin = s.listen(&tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequestClientCert, // whose it is, the OP decides
	})
	s.start(cfg, origin)
	return s
}

// listen opens a port, with TLS if there is a configuration, and returns its origin.
func (s *Server) listen(cfg *tls.Config) string {
	l := httptest.NewUnstartedServer(nil)
	l.TLS = cfg
	s.listeners = append(s.listeners, l)
	if cfg == nil {
		return "http://" + l.Listener.Addr().String()
	}
	return "https://" + l.Listener.Addr().String()
}

// start serves an OP at all ports.
func (s *Server) start(cfg Config, origin string) {
	s.t.Helper()
	if cfg.Issuer == "" || strings.HasPrefix(cfg.Issuer, "/") {
		cfg.Issuer = origin + cfg.Issuer
	}
	op, err := New(cfg)
	if err != nil {
		for _, l := range s.listeners {
			l.Listener.Close()
		}
		s.t.Fatal(err)
	}
	s.OP, s.URL = op, origin
	for _, l := range s.listeners {
		l.Config.Handler = op
		l.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that mistrusts the certificate is no news
		if l.TLS == nil {
			l.Start()
		} else {
			l.StartTLS()
		}
	}
	s.browser = s.Client()
	if s.browser.Jar, err = cookiejar.New(nil); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		s.browser.CloseIdleConnections()
		s.Close()
		op.releaseKeys()
	})
}

// Client returns an HTTP client that trusts the server, presents these certificates if it is asked for one, and
// follows no redirects.
func (s *Server) Client(certificates ...tls.Certificate) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: s.RootCAs, Certificates: certificates},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close stops listening and cuts all connections: the OP is gone. The end of the test does the same.
func (s *Server) Close() {
	for _, l := range s.listeners {
		l.CloseClientConnections()
		l.Close()
	}
}

// Visit opens a URL of the OP as a browser that keeps its cookies from one visit to the next, and returns where the
// OP redirects to, without going there. The test fails if it does not redirect; Authorize reads forms, too.
func (s *Server) Visit(address string) *url.URL {
	s.t.Helper()
	location, page := s.get(address)
	if location == nil {
		s.t.Fatalf("optest: GET %s: no redirect but %.2000s", address, page)
	}
	return location
}

// get opens a URL in the browser. It returns where that redirects to, or else the page, with its status in front.
func (s *Server) get(address string) (location *url.URL, page string) {
	s.t.Helper()
	resp, err := s.browser.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if location, err := resp.Location(); err == nil {
		return location, ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return nil, resp.Status + "\n" + string(body)
}
