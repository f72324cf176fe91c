package rp_test

import (
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

func goodConfig() rp.Config {
	return rp.Config{
		Issuer:       "https://op.example.com",
		ClientID:     clientID,
		ClientSecret: secret.New("s"),
		RedirectURI:  "https://app.example.com/bff/callback",
		Scopes:       []string{"openid"},
	}
}

func TestNewRefusesBadConfiguration(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*rp.Config)
		want   string // "" when it is good
	}{
		{"as it should be", func(*rp.Config) {}, ""},
		{"http on loopback", func(c *rp.Config) { c.Issuer, c.RedirectURI = "http://127.0.0.1:1", "http://localhost/cb" }, ""},
		{"http on IPv6 loopback", func(c *rp.Config) { c.Issuer = "http://[::1]:1" }, ""},
		{"http on a name below localhost", func(c *rp.Config) { c.Issuer = "http://op.localhost:1" }, ""},
		{"http on loopback in capitals", func(c *rp.Config) { c.Issuer = "http://LocalHost:1" }, ""},
		{"http issuer", func(c *rp.Config) { c.Issuer = "http://op.example.com" }, "issuer must be https"},
		{"http issuer that begins like loopback", func(c *rp.Config) { c.Issuer = "http://localhost.evil.com" }, "issuer must be https"},
		{"issuer with query", func(c *rp.Config) { c.Issuer += "?a=b" }, "no query"},
		{"issuer with fragment", func(c *rp.Config) { c.Issuer += "#" }, "fragment"},
		{"issuer with user", func(c *rp.Config) { c.Issuer = "https://a@op.example.com" }, "user name"},
		{"no issuer", func(c *rp.Config) { c.Issuer = "" }, "issuer must be an https URL"},
		{"FLOW-19 http redirect URI", func(c *rp.Config) { c.RedirectURI = "http://app.example.com/cb" }, "redirect URI must be https"},
		{"RPL-05 http post-logout redirect URI", func(c *rp.Config) { c.PostLogoutRedirectURI = "http://app.example.com/" }, "post-logout"},
		{"no client_id", func(c *rp.Config) { c.ClientID = "" }, "client_id is missing"},
		{"no client_secret", func(c *rp.Config) { c.ClientSecret = secret.String{} }, "client_secret is missing"},
		{"FLOW-44 no openid", func(c *rp.Config) { c.Scopes = []string{"profile"} }, "openid"},
		{"IDT-05 HS256 with a short secret", func(c *rp.Config) { c.SigningAlg = "HS256" }, "at least 32 octets"},
		{"IDT-05 HS256 userinfo with a short secret", func(c *rp.Config) { c.UserinfoSigningAlg = "HS256" }, "at least 32 octets"},
		{"IDT-05 HS256 with 32 octets", func(c *rp.Config) {
			c.SigningAlg, c.ClientSecret = "HS256", secret.New(strings.Repeat("s", 32))
		}, ""},
		{"IDT-05 HS512", func(c *rp.Config) { c.SigningAlg = "HS512" }, "id_token_signing_alg must be one of"},
		{"UIN-03 none", func(c *rp.Config) { c.UserinfoSigningAlg = "none" }, "userinfo_signing_alg must be one of"},
		{"IDT-24 without a key", func(c *rp.Config) { c.IDTokenEncryption.Alg = "RSA-OAEP" }, "no client key with use enc fits RSA-OAEP"},
		{"IDT-24 RSA1_5", func(c *rp.Config) { c.IDTokenEncryption.Alg = "RSA1_5" }, "id_token_encryption_alg must be one of"},
		{"IDT-24 enc", func(c *rp.Config) { c.IDTokenEncryption = rp.Encryption{Alg: "ECDH-ES", Enc: "A128KW"} }, "id_token_encryption_enc must be one of"},
		{"IDT-24 enc without alg", func(c *rp.Config) { c.IDTokenEncryption.Enc = "A128GCM" }, "id_token_encryption_alg must be one of"},
		{"UIN-03 encrypted, not signed", func(c *rp.Config) { c.UserinfoEncryption.Alg = "ECDH-ES" }, "userinfo_encryption_alg needs userinfo_signing_alg"},
		{"JRM-01 encrypted, not a JWT", func(c *rp.Config) { c.ResponseEncryption.Alg = "ECDH-ES" }, "authorization_encryption_alg needs a response_mode"},
		{"IDT-04 none", func(c *rp.Config) { c.SigningAlg = "none" }, "id_token_signing_alg must be one of"},
		{"userinfo mode", func(c *rp.Config) { c.Userinfo = "maybe" }, "userinfo must be"},
		{"XOA-11 reserved parameter", func(c *rp.Config) { c.AuthorizationParams = map[string]string{"state": "x"} }, "must not contain state"},
		{"JAR-02 sub", func(c *rp.Config) { c.AuthorizationParams = map[string]string{"sub": "app"} }, "must not contain sub"},
		{"EXT-01 resource as a parameter", func(c *rp.Config) { c.AuthorizationParams = map[string]string{"resource": "https://a"} }, "must not contain resource"},
		{"EXT-01 resource", func(c *rp.Config) { c.Resource = []string{"https://a/?b=c", "urn:a:b"} }, ""},
		{"EXT-01 relative resource", func(c *rp.Config) { c.Resource = []string{"/api"} }, "resource must hold absolute URIs"},
		{"EXT-01 resource with a fragment", func(c *rp.Config) { c.Resource = []string{"https://a/#"} }, "without a fragment"},
		{"EXT-09 details", func(c *rp.Config) { c.AuthorizationDetails = []byte(`[{"type":"a"}]`) }, ""},
		{"EXT-09 details without a type", func(c *rp.Config) { c.AuthorizationDetails = []byte(`[{"type":"a"},{}]`) }, "must have a type"},
		{"EXT-09 details that are no array", func(c *rp.Config) { c.AuthorizationDetails = []byte(`{"type":"a"}`) }, "must be a JSON array"},
		{"EXT-09 no details", func(c *rp.Config) { c.AuthorizationDetails = []byte(`[]`) }, "must not be empty"},
		{"PAR-01 mode", func(c *rp.Config) { c.PushedRequests = "yes" }, "pushed_authorization_requests must be"},
		{"JAR-01 without a key", func(c *rp.Config) { c.RequestObjectAlg = "ES256" }, "client_key_file"},
		{"JAR-01 without a key for the algorithm", func(c *rp.Config) { c.RequestObjectAlg, c.Keys = "PS256", ourKeys(t) }, "PS256"},
		{"JAR-01 none", func(c *rp.Config) { c.RequestObjectAlg, c.Keys = "none", ourKeys(t) }, "none"},
		{"JAR-01", func(c *rp.Config) { c.RequestObjectAlg, c.Keys = "ES256", ourKeys(t) }, ""},
		{"response mode", func(c *rp.Config) { c.ResponseMode = "fragment" }, "response_mode must be"},
		{"claims", func(c *rp.Config) { c.AuthorizationParams = map[string]string{"claims": "{}"} }, ""},
		{"claims that are no object", func(c *rp.Config) { c.AuthorizationParams = map[string]string{"claims": "name"} }, "claims must be"},
		{"max_age", func(c *rp.Config) { c.AuthorizationParams = map[string]string{"max_age": "1h"} }, "max_age must be"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantNew(t, tt.change, tt.want)
		})
	}
}

// wantNew checks what New says of goodConfig with a change; "" when it is good.
func wantNew(t *testing.T, change func(*rp.Config), want string) {
	t.Helper()
	cfg := goodConfig()
	change(&cfg)
	_, err := rp.New(cfg)
	switch {
	case want == "" && err != nil:
		t.Error(err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want it to contain %q", err, want)
	}
}

func TestNewReportsAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	_, err := rp.New(rp.Config{})
	for _, want := range []string{"issuer", "client_id", "client_secret", "redirect URI", "scopes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to name %q", err, want)
		}
	}
}
