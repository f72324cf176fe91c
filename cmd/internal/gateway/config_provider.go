package gateway

import (
	"net/url"
	"strings"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/proxy"
)

func (p *Provider) decode(b *block) {
	p.Name = b.text("name", "default")
	p.Issuer = b.text("issuer", "")
	p.ClientID = b.text("client_id", "")
	p.ClientAuth = b.text("client_auth", string(rp.ClientSecretBasic))
	p.ClientSecret = b.secret("client_secret")
	p.ClientKeyFile = b.text("client_key_file", "")
	p.ClientCertFile = b.text("client_cert_file", "")
	p.AssertionAudience = b.text("client_assertion_audience", "issuer")
	p.Scopes = b.list("scopes", "openid", "profile", "email", "offline_access")
	p.PushedRequests = b.text("pushed_authorization_requests", string(rp.PushedAuto))
	p.RequestObjectSigningAlg = b.text("request_object_signing_alg", "")
	p.Resource = b.list("resource")
	p.AuthorizationDetails = b.details("authorization_details")
	p.AuthorizationParams = b.table("authorization_params")
	p.LoginParams = b.list("login_params", loginParams...)
	p.ResponseMode = b.text("response_mode", string(rp.ResponseQuery))
	p.ResponseSigningAlg = b.text("authorization_signing_alg", "")
	p.ResponseEncryption = b.encryption("authorization")
	p.IDTokenSigningAlg = b.text("id_token_signing_alg", "RS256")
	p.IDTokenEncryption = b.encryption("id_token")
	p.TrustedAudiences = b.list("trusted_audiences")
	p.Userinfo = b.text("userinfo", string(rp.UserinfoAuto))
	p.UserinfoSigningAlg = b.text("userinfo_signing_alg", "")
	p.UserinfoEncryption = b.encryption("userinfo")
	p.UntypedLogoutTokens = b.flag("untyped_logout_tokens", false)
	p.CAFile = b.text("ca_file", "")
	b.end()
}

// encryption reads the two keys of a kind of message, whose names are those of the registration without "response".
func (b *block) encryption(message string) rp.Encryption {
	return rp.Encryption{
		Alg: b.text(message+"_encryption_alg", ""),
		Enc: b.text(message+"_encryption_enc", ""),
	}
}

func (c *Config) validateProviders(r *report) {
	if len(c.Providers) == 0 {
		r.fail("providers", "is missing; write at least one provider with issuer, client_id and client_secret")
	}
	seen := map[string]int{}
	for i := range c.Providers {
		path, name := item("providers", i), c.Providers[i].Name
		c.Providers[i].validate(r, path)
		if first, twice := seen[name]; twice {
			r.fail(path+".name", "%s is the name of providers[%d] too; write another, it is part of the callback's path", name, first)
		} else {
			seen[name] = i
		}
	}
	c.validateDistinctKeys(r)
}

func (p *Provider) validate(r *report, path string) {
	if p.Name == "" || strings.ContainsFunc(p.Name, func(c rune) bool { return c != '-' && !isLowerAlphanumeric(c) }) {
		r.fail(path+".name", "must be letters a to z, digits and dashes; it is part of the callback's path")
	}
	validateIssuer(r, path+".issuer", p.Issuer)
	if p.ClientID == "" {
		r.fail(path+".client_id", "is missing; write the client id that the OP gave at registration")
	}
	p.validateCredentials(r, path)
	p.validateRequest(r, path)
	p.validateResponse(r, path)
}

// validateIssuer wants the identifier of OpenID Connect Core §1.2. A slash at its end belongs to it.
func validateIssuer(r *report, key, issuer string) {
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		r.fail(key, "is missing; write the issuer of the OP, such as https://op.example.com")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		r.fail(key, "must be a URL, exactly as the OP's discovery document says it, such as https://op.example.com")
	case u.Scheme == "http" && !proxy.IsLoopback(u.Hostname()):
		r.fail(key, "http works on a loopback host only; write https://%s%s", u.Host, u.EscapedPath())
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(issuer, "#"):
		r.fail(key, "must not hold a user, a query or a fragment; write %s://%s%s", u.Scheme, u.Host, u.EscapedPath())
	case strings.HasSuffix(issuer, "/.well-known/openid-configuration"):
		r.fail(key, "is the address of the discovery document; write %s", strings.TrimSuffix(issuer, "/.well-known/openid-configuration"))
	}
}

func isLowerAlphanumeric(c rune) bool { return isAlphanumeric(c) && (c < 'A' || c > 'Z') }
