package rp_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// TestUnusableMetadata: each fault alone keeps the client from starting a login, with a text that names it, and after
// a good load it changes nothing (DIS-07, DIS-08).
func TestUnusableMetadata(t *testing.T) {
	t.Parallel()
	metadata := optest.MetadataEndpoint
	for _, tt := range []struct {
		id    string
		fault optest.Fault
		want  string
	}{
		{"DIS-01", optest.MetadataOtherIssuer, "its issuer is"},
		{"DIS-01", optest.MetadataIssuerTrailingSlash, "its issuer is"},
		{"DIS-01", optest.WithoutMetadata("issuer"), "its issuer is"},
		{"DIS-04", optest.Status(metadata, 500), "500"},
		{"DIS-04", optest.Status(metadata, 404), "404"},
		{"DIS-04", optest.HTML(metadata), "not a JSON object"},
		{"DIS-04", optest.Array(metadata), "not a JSON object"},
		{"DIS-04", optest.Body(metadata, "application/json", "null"), "not a JSON object"},
		{"DIS-04", optest.Body(metadata, "application/json", `{"issuer":1`), "not a JSON object"},
		{"DIS-04", optest.Redirect(metadata, 301, trap(t).URL), "301"},
		{"DIS-04", optest.Gone(metadata), "EOF"},
		{"DIS-05", optest.MetadataNoJWKSURI, "jwks_uri is missing"},
		{"DIS-05", optest.WithoutMetadata("token_endpoint"), "token_endpoint is missing"},
		{"DIS-05", optest.WithoutMetadata("authorization_endpoint"), "authorization_endpoint is missing"},
		{"DIS-05", optest.InsecureEndpoint("authorization_endpoint"), "authorization_endpoint must be https"},
		{"DIS-05", optest.InsecureEndpoint("token_endpoint"), "token_endpoint must be https"},
		{"DIS-05", optest.InsecureEndpoint("jwks_uri"), "jwks_uri must be https"},
		{"DIS-05", optest.InsecureEndpoint("userinfo_endpoint"), "userinfo_endpoint must be https"},
		{"DIS-05", optest.InsecureEndpoint("end_session_endpoint"), "end_session_endpoint must be https"},
		{"DIS-05", optest.InsecureEndpoint("revocation_endpoint"), "revocation_endpoint must be https"},
		{"DIS-05", optest.Metadata("token_endpoint", "/token"), "token_endpoint must be an https URL"},
		{"DIS-05", optest.Metadata("token_endpoint", "https://u:p@op.invalid/"), "user name"},
		{"DIS-05", optest.Metadata("token_endpoint", "https://op.invalid/\u009b31m"), "visible ASCII"},
		{"DIS-05", optest.Metadata("jwks_uri", "https://op.invalid/"+strings.Repeat("a", 2048)), "at most 2048 characters"},
		{"DIS-07", optest.Metadata("end_session_endpoint", 7), "end_session_endpoint has the wrong type"},
		{"FLOW-45", optest.MetadataFragment, "fragment"},
		{"FLOW-45", optest.Metadata("authorization_endpoint", "https://op.invalid/?a=%zz"), "malformed query"},
		{"FLOW-03", optest.MetadataNoS256, "S256"},
		{"DIS-10", optest.Metadata("response_types_supported", []string{"id_token"}), "code"},
		{"DIS-10", optest.Metadata("response_modes_supported", []string{"form_post"}), "query"},
		{"DIS-10", optest.Metadata("grant_types_supported", []string{"implicit"}), "authorization_code"},
		{"DIS-10", optest.Metadata("id_token_signing_alg_values_supported", []string{"ES256"}), "RS256"},
		{"DIS-10", optest.Metadata("token_endpoint_auth_methods_supported", []string{"private_key_jwt"}), "client_secret_basic"},
		{"DIS-10", optest.Metadata("require_signed_request_object", true), "request_object_signing_alg"},
		{"DIS-07", optest.Body(metadata, "application/json", `{"issuer":"a","issuer":"b"}`), "two members of one name"},
		{"DIS-10", optest.Metadata("authorization_response_iss_parameter_supported", "yes"), "wrong type"},
		{"DIS-18", optest.Huge(metadata), "larger than"},
		{"DIS-18", optest.Huge(optest.JWKSEndpoint), "larger than"},
		{"DIS-04", optest.Status(optest.JWKSEndpoint, 500), "500"},
		{"DIS-04", optest.Body(optest.JWKSEndpoint, "application/json", `{"keys":{}}`), "no array of keys"},
		{"DIS-14", optest.JWKSEmpty, "no key"},
		{"DIS-18", optest.JWKSMany, "larger than"},
		{"DIS-04", optest.Gone(optest.JWKSEndpoint), "EOF"},
		{"DIS-04", optest.Redirect(optest.JWKSEndpoint, 302, trap(t).URL), "302"},
	} {
		t.Run(tt.id+" "+tt.fault.String(), func(t *testing.T) {
			f := start(t)
			f.op.Fault(tt.fault)
			err := f.client.Load(t.Context())
			if !errors.Is(err, rp.ErrUnavailable) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load: %v, want ErrUnavailable and %q", err, tt.want)
			}
			if ready := f.client.Ready(); ready == nil || ready.Error() != err.Error() {
				t.Errorf("Ready: %v, want what Load said", ready)
			}
			if _, _, err := f.client.AuthorizationURL(t.Context(), newRequest(nil)); !errors.Is(err, rp.ErrUnavailable) {
				t.Errorf("AuthorizationURL: %v, want ErrUnavailable", err)
			}

			f.op.ClearFaults()
			f.load()
			good, err := f.client.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			f.op.Fault(tt.fault)
			if err := f.client.Load(t.Context()); !errors.Is(err, rp.ErrUnavailable) {
				t.Errorf("second Load: %v, want ErrUnavailable", err)
			}
			kept, err := f.client.Metadata()
			if diff := cmp.Diff(good, kept); err != nil || diff != "" {
				t.Errorf("the last good copy was not kept: %v\n%s", err, diff)
			}
		})
	}
}

