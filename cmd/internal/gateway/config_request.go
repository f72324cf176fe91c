package gateway

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cloakroom/cloakroom/bff/rp"
)

// loginParams are the parameters of an authorization request (OpenID Connect Core §3.1.2.1) that a browser may choose.
var loginParams = []string{"login_hint", "prompt", "ui_locales", "acr_values", "max_age"}

// ownKeys are the parameters of an authorization request that have keys of the configuration, which check their values.
var ownKeys = map[string]string{
	"scope": "scopes", "response_mode": "response_mode", "resource": "resource", "authorization_details": "authorization_details",
}

// ownParams are the parameters of an authorization request that the relying party sets itself: a second value would
// undo a check, or disclose what must stay on the server. The last are claims of every signed request (RFC 9101 §4),
// and sub would make it pass for a client assertion (JAR-02).
var ownParams = []string{
	"client_id", "redirect_uri", "response_type", "state", "nonce", "code_challenge", "code_challenge_method",
	"code_verifier", "request", "request_uri", "client_secret", "client_assertion", "client_assertion_type",
	"id_token_hint", "registration", "claims",
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti",
}

// validateRequest checks what is sent with an authorization request, and how.
func (p *Provider) validateRequest(r *report, path string) {
	for i, scope := range p.Scopes {
		if !isScope(scope) {
			r.fail(item(path+".scopes", i), "cannot be a scope; write one per element, without spaces or quotes")
		}
	}
	if !slices.Contains(p.Scopes, "openid") {
		r.fail(path+".scopes", "lacks openid, without which there is no ID token; write [openid, profile, email, offline_access]")
	}
	r.oneOf(path+".pushed_authorization_requests", cmp.Or(p.PushedRequests, string(rp.PushedAuto)),
		[]string{string(rp.PushedAuto), string(rp.PushedRequired), string(rp.PushedOff)})
	if p.RequestObjectSigningAlg != "" {
		r.oneOf(path+".request_object_signing_alg", p.RequestObjectSigningAlg, signingAlgs, laterAlgs...)
	}
	for i, resource := range p.Resource {
		if !isResource(resource) {
			r.fail(item(path+".resource", i), "must be an absolute URI without a fragment; write for example https://api.example.com")
		}
	}
	validateDetails(r, path+".authorization_details", p.AuthorizationDetails)
	for _, name := range slices.Sorted(maps.Keys(p.AuthorizationParams)) {
		key := join(path+".authorization_params", name)
		if own, ok := ownKeys[name]; ok {
			r.fail(key, "has a key of its own; write it in %s", own)
		} else if slices.Contains(ownParams, name) {
			r.fail(key, "is set by the gateway itself; remove it")
		} else if _, err := strconv.ParseUint(p.AuthorizationParams[name], 10, 31); name == "max_age" && err != nil {
			r.fail(key, "must be a number of seconds; write for example \"3600\"")
		}
	}
	for i, name := range p.LoginParams {
		if !slices.Contains(loginParams, name) {
			r.fail(item(path+".login_params", i), "cannot be left to the browser; write one of %s", strings.Join(loginParams, ", "))
		}
	}
}

// isScope is scope-token of RFC 6749 §3.3.
func isScope(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' })
}

// isResource accepts the value of a resource parameter (RFC 8707 §2).
func isResource(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' })
}
