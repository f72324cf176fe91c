package optest_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func TestStartTLS(t *testing.T) {
	t.Parallel()
	op := optest.StartTLS(t, config())
	if !strings.HasPrefix(op.URL, "https://127.0.0.1:") || op.Issuer() != op.URL {
		t.Errorf("URL %q, issuer %q", op.URL, op.Issuer())
	}
	p := &party{T: t, op: op, clientID: "app", browser: op.Client()}
	metadata := p.ok(p.get(op.EndpointURL(optest.MetadataEndpoint)))
	if metadata["tls_client_certificate_bound_access_tokens"] != true {
		t.Error("no tls_client_certificate_bound_access_tokens")
	}
	aliases := p.aliases()
	for _, name := range []string{
		"token_endpoint", "userinfo_endpoint", "revocation_endpoint", "pushed_authorization_request_endpoint",
	} {
		alias, _ := aliases[name].(string)
		if !strings.HasPrefix(alias, "https://127.0.0.1:") || alias == metadata[name] {
			t.Errorf("alias of %s is %q", name, alias)
		}
	}
	code := p.callback(p.authorize()).Get("code")
	claims, _ := p.verified(p.ok(p.tokenRequest(codeForm(code)))["access_token"])
	if claims["cnf"] != nil {
		t.Errorf("a token is bound to %v", claims["cnf"])
	}
}

// CA is the same as RootCAs, and needed.
func TestServerCA(t *testing.T) {
	t.Parallel()
	op := optest.StartTLS(t, config())
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(op.CA) || !pool.Equal(op.RootCAs) {
		t.Error("CA is not what RootCAs holds")
	}
	if resp, err := http.Get(op.URL); err == nil {
		resp.Body.Close()
		t.Error("trusted by a client that does not know the CA")
	}
}

func TestStartHasNoAliases(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	metadata := p.ok(p.get(p.op.EndpointURL(optest.MetadataEndpoint)))
	for _, name := range []string{"mtls_endpoint_aliases", "tls_client_certificate_bound_access_tokens"} {
		if _, ok := metadata[name]; ok {
			t.Errorf("metadata have %s", name)
		}
	}
	if p.op.CA != nil || p.op.RootCAs != nil {
		t.Error("a server without TLS has a CA")
	}
}
