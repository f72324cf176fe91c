package gateway

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/proxy"
)

func (p *Provider) decode(b *block) {
	p.Name = b.text("name", "default")
	p.Issuer = b.text("issuer", "")
	p.ClientID = b.text("client_id", "")
	p.ClientAuth = b.text("client_auth", "client_secret_basic")
	p.ClientSecret = b.secret("client_secret")
	b.notBuilt("client_key_file", "client_auth takes client_secret_basic or client_secret_post, which need client_secret")
	b.notBuilt("client_cert_file", "client_auth takes client_secret_basic or client_secret_post, which need client_secret")
	p.Scopes = b.list("scopes", "openid", "profile", "email", "offline_access")
	b.oneOf(b.at("response_mode"), b.text("response_mode", "query"), []string{"query"}, "form_post", "jwt")
	p.IDTokenSigningAlg = b.text("id_token_signing_alg", "RS256")
	// auto means "where the OP requires it": such an OP is reported as unusable when its metadata is read.
	b.oneOf(b.at("pushed_authorization_requests"), b.text("pushed_authorization_requests", "auto"), []string{"auto", "off"}, "required")
	b.notBuilt("resource", "the login's token is for the OP's default audience; some OPs take authorization_params: {audience: ...}")
	p.Userinfo = b.text("userinfo", "auto")
	p.AuthorizationParams = b.table("authorization_params")
	p.TrustedAudiences = b.list("trusted_audiences")
	b.notBuilt("userinfo_signing_alg", "userinfo responses are read as plain JSON over TLS")
	b.notBuilt("request_object_signing_alg", "authorization requests are sent unsigned")
	b.notBuilt("authorization_details", "scopes say what is asked for")
	p.LoginParams = b.list("login_params", loginParams...)
	p.CAFile = b.text("ca_file", "")
	b.end()
}

// loginParams are the parameters of an authorization request (OpenID Connect Core §3.1.2.1) that a browser may choose.
var loginParams = []string{"login_hint", "prompt", "ui_locales", "acr_values", "max_age"}

// ownParams are the parameters of an authorization request that the relying party sets itself: a second value would
// undo a check, or disclose what must stay on the server.
var ownParams = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "code_verifier", "request", "request_uri", "client_secret", "client_assertion",
	"client_assertion_type", "id_token_hint", "registration", "claims",
}

var (
	signingAlgs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}
	laterAlgs   = []string{"ES512"}
)

func (c *Config) validateProviders(r *report) {
	if len(c.Providers) == 0 {
		r.fail("providers", "is missing; write at least one provider with issuer, client_id and client_secret")
	}
	seen := map[string]int{}
	for i := range c.Providers {
		path, name := item("providers", i), c.Providers[i].Name
		c.Providers[i].validate(r, path)
		if first, twice := seen[name]; twice {
			r.fail(path+".name", "is the name of providers[%d] too; write another, it is part of the callback's path", first)
		} else {
			seen[name] = i
		}
	}
}

func (p *Provider) validate(r *report, path string) {
	if p.Name == "" || strings.ContainsFunc(p.Name, func(c rune) bool { return c != '-' && !isLowerAlphanumeric(c) }) {
		r.fail(path+".name", "must be letters a to z, digits and dashes; it is part of the callback's path")
	}
	validateIssuer(r, path+".issuer", p.Issuer)
	if p.ClientID == "" {
		r.fail(path+".client_id", "is missing; write the client id that the OP gave at registration")
	}
	r.oneOf(path+".client_auth", p.ClientAuth, []string{"client_secret_basic", "client_secret_post"},
		"client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth")
	if p.ClientSecret.IsZero() {
		r.fail(path+".client_secret", "is missing; write client_secret: ${CLIENT_SECRET} or client_secret_file: /path/to/file")
	}
	for i, scope := range p.Scopes {
		if !isScope(scope) {
			r.fail(item(path+".scopes", i), "cannot be a scope; write one per element, without spaces or quotes")
		}
	}
	if !slices.Contains(p.Scopes, "openid") {
		r.fail(path+".scopes", "lacks openid, without which there is no ID token; write [openid, profile, email, offline_access]")
	}
	r.oneOf(path+".id_token_signing_alg", p.IDTokenSigningAlg, signingAlgs, laterAlgs...)
	r.oneOf(path+".userinfo", p.Userinfo, []string{"auto", "off", "required"})
	for _, name := range slices.Sorted(maps.Keys(p.AuthorizationParams)) {
		if slices.Contains(ownParams, name) {
			r.fail(join(path+".authorization_params", name), "is set by the gateway itself; remove it")
		}
	}
	for i, name := range p.LoginParams {
		if !slices.Contains(loginParams, name) {
			r.fail(item(path+".login_params", i), "cannot be left to the browser; write one of %s", strings.Join(loginParams, ", "))
		}
	}
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

// isScope is scope-token of RFC 6749 §3.3.
func isScope(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' })
}

func isLowerAlphanumeric(c rune) bool { return isAlphanumeric(c) && (c < 'A' || c > 'Z') }
