package gateway

import (
	"cmp"
	"iter"

	"github.com/cloakroom/cloakroom/bff/rp"
)

var (
	signingAlgs   = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}
	verifyingAlgs = append(signingAlgs[:len(signingAlgs):len(signingAlgs)], algHS256)
	laterAlgs     = []string{"ES512"}

	// The algorithms of messages that the OP encrypts to us (RFC 7518 §4.1, §5.1).
	keyAlgs     = []string{"RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"}
	contentEncs = []string{"A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"}
)

// algHS256 is a MAC with the client secret, and so never a default (IDT-05).
const algHS256 = "HS256"

// validateResponse checks what the OP answers with: the authorization response, the ID token, userinfo.
func (p *Provider) validateResponse(r *report, path string) {
	mode := rp.ResponseMode(cmp.Or(p.ResponseMode, string(rp.ResponseQuery)))
	r.oneOf(path+".response_mode", string(mode), []string{
		string(rp.ResponseQuery), string(rp.ResponseFormPost), string(rp.ResponseJWT),
		string(rp.ResponseQueryJWT), string(rp.ResponseFormPostJWT),
	})
	if mode == rp.ResponseQuery || mode == rp.ResponseFormPost {
		const notJWT = "is for the response_mode jwt, query.jwt or form_post.jwt; write one of these or remove it"
		r.failUnlessEmpty(path+".authorization_signing_alg", p.ResponseSigningAlg, notJWT)
		r.failUnlessEmpty(path+".authorization_encryption_alg", p.ResponseEncryption.Alg, notJWT)
	}
	r.oneOf(path+".userinfo", p.Userinfo, []string{string(rp.UserinfoAuto), string(rp.UserinfoOff), string(rp.UserinfoRequired)})
	if p.Userinfo == string(rp.UserinfoOff) {
		const notAsked = "contradicts userinfo: off; remove it, or write userinfo: auto"
		r.failUnlessEmpty(path+".userinfo_signing_alg", p.UserinfoSigningAlg, notAsked)
		r.failUnlessEmpty(path+".userinfo_encryption_alg", p.UserinfoEncryption.Alg, notAsked)
	}
	r.oneOf(path+".id_token_signing_alg", p.IDTokenSigningAlg, verifyingAlgs, laterAlgs...)
	if p.ResponseSigningAlg != "" {
		r.oneOf(path+".authorization_signing_alg", p.ResponseSigningAlg, verifyingAlgs, laterAlgs...)
	}
	if p.UserinfoSigningAlg != "" {
		r.oneOf(path+".userinfo_signing_alg", p.UserinfoSigningAlg, verifyingAlgs, laterAlgs...)
	}
	if p.UserinfoEncryption.Alg != "" && p.UserinfoSigningAlg == "" {
		r.fail(path+".userinfo_signing_alg", "is missing; anybody can encrypt to our key, so userinfo_encryption_alg needs it")
	}
	for message, encryption := range p.encryptions() {
		p.validateEncryption(r, path, message+"_encryption", encryption)
	}
}

// encryptions are the kinds of messages that the OP may encrypt, named as in the configuration, and how.
func (p *Provider) encryptions() iter.Seq2[string, rp.Encryption] {
	return func(yield func(string, rp.Encryption) bool) {
		_ = yield("authorization", p.ResponseEncryption) &&
			yield("id_token", p.IDTokenEncryption) &&
			yield("userinfo", p.UserinfoEncryption)
	}
}

func (p *Provider) validateEncryption(r *report, path, key string, e rp.Encryption) {
	switch {
	case e.Alg != "":
		r.oneOf(path+"."+key+"_alg", e.Alg, keyAlgs)
		if p.usesMTLS() {
			r.fail(path+"."+key+"_alg", "needs a key for encryption in client_key_file, where client_auth: %s has the key of "+
				"its certificate; remove it", p.ClientAuth)
		}
	case e.Enc != "":
		r.fail(path+"."+key+"_enc", "needs %s_alg; write the registered one, or remove this", key)
	}
	if e.Enc != "" {
		r.oneOf(path+"."+key+"_enc", e.Enc, contentEncs)
	}
}
