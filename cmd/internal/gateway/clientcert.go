package gateway

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// clientCertificate is what we show to an OP that authenticates its clients by mTLS (RFC 8705 §2): a certificate and
// its key, in files that may be replaced while the gateway runs.
type clientCertificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate // the last good one
}

// openClientCertificate reads both files. The error names the key of the configuration and what to do.
func openClientCertificate(certFile, keyFile string, log *slog.Logger) (*clientCertificate, error) {
	c := &clientCertificate{certFile: certFile, keyFile: keyFile, log: log}
	var err error
	c.current, err = c.read()
	return c, err
}

func (c *clientCertificate) read() (*tls.Certificate, error) {
	cert, err := readFile(c.certFile)
	if err != nil {
		return nil, fmt.Errorf("client_cert_file: %w; name a file that this process may read", err)
	}
	key, err := readFile(c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("client_key_file: %w; name a file that this process may read", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("client_cert_file: %s with %s: %w; name a certificate and its own private key, both PEM",
			c.certFile, c.keyFile, err)
	}
	return &pair, nil
}

// get is GetClientCertificate of a tls.Config. It reads the files at every handshake, of which there are few, so that
// each new connection has the certificate of the day. While the files are wrong the last good pair goes on, as it does
// in the moment when one of the two is replaced already and the other is not.
func (c *clientCertificate) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.log.Warn("the new client certificate cannot be used, the old one goes on", "error", err)
		return c.current, nil
	}
	c.current = pair
	return pair, nil
}

// describe says which certificate it is and how long it is good, or that it is not.
func (c *clientCertificate) describe(now time.Time) (string, error) {
	leaf := c.current.Leaf
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return "", fmt.Errorf("client_cert_file: %s is valid from %s to %s only; name a certificate of today", c.certFile,
			leaf.NotBefore.Format(time.DateOnly), leaf.NotAfter.Format(time.DateOnly))
	}
	return fmt.Sprintf("client certificate %s, valid until %s", c.certFile, leaf.NotAfter.Format(time.DateOnly)), nil
}
