package optest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// An authority is a certification authority that lives as long as a Server.
type authority struct{ certificate tls.Certificate }

func newAuthority() (*authority, error) {
	certificate, err := newCertificate(nil, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "optest CA"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	})
	return &authority{certificate}, err
}

func (a *authority) pem() []byte {
	certificate, _ := EncodeCertificate(a.certificate)
	return certificate
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate.Leaf)
	return pool
}

// serverCertificate makes a certificate for the names of this machine.
func (a *authority) serverCertificate() (tls.Certificate, error) {
	return newCertificate(a, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "optest"},
		DNSNames:    []string{"localhost", "*.localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// ClientCertificate makes a client certificate whose subject is "CN=" and the common name, signed by the server's CA.
// It needs a server made by StartTLS.
func (s *Server) ClientCertificate(commonName string) tls.Certificate {
	s.t.Helper()
	if s.authority == nil {
		s.t.Fatal("optest: a server without TLS has no CA")
	}
	certificate, err := newCertificate(s.authority, clientTemplate(commonName))
	if err != nil {
		s.t.Fatal(err)
	}
	return certificate
}

// SelfSignedCertificate makes a client certificate for [Client.Certificates], which take its Leaf.
func SelfSignedCertificate(commonName string) (tls.Certificate, error) {
	return newCertificate(nil, clientTemplate(commonName))
}

func clientTemplate(commonName string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// newCertificate makes a key pair and its certificate, good for a day and signed by ca, or by itself when ca is nil.
func newCertificate(ca *authority, template *x509.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return tls.Certificate{}, err
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(24 * time.Hour)
	parent, signer := template, any(key)
	if ca != nil {
		parent, signer = ca.certificate.Leaf, ca.certificate.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// EncodeCertificate writes a certificate and its key in PEM, as programs read them from files. The key is PKCS #8.
func EncodeCertificate(c tls.Certificate) (certificate, key []byte) {
	for _, der := range c.Certificate {
		certificate = append(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		panic(err) // it is no key at all
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
