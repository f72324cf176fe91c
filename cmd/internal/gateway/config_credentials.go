package gateway

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/bff/rp"
)

var clientAuths = []string{
	string(rp.ClientSecretBasic), string(rp.ClientSecretPost), string(rp.ClientSecretJWT),
	string(rp.PrivateKeyJWT), string(rp.TLSClientAuth), string(rp.SelfSignedTLSClientAuth),
}

// minMACKey is the least length of a secret that keys HS256, in octets (RFC 7518 §3.2, Core §16.19).
const minMACKey = 32

const legacyAudience = "token_endpoint"

func (p *Provider) usesMTLS() bool {
	return p.ClientAuth == string(rp.TLSClientAuth) || p.ClientAuth == string(rp.SelfSignedTLSClientAuth)
}

func (p *Provider) usesAssertion() bool {
	return p.ClientAuth == string(rp.PrivateKeyJWT) || p.ClientAuth == string(rp.ClientSecretJWT)
}

// keyUser is the setting that has us sign or decrypt, and the algorithm of the key that it needs; "" when nothing has,
// or the algorithm is up to us.
func (p *Provider) keyUser() (setting, alg string) {
	switch {
	case p.ClientAuth == string(rp.PrivateKeyJWT):
		return "client_auth: private_key_jwt", ""
	case p.RequestObjectSigningAlg != "":
		return "request_object_signing_alg", p.RequestObjectSigningAlg
	}
	for message, encryption := range p.encryptions() {
		if encryption.Alg != "" {
			return message + "_encryption_alg", encryption.Alg
		}
	}
	return "", ""
}

// takesMACs reports whether what the OP sends is authenticated with the client secret.
func (p *Provider) takesMACs() bool {
	return slices.Contains([]string{p.IDTokenSigningAlg, p.UserinfoSigningAlg, p.ResponseSigningAlg}, algHS256)
}

// macUser is the setting that makes the client secret the key of a MAC, "" when there is none.
func (p *Provider) macUser() string {
	switch algHS256 {
	case p.IDTokenSigningAlg:
		return "id_token_signing_alg: HS256"
	case p.UserinfoSigningAlg:
		return "userinfo_signing_alg: HS256"
	case p.ResponseSigningAlg:
		return "authorization_signing_alg: HS256"
	}
	if p.ClientAuth == string(rp.ClientSecretJWT) {
		return "client_auth: client_secret_jwt"
	}
	return ""
}

// validateCredentials wants exactly those credentials that something is done with: one that lies idle is a mistake, or
// a secret that should have been taken back.
func (p *Provider) validateCredentials(r *report, path string) {
	r.oneOf(path+".client_auth", p.ClientAuth, clientAuths)
	if !slices.Contains(clientAuths, p.ClientAuth) {
		return // nobody knows what belongs to it
	}
	if p.usesMTLS() && strings.HasPrefix(p.Issuer, "http:") {
		r.fail(path+".issuer", "is http, where client_auth: %s cannot show a certificate; write an https issuer", p.ClientAuth)
	}
	p.validateSecret(r, path)
	p.validateKeyFile(r, path+".client_key_file")

	switch cert := path + ".client_cert_file"; {
	case p.usesMTLS() && p.ClientCertFile == "":
		r.fail(cert, "is missing; name the certificate for client_auth: %s, in PEM form", p.ClientAuth)
	case !p.usesMTLS() && p.ClientCertFile != "":
		r.fail(cert, "is for client_auth: tls_client_auth or self_signed_tls_client_auth; write one of these or remove it")
	}

	audience := path + ".client_assertion_audience"
	switch p.AssertionAudience {
	case "", "issuer":
	case legacyAudience:
		if !p.usesAssertion() {
			r.fail(audience, "is for client_auth: private_key_jwt or client_secret_jwt; remove it")
		}
	default:
		r.oneOf(audience, p.AssertionAudience, []string{"issuer", legacyAudience})
	}
}

func (p *Provider) validateSecret(r *report, path string) {
	key := path + ".client_secret"
	if _, isFile := r.lines[key+"_file"]; isFile {
		key += "_file"
	}
	isSent := p.ClientAuth == string(rp.ClientSecretBasic) || p.ClientAuth == string(rp.ClientSecretPost)
	mac := p.macUser()
	switch {
	case p.ClientSecret.IsZero() && (isSent || p.ClientAuth == string(rp.ClientSecretJWT)):
		r.fail(key, "is missing; write client_secret: ${CLIENT_SECRET} or client_secret_file: /path/to/file")
	case p.ClientSecret.IsZero() && mac != "":
		r.fail(key, "is missing; %s is verified with it", mac)
	case p.ClientSecret.IsZero():
	case mac != "" && len(p.ClientSecret.Reveal()) < minMACKey:
		r.fail(key, "is too short for %s; ask the OP for one of %d octets or more", mac, minMACKey)
	case !isSent && mac == "":
		r.fail(key, "is not used with client_auth: %s; remove it", p.ClientAuth)
	}
}

func (p *Provider) validateKeyFile(r *report, key string) {
	user, alg := p.keyUser()
	keygen := "cloakroom keygen client"
	if slices.Contains(signingAlgs, alg) || slices.Contains(keyAlgs, alg) { // any other is reported by itself
		keygen += " -alg " + alg
	}
	switch {
	case p.ClientKeyFile == "" && p.usesMTLS():
		r.fail(key, "is missing; name the private key of client_cert_file, in PEM form")
	case p.ClientKeyFile == "" && user != "":
		r.fail(key, "is missing; %s needs it: write the output of `%s` into a file and name it here", user, keygen)
	case p.ClientKeyFile != "" && user == "" && !p.usesMTLS():
		r.fail(key, "is not used; write client_auth: private_key_jwt, or remove it")
	}
}

// validateDistinctKeys is CA-06: an assertion for the token endpoint that one OP names can be for the endpoint of
// another (audience injection), unless each OP knows a key of its own.
func (c *Config) validateDistinctKeys(r *report) {
	for i := range c.Providers {
		for j := range c.Providers[:i] {
			a, b := &c.Providers[j], &c.Providers[i]
			sameSecret := !a.ClientSecret.IsZero() && a.ClientSecret.Equal(b.ClientSecret)
			if sameSecret && a.Issuer != b.Issuer && (a.takesMACs() || b.takesMACs()) {
				r.fail(item("providers", i)+".client_secret", "is that of providers[%d] too, and with HS256 whoever knows it "+
					"can write the tokens of the other OP; ask the OP for another", j)
			}
			if a.AssertionAudience != legacyAudience && b.AssertionAudience != legacyAudience {
				continue
			}
			const why = "is that of providers[%d] too, but client_assertion_audience: token_endpoint needs one for each OP"
			if a.ClientKeyFile != "" && b.ClientKeyFile != "" && filepath.Clean(a.ClientKeyFile) == filepath.Clean(b.ClientKeyFile) {
				r.fail(item("providers", i)+".client_key_file", why+"; write another key into another file", j)
			}
			if a.usesAssertion() && b.usesAssertion() && sameSecret {
				r.fail(item("providers", i)+".client_secret", why+"; ask the OP for another", j)
			}
		}
	}
}