func TestUsableMetadata(t *testing.T) {
	t.Parallel()
	t.Run("DIS-02 issuer with a path", func(t *testing.T) {
		f := startLoaded(t, func(op *optest.Config, _ *rp.Config) { op.Issuer = "/tenant" })
		f.login()
	})
	t.Run("RPL-02 no end_session_endpoint", func(t *testing.T) {
		f := start(t)
		f.op.Fault(optest.MetadataNoEndSession)
		f.load()
	})
	t.Run("FLOW-45 query in the authorization endpoint", func(t *testing.T) {
		f := start(t)
		f.op.Fault(optest.MetadataAuthorizationQuery)
		f.load()
		address, _, err := f.client.AuthorizationURL(t.Context(), newRequest(nil))
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil || u.Query().Get("tenant") != "1" || u.Query().Get("client_id") != clientID {
			t.Errorf("the query was not kept: %s, %v", address, err)
		}
		f.login()
	})
	t.Run("DIS-10 userinfo required and missing", func(t *testing.T) {
		f := start(t, func(_ *optest.Config, c *rp.Config) { c.Userinfo = rp.UserinfoRequired })
		f.op.Fault(optest.WithoutMetadata("userinfo_endpoint"))
		if err := f.client.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "userinfo_endpoint is missing") {
			t.Errorf("Load: %v", err)
		}
	})
}

// TestEndpointsOfHTTPSIssuer: plaintext on loopback is for an issuer that is itself there (DIS-05).
func TestEndpointsOfHTTPSIssuer(t *testing.T) {
	t.Parallel()
	op, err := optest.New(optest.Config{Issuer: "https://op.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := goodConfig()
	cfg.HTTPClient = &http.Client{Transport: inProcess{op}}
	client, err := rp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	op.Fault(optest.Metadata("token_endpoint", "http://127.0.0.1:1/token"))
	if err := client.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "token_endpoint must be an https URL") {
		t.Errorf("Load: %v", err)
	}
}

// TestCertificateIsVerified is DIS-06.
func TestCertificateIsVerified(t *testing.T) {
	t.Parallel()
	cfg := goodConfig()
	cfg.Issuer = optest.StartTLS(t, optest.Config{}).Issuer()
	client, err := rp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Load: %v", err)
	}
}

// TestDiscoveryAddress is DIS-02: a slash at the end of the issuer is not doubled.
func TestDiscoveryAddress(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"https://op.example.com/tenant", "https://op.example.com/tenant/"} {
		asked := ""
		cfg := goodConfig()
		cfg.Issuer = issuer
		cfg.HTTPClient = &http.Client{Transport: inProcess{http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked = r.URL.String()
		})}}
		client, err := rp.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Load(t.Context())
		if want := "https://op.example.com/tenant/.well-known/openid-configuration"; asked != want {
			t.Errorf("issuer %s: asked %s, want %s", issuer, asked, want)
		}
	}
}
