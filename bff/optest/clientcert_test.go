package optest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// tlsParty is a party at an OP with TLS. Its client "app" has this method of RFC 8705.
func tlsParty(t *testing.T, edit func(*optest.Client)) *party {
	t.Helper()
	cfg := config()
	edit(&cfg.Clients[0])
	p := &party{T: t, op: optest.StartTLS(t, cfg), clientID: "app"}
	p.present()
	return p
}

// present makes the party's client one with these certificates, and with cookies.
func (p *party) present(certificates ...tls.Certificate) {
	p.Helper()
	var err error
	p.browser = p.op.Client(certificates...)
	if p.browser.Jar, err = cookiejar.New(nil); err != nil {
		p.Fatal(err)
	}
}

func bySubject(c *optest.Client) { c.AuthMethod, c.CertificateSubject = optest.TLSClientAuth, "CN=app" }

// aliases reads mtls_endpoint_aliases.
func (p *party) aliases() map[string]any {
	p.Helper()
	aliases, _ := p.json(p.get(p.op.EndpointURL(optest.MetadataEndpoint)))["mtls_endpoint_aliases"].(map[string]any)
	return aliases
}

func (p *party) alias(name string) string {
	p.Helper()
	address, _ := p.aliases()[name].(string)
	return address
}

func named(form url.Values, clientID string) url.Values {
	form.Set("client_id", clientID)
	return form
}

// CA-12: the certificate is taken at the aliases, and only there.
func TestTLSClientAuth(t *testing.T) {
	t.Parallel()
	p := tlsParty(t, bySubject)
	certificate := p.op.ClientCertificate("app")
	p.present(certificate)
	code := p.callback(p.authorize()).Get("code")

	p.refused(p.post(p.op.EndpointURL(optest.TokenEndpoint), named(codeForm(code), "app"), nil), 401, "invalid_client")
	tokens := p.ok(p.post(p.alias("token_endpoint"), named(codeForm(code), "app"), nil))

	requests := p.op.Requests(optest.TokenEndpoint)
	if requests[0].Certificate != nil || !requests[1].Certificate.Equal(certificate.Leaf) {
		t.Error("the record shows other certificates")
	}
	if alias, _ := url.Parse(p.alias("token_endpoint")); requests[1].Host != alias.Host || requests[0].Host == alias.Host {
		t.Errorf("the record shows the hosts %q and %q", requests[0].Host, requests[1].Host)
	}

	sum := sha256.Sum256(certificate.Leaf.Raw)
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	claims, _ := p.verified(tokens["access_token"])
	if cnf, _ := claims["cnf"].(map[string]any); cnf["x5t#S256"] != want {
		t.Errorf("cnf is %v, want the thumbprint %s", claims["cnf"], want)
	}
	form := named(url.Values{"token": {tokens["refresh_token"].(string)}}, "app")
	if a := p.post(p.alias("revocation_endpoint"), form, nil); a.StatusCode != http.StatusOK {
		t.Errorf("revocation: %s %s", a.Status, a.body)
	}
}

// A token that is bound to a certificate is good together with it only (RFC 8705, 3; CA-13).
func TestBoundTokenAtUserInfo(t *testing.T) {
	t.Parallel()
	p := tlsParty(t, bySubject)
	p.present(p.op.ClientCertificate("app"))
	code := p.callback(p.authorize()).Get("code")
	tokens := p.ok(p.post(p.alias("token_endpoint"), named(codeForm(code), "app"), nil))
	ask := func(address string) answer {
		return p.post(address, nil, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+tokens["access_token"].(string))
		})
	}
	p.ok(ask(p.alias("userinfo_endpoint")))
	p.refused(ask(p.op.EndpointURL(optest.UserInfoEndpoint)), 401, "invalid_token")
	p.present(p.op.ClientCertificate("app"))
	p.refused(ask(p.alias("userinfo_endpoint")), 401, "invalid_token")
}

