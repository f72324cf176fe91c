package rp

import (
	"fmt"
	"slices"
	"strings"
)

// signingAlgs are the signature algorithms that can be configured for what the OP signs, beside macAlg; never none
// (IDT-04).
var signingAlgs = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
}

// signedByOP are the algorithms of everything that the OP signs for this client.
func (cfg *Config) signedByOP() []string {
	algs := []string{cfg.SigningAlg}
	if cfg.Userinfo != UserinfoOff && cfg.UserinfoSigningAlg != "" {
		algs = append(algs, cfg.UserinfoSigningAlg)
	}
	if cfg.ResponseMode.isJWT() {
		algs = append(algs, cfg.ResponseSigningAlg)
	}
	return algs
}

// needsKeys reports whether any of it is verified with the OP's published keys, and not with our secret.
func (cfg *Config) needsKeys() bool {
	return slices.ContainsFunc(cfg.signedByOP(), func(alg string) bool { return alg != macAlg })
}

// checkAlgorithms says what is wrong with the algorithms of the registration.
func (cfg *Config) checkAlgorithms() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	choices := append(slices.Clone(signingAlgs), macAlg)
	for _, s := range []struct {
		key, alg string
		used     bool
	}{
		{"id_token_signing_alg", cfg.SigningAlg, true},
		{"userinfo_signing_alg", cfg.UserinfoSigningAlg, cfg.UserinfoSigningAlg != ""},
		{"authorization_signing_alg", cfg.ResponseSigningAlg, cfg.ResponseMode.isJWT()}, // else a copy of the first
	} {
		if s.used && !slices.Contains(choices, s.alg) {
			bad("%s must be one of %s", s.key, strings.Join(choices, ", "))
		}
	}
	if slices.Contains(cfg.signedByOP(), macAlg) && len(cfg.ClientSecret.Reveal()) < minMACSecret {
		bad("%s needs a client_secret of at least %d octets (IDT-05)", macAlg, minMACSecret)
	}
	for _, e := range []struct {
		key string
		Encryption
		signed bool
		needs  string
	}{
		{"id_token_encryption", cfg.IDTokenEncryption, true, ""},
		{"userinfo_encryption", cfg.UserinfoEncryption, cfg.UserinfoSigningAlg != "", "userinfo_signing_alg"},
		{"authorization_encryption", cfg.ResponseEncryption, cfg.ResponseMode.isJWT(), "a response_mode with a JWT"},
	} {
		switch {
		case e.Encryption == Encryption{}:
		case !slices.Contains(keyAlgs, e.Alg):
			bad("%s_alg must be one of %s", e.key, strings.Join(keyAlgs, ", "))
		case !slices.Contains(contentAlgs, e.Enc):
			bad("%s_enc must be one of %s", e.key, strings.Join(contentAlgs, ", "))
		case !e.signed: // anyone can encrypt to a public key
			bad("%s_alg needs %s", e.key, e.needs)
		case !slices.ContainsFunc(cfg.Keys.decrypters(), e.fits):
			bad("%s_alg: no client key with use enc fits %s (IDT-24)", e.key, e.Alg)
		}
	}
	return errs
}
