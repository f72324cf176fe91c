package rp_test

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestCapabilities: what an OP's metadata say is compared with the configuration (DIS-10), in a table for people and
// by Load, which refuses an OP exactly when the table has a row that is not met.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	list := func(member string, values ...string) optest.Fault { return optest.Metadata(member, values) }
	without := optest.WithoutMetadata
	assertions := func(c *rp.Config) {
		c.ClientAuth, c.ClientSecret = rp.ClientSecretJWT, secret.New(strings.Repeat("s", 32))
	}
	mode := func(m rp.ResponseMode) func(*rp.Config) { return func(c *rp.Config) { c.ResponseMode = m } }
	keys, err := rp.NewClientKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Algorithm: "EdDSA", Use: "sig"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	signedRequests := func(c *rp.Config) { c.Keys, c.RequestObjectAlg = keys, "EdDSA" }
	keyAssertions := func(c *rp.Config) { c.Keys, c.ClientAuth = keys, rp.PrivateKeyJWT }
	encrypts := func(c *rp.Config) { encrypted(t, "ECDH-ES")(nil, c) }
	signedUserinfo := func(c *rp.Config) { c.UserinfoSigningAlg = "ES256" }
	const met = ""
	op, err := optest.New(optest.Config{Issuer: "https://op.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		row     string
		change  func(*rp.Config)
		fault   optest.Fault
		offered string // "*": whatever
		unmet   string // in the advice and in Load's error
	}{
		{"issuer", nil, optest.Fault{}, "https://op.example.com", met},
		{"issuer", nil, list("issuer", "a"), "", "issuer has the wrong type"},
		{"issuer", nil, optest.Metadata("issuer", "\x1b[31mevil\n"), "?[31mevil?", "they must be equal"},
		{"endpoints", nil, optest.Fault{}, "https", met},
		{"endpoints", nil, optest.Metadata("token_endpoint", "http://op.example.com/"), "", "token_endpoint must be an https URL"},
		{"client authentication", nil, list("token_endpoint_auth_methods_supported", "client_secret_basic", "none"), "client_secret_basic none", met},
		{"client authentication", nil, list("token_endpoint_auth_methods_supported", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"), "a b c d e f g h i j k l ...", "client_secret_basic"},
		{"client authentication", nil, without("token_endpoint_auth_methods_supported"), "", met},
		{"client assertion algorithm", assertions, list("token_endpoint_auth_signing_alg_values_supported", "HS256"), "HS256", met},
		{"client assertion algorithm", assertions, list("token_endpoint_auth_signing_alg_values_supported", "RS256"), "RS256", "HS256"},
		{"client assertion algorithm", keyAssertions, list("token_endpoint_auth_signing_alg_values_supported", "EdDSA"), "EdDSA", met},
		{"client assertion algorithm", keyAssertions, list("token_endpoint_auth_signing_alg_values_supported", "ES256"), "ES256", "EdDSA"},
		{"ID token key encryption", encrypts, list("id_token_encryption_alg_values_supported", "ECDH-ES"), "ECDH-ES", met},
		{"ID token key encryption", encrypts, list("id_token_encryption_alg_values_supported", "RSA-OAEP"), "RSA-OAEP", "ECDH-ES"},
		{"ID token content encryption", encrypts, list("id_token_encryption_enc_values_supported", "A128GCM"), "A128GCM", "A128CBC-HS256"},
		{"userinfo content encryption", encrypts, list("userinfo_encryption_enc_values_supported", "A128GCM"), "A128GCM", "A256GCM"},
		{"ID token algorithm", nil, list("id_token_signing_alg_values_supported", "ES256"), "ES256", "RS256"},
		{"ID token algorithm", nil, optest.Metadata("id_token_signing_alg_values_supported", "RS256"), "", "wrong type"},
		{"PKCE", nil, list("code_challenge_methods_supported", "plain"), "plain", "S256"},
		{"PKCE", nil, without("code_challenge_methods_supported"), "", met},
		{"response type", nil, list("response_types_supported", "id_token"), "id_token", "code"},
		{"grant type", nil, list("grant_types_supported", "implicit"), "implicit", "authorization_code"},
		{"response mode", nil, list("response_modes_supported", "form_post"), "form_post", "query"},
		{"response mode", mode(rp.ResponseFormPost), list("response_modes_supported", "query"), "query", "form_post"},
		{"response mode", mode(rp.ResponseFormPost), list("response_modes_supported", "form_post"), "form_post", met},
		{"response mode", mode(rp.ResponseJWT), list("response_modes_supported", "query.jwt"), "query.jwt", met},
		{"response mode", mode(rp.ResponseQueryJWT), list("response_modes_supported", "jwt"), "jwt", met},
		{"response mode", mode(rp.ResponseQueryJWT), list("response_modes_supported", "form_post.jwt"), "form_post.jwt", "query.jwt"},
		{"response mode", mode(rp.ResponseFormPostJWT), list("response_modes_supported", "jwt"), "jwt", "form_post.jwt"},
		{"response algorithm", mode(rp.ResponseJWT), list("authorization_signing_alg_values_supported", "PS256"), "PS256", "RS256"},
		{"pushed authorization requests", nil, without("pushed_authorization_request_endpoint"), "", met},
		{"pushed authorization requests", nil, optest.Metadata("pushed_authorization_request_endpoint", "https://op.example.com/par"), "yes", met},
		{
			"pushed authorization requests", func(c *rp.Config) { c.PushedRequests = rp.PushedRequired },
			without("pushed_authorization_request_endpoint"), "", "pushed_authorization_request_endpoint is missing",
		},
		{
			"pushed authorization requests", func(c *rp.Config) { c.PushedRequests = rp.PushedOff },
			optest.Metadata("require_pushed_authorization_requests", true), "required", "set pushed_authorization_requests to auto",
		},
		{"pushed authorization requests", nil, optest.EditMetadata("pushed requests required and missing", func(m map[string]any) {
			delete(m, "pushed_authorization_request_endpoint")
			m["require_pushed_authorization_requests"] = true
		}), "required", "pushed_authorization_request_endpoint is missing"},
		{"metadata", nil, optest.Metadata("require_pushed_authorization_requests", "yes"), "", "wrong type"},
		{"iss parameter", nil, without("authorization_response_iss_parameter_supported"), "", met},
		{"iss parameter", nil, optest.Metadata("authorization_response_iss_parameter_supported", true), "yes", met},
		{"metadata", nil, optest.Metadata("authorization_response_iss_parameter_supported", "yes"), "", "wrong type"},
		{"request object algorithm", nil, optest.Metadata("require_signed_request_object", true), "required", "set request_object_signing_alg"},
		{"request object algorithm", signedRequests, list("request_object_signing_alg_values_supported", "EdDSA"), "EdDSA", met},
		{"request object algorithm", signedRequests, list("request_object_signing_alg_values_supported", "RS256"), "RS256", "EdDSA"},
		{"request object algorithm", signedRequests, without("request_parameter_supported"), "*", met},
		{
			"request object algorithm", signedRequests, optest.Metadata("request_parameter_supported", false),
			"no", "request_parameter_supported is false",
		},
		{"userinfo", nil, without("userinfo_endpoint"), "", met},
		{
			"userinfo", func(c *rp.Config) { c.Userinfo = rp.UserinfoRequired },
			without("userinfo_endpoint"), "", "userinfo_endpoint is missing",
		},
		{"userinfo algorithm", signedUserinfo, list("userinfo_signing_alg_values_supported", "ES256"), "ES256", met},
		{"userinfo algorithm", signedUserinfo, list("userinfo_signing_alg_values_supported", "none"), "none", "ES256"},
		{"scopes", nil, list("scopes_supported", "openid"), "openid", met},
		{"scopes", nil, list("scopes_supported", "profile"), "profile", met},
		{"scopes", nil, optest.Metadata("scopes_supported", "openid"), "", met},
		{"refresh tokens", nil, list("grant_types_supported", "authorization_code"), "no", met},
		{"end_session_endpoint", nil, optest.MetadataNoEndSession, "", met},
		{"revocation_endpoint", nil, without("revocation_endpoint"), "", met},
		{"back-channel logout", nil, without("backchannel_logout_session_supported"), "yes, by user", met},
		{"back-channel logout", nil, without("backchannel_logout_supported"), "", met},
		{"back-channel logout", nil, optest.Metadata("backchannel_logout_supported", "yes"), "", met},
		{"front-channel logout", nil, optest.Fault{}, "yes, by session", met},
		{"front-channel logout", nil, without("frontchannel_logout_session_supported"), "yes, by user", met},
		{"front-channel logout", nil, without("frontchannel_logout_supported"), "", met},
		{"front-channel logout", nil, optest.Metadata("frontchannel_logout_session_supported", 1), "", met},
	} {
		t.Run(tt.row+" "+tt.fault.String(), func(t *testing.T) {
			cfg := goodConfig()
			cfg.HTTPClient = &http.Client{Transport: inProcess{op}}
			if tt.change != nil {
				tt.change(&cfg)
			}
			client, err := rp.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			op.ClearFaults()
			op.Fault(tt.fault)

			rows, err := client.Examine(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(rows, func(r rp.Capability) bool { return r.Name == tt.row })
			if i < 0 {
				t.Fatalf("no row %q in %+v", tt.row, rows)
			}
			row := rows[i]
			if row.Met != (tt.unmet == met) || tt.offered != "*" && row.Offered != tt.offered || !strings.Contains(row.Advice, tt.unmet) {
				t.Errorf("row %+v, want it to offer %q, unmet %q", row, tt.offered, tt.unmet)
			}
			for _, r := range rows {
				if !r.Met && (r != row || r.Advice == "") {
					t.Errorf("not met, too: %+v", r)
				}
			}
			err = client.Load(t.Context())
			if (err == nil) != (tt.unmet == met) || err != nil && !strings.Contains(err.Error(), tt.unmet) {
				t.Errorf("Load: %v, want %q", err, tt.unmet)
			}
		})
	}
}

// TestExamineUnavailable: without a document there is no table.
func TestExamineUnavailable(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.op.Fault(optest.Status(optest.MetadataEndpoint, 503))
	if rows, err := f.client.Examine(t.Context()); !errors.Is(err, rp.ErrUnavailable) || rows != nil {
		t.Errorf("%v, %v, want ErrUnavailable", rows, err)
	}
}

// TestMetadataThatStopsFitting: an OP that withdraws what we need changes nothing for what was loaded (DIS-08, DIS-10).
func TestMetadataThatStopsFitting(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(optest.MetadataNoS256)
	if err := f.client.Load(t.Context()); err == nil {
		t.Error("Load took it")
	}
	f.login()
}
