package optest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"
)

// authenticateCertificate is tls_client_auth and self_signed_tls_client_auth (RFC 8705, 2): the client is named in the
// body, and its certificate is that of the connection.
func (op *OP) authenticateCertificate(r *http.Request) (Client, error) {
	c, ok := op.client(r.PostForm.Get("client_id"))
	if !ok || !usesCertificate(c) {
		return Client{}, invalidClient
	}
	chain := certificates(r)
	if len(chain) == 0 {
		return Client{}, invalidClientBecause("the request came without a client certificate")
	}
	if c.AuthMethod == SelfSignedTLSClientAuth {
		if !slices.ContainsFunc(c.Certificates, chain[0].Equal) {
			return Client{}, invalidClientBecause("the client certificate is not registered")
		}
		return c, nil
	}
	if chain[0].Subject.String() != c.CertificateSubject {
		return Client{}, invalidClientBecause("the client certificate has another subject")
	}
	if err := op.verifyChain(chain); err != nil {
		return Client{}, invalidClientBecause("the client certificate: " + err.Error())
	}
	return c, nil
}

func usesCertificate(c Client) bool {
	return c.AuthMethod == TLSClientAuth || c.AuthMethod == SelfSignedTLSClientAuth
}

// certificates are those that the client presented, its own first. That it has the private key was proved in the TLS
// handshake.
func certificates(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// verifyChain checks that a CA of Config.ClientCAs stands behind a certificate.
func (op *OP) verifyChain(chain []*x509.Certificate) error {
	intermediates := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         op.clientCAs,
		Intermediates: intermediates,
		CurrentTime:   op.now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// thumbprint is x5t#S256 (RFC 8705, 3.1) of the certificate to which the tokens of this request are bound: that with
// which the client has authenticated. It is "" for other methods.
func thumbprint(r *http.Request, c Client) string {
	if !usesCertificate(c) {
		return ""
	}
	return certificateThumbprint(r)
}

// certificateThumbprint is x5t#S256 of the connection's client certificate, "" if it has none.
func certificateThumbprint(r *http.Request) string {
	chain := certificates(r)
	if len(chain) == 0 {
		return ""
	}
	sum := sha256.Sum256(chain[0].Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// certificateEndpoints are mtls_endpoint_aliases (RFC 8705, 5).
func (op *OP) certificateEndpoints() map[string]any {
	alias := func(e Endpoint) string { return op.certificateOrigin + op.prefix + string(e) }
	return map[string]any{
		"token_endpoint":                        alias(TokenEndpoint),
		"userinfo_endpoint":                     alias(UserInfoEndpoint),
		"revocation_endpoint":                   alias(RevocationEndpoint),
		"pushed_authorization_request_endpoint": alias(PushedEndpoint),
	}
}
