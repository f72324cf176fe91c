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
		{"client_auth of a later version", func(c *rp.Config) { c.ClientAuth = "private_key_jwt" }, "client_auth must be"},
		{"FLOW-44 no openid", func(c *rp.Config) { c.Scopes = []string{"profile"} }, "openid"},
		{"IDT-05 HS256", func(c *rp.Config) { c.SigningAlg = "HS256" }, "id_token_signing_alg must be one of"},
		{"IDT-04 none", func(c *rp.Config) { c.SigningAlg = "none" }, "id_token_signing_alg must be one of"},
		{"userinfo mode", func(c *rp.Config) { c.Userinfo = "maybe" }, "userinfo must be"},
		{"XOA-11 reserved parameter", func(c *rp.Config) { c.AuthorizationParams = map[string]string{"state": "x"} }, "must not contain state"},
		{"max_age", func(c *rp.Config) { c.AuthorizationParams = map[string]string{"max_age": "1h"} }, "max_age must be"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := goodConfig()
			tt.change(&cfg)
			_, err := rp.New(cfg)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestNewReportsAllMistakesAtOnce(t *testing.T) {
	_, err := rp.New(rp.Config{})
	for _, want := range []string{"issuer", "client_id", "client_secret", "redirect URI", "scopes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to name %q", err, want)
		}
	}
}