func TestRefusedCertificates(t *testing.T) {
	t.Parallel()
	p := tlsParty(t, bySubject)
	selfSigned, err := optest.SelfSignedCertificate("app")
	if err != nil {
		t.Fatal(err)
	}
	stranger := optest.StartTLS(t, config())
	for name, c := range map[string]struct {
		certificates []tls.Certificate
		form         url.Values
	}{
		"none":                  {nil, named(refreshForm("a"), "app")},
		"another subject":       {[]tls.Certificate{p.op.ClientCertificate("post")}, named(refreshForm("a"), "app")},
		"self-signed":           {[]tls.Certificate{selfSigned}, named(refreshForm("a"), "app")},
		"another CA":            {[]tls.Certificate{stranger.ClientCertificate("app")}, named(refreshForm("a"), "app")},
		"no client_id":          {[]tls.Certificate{p.op.ClientCertificate("app")}, refreshForm("a")},
		"client without method": {[]tls.Certificate{p.op.ClientCertificate("app")}, named(refreshForm("a"), "post")},
		"client does not exist": {[]tls.Certificate{p.op.ClientCertificate("app")}, named(refreshForm("a"), "nobody")},
	} {
		t.Run(name, func(t *testing.T) {
			p.present(c.certificates...)
			p.refused(p.post(p.alias("token_endpoint"), c.form, nil), 401, "invalid_client")
		})
	}
	t.Run("a secret instead", func(t *testing.T) {
		p.present(p.op.ClientCertificate("app"))
		p.refused(p.post(p.alias("token_endpoint"), refreshForm("a"), basic("app", secret)), 401, "invalid_client")
	})
}

// Config.ClientCAs is another CA than the server's own; a certificate of it that is for servers is none of a client.
func TestClientCAs(t *testing.T) {
	t.Parallel()
	ca, caKey := issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil, nil)
	cfg := config()
	bySubject(&cfg.Clients[0])
	cfg.ClientCAs = x509.NewCertPool()
	cfg.ClientCAs.AddCert(ca)
	p := &party{T: t, op: optest.StartTLS(t, cfg), clientID: "app"}
	for _, c := range []struct {
		usage  x509.ExtKeyUsage
		status int
		code   string
	}{
		{x509.ExtKeyUsageClientAuth, 400, "invalid_grant"},
		{x509.ExtKeyUsageServerAuth, 401, "invalid_client"},
	} {
		leaf, key := issue(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "app"}, ExtKeyUsage: []x509.ExtKeyUsage{c.usage},
		}, ca, caKey)
		p.present(tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key})
		p.refused(p.post(p.alias("token_endpoint"), named(refreshForm("a"), "app"), nil), c.status, c.code)
	}
	p.present(p.op.ClientCertificate("app"))
	p.refused(p.post(p.alias("token_endpoint"), named(refreshForm("a"), "app"), nil), 401, "invalid_client")
}

// issue makes a certificate, signed by a CA or by itself.
func issue(t *testing.T, template, ca *x509.Certificate, caKey any) (*x509.Certificate, any) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if ca == nil {
		ca, caKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func TestSelfSignedTLSClientAuth(t *testing.T) {
	t.Parallel()
	certificate, err := optest.SelfSignedCertificate("app")
	if err != nil {
		t.Fatal(err)
	}
	other, err := optest.SelfSignedCertificate("app")
	if err != nil {
		t.Fatal(err)
	}
	p := tlsParty(t, func(c *optest.Client) {
		c.AuthMethod, c.Certificates = optest.SelfSignedTLSClientAuth, []*x509.Certificate{certificate.Leaf}
	})
	p.present(certificate)
	p.refused(p.post(p.alias("token_endpoint"), named(refreshForm("a"), "app"), nil), 400, "invalid_grant")
	for _, c := range []tls.Certificate{other, p.op.ClientCertificate("app")} {
		p.present(c)
		p.refused(p.post(p.alias("token_endpoint"), named(refreshForm("a"), "app"), nil), 401, "invalid_client")
	}
}

func TestEncodeCertificate(t *testing.T) {
	t.Parallel()
	certificate, err := optest.SelfSignedCertificate("app")
	if err != nil {
		t.Fatal(err)
	}
	certificatePEM, keyPEM := optest.EncodeCertificate(certificate)
	pair, err := tls.X509KeyPair(certificatePEM, keyPEM)
	if err != nil || !pair.Leaf.Equal(certificate.Leaf) || pair.Leaf.Subject.String() != "CN=app" {
		t.Errorf("%v, subject %v", err, pair.Leaf.Subject)
	}
}

// A certificate beside another method changes nothing.
func TestCertificateBesideSecret(t *testing.T) {
	t.Parallel()
	p := tlsParty(t, func(*optest.Client) {})
	p.present(p.op.ClientCertificate("app"))
	code := p.callback(p.authorize()).Get("code")
	claims, _ := p.verified(p.ok(p.post(p.alias("token_endpoint"), codeForm(code), basic("app", secret)))["access_token"])
	if claims["cnf"] != nil {
		t.Errorf("the token is bound to %v", claims["cnf"])
	}
}
