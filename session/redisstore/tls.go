package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsConfig is nil for a URL without TLS. The name to be verified is the host of each connection.
func tlsConfig(u *URL, opts Options) (*tls.Config, error) {
	if !u.TLS() {
		if opts.CAFile != "" || opts.CertFile != "" || opts.KeyFile != "" {
			return nil, errors.New("certificates need a store URL that begins with rediss")
		}
		return nil, nil
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(0), // a pool that fills again shakes hands once
	}
	if opts.CAFile != "" {
		pem, err := os.ReadFile(opts.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", opts.CAFile)
		}
	}
	if opts.CertFile != "" || opts.KeyFile != "" {
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(opts.CertFile, opts.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("client certificate for Redis: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(nil); err != nil {
			return nil, err
		}
		config.GetClientCertificate = load
	}
	return config, nil
}
