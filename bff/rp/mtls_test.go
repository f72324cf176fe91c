package rp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// TestAliases is CA-12: a client with a certificate goes to the aliases, userinfo included, and to the endpoints
// otherwise; any other client never does.
func TestAliases(t *testing.T) {
	t.Parallel()
	f := startAs(t, rp.TLSClientAuth)
	f.login()
	for _, e := range []optest.Endpoint{optest.PushedEndpoint, optest.TokenEndpoint, optest.UserInfoEndpoint} {
		for _, r := range f.op.Requests(e) {
			if r.Certificate == nil {
				t.Errorf("%s was asked without a certificate", e)
			}
		}
	}
	f.op.Fault(optest.Metadata("mtls_endpoint_aliases", map[string]any{"token_endpoint": "https://mtls.example.com/token"}))
	f.load()
	m, err := f.client.Metadata()
	if err != nil || m.TokenEndpoint != "https://mtls.example.com/token" || m.RevocationEndpoint != f.op.EndpointURL(optest.RevocationEndpoint) {
		t.Errorf("%+v, %v", m, err)
	}

	f = startAs(t, rp.PrivateKeyJWT)
	f.op.Fault(optest.Metadata("mtls_endpoint_aliases", map[string]any{"token_endpoint": "ftp://elsewhere"}))
	f.load()
	if m, err = f.client.Metadata(); err != nil || m.TokenEndpoint != f.op.EndpointURL(optest.TokenEndpoint) {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestBadAliases: an alias passes the checks of an endpoint (DIS-05).
func TestBadAliases(t *testing.T) {
	t.Parallel()
	f := startAs(t, rp.SelfSignedTLSClientAuth)
	for name, tt := range map[string]struct {
		aliases any
		want    string
	}{
		"plaintext":    {map[string]any{"token_endpoint": "http://localhost/token"}, "token_endpoint must be an https URL"},
		"fragment":     {map[string]any{"revocation_endpoint": "https://localhost/#x"}, "revocation_endpoint must not have a fragment"},
		"user":         {map[string]any{"userinfo_endpoint": "https://a@localhost/"}, "userinfo_endpoint must not contain a user name"},
		"query":        {map[string]any{"pushed_authorization_request_endpoint": "https://localhost/?%zz"}, "has a malformed query"},
		"not a string": {map[string]any{"token_endpoint": 7}, "token_endpoint has the wrong type"},
		"not a object": {[]string{"x"}, "mtls_endpoint_aliases has the wrong type"},
	} {
		f.op.ClearFaults()
		f.op.Fault(optest.Metadata("mtls_endpoint_aliases", tt.aliases))
		err := f.client.Load(t.Context())
		if !errors.Is(err, rp.ErrUnavailable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want it to contain %q", name, err, tt.want)
		}
	}
}
