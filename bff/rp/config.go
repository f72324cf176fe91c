package rp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// ClientAuth is how we authenticate at the OP's endpoints (Core §9), named as in client registration.
type ClientAuth string

// The methods with a client secret (RFC 6749 §2.3.1).
const (
	ClientSecretBasic ClientAuth = "client_secret_basic"
	ClientSecretPost  ClientAuth = "client_secret_post"
)

// UserinfoMode says what the userinfo endpoint is to a login (UIN-05).
type UserinfoMode string

// In every mode but off an answer about another subject fails the login (UIN-01).
const (
	UserinfoOff      UserinfoMode = "off"      // never asked
	UserinfoAuto     UserinfoMode = "auto"     // asked when the OP has it; a login goes on without its answer
	UserinfoRequired UserinfoMode = "required" // without its answer a login fails
)

// Config is our registration at one OP.
type Config struct {
	Issuer       string // exactly as the OP writes it (DIS-01)
	ClientID     string
	ClientAuth   ClientAuth // the registered method; no other is ever tried (CA-01). Default client_secret_basic
	ClientSecret secret.String

	RedirectURI           string
	PostLogoutRedirectURI string   // may be empty: the OP then keeps the browser
	Scopes                []string // openid among them

	// SigningAlg is id_token_signed_response_alg of the registration: the one algorithm that ID tokens may be signed
	// with (IDT-03). Default RS256.
	SigningAlg string
	// TrustedAudiences may stand beside our client_id in the aud of an ID token (IDT-08).
	TrustedAudiences []string
	Userinfo         UserinfoMode // default auto
	// AuthorizationParams are sent with every authorization request. Nothing that a browser adds overrides them.
	AuthorizationParams map[string]string

	// HTTPClient gives the transport for all requests to the OP, with its CAs, proxy and tracing. Its other settings
	// are not used.
	HTTPClient *http.Client
	Now        func() time.Time // default time.Now
	Logger     *slog.Logger     // default: discards
}

// signingAlgs are the signature algorithms that can be configured: asymmetric ones only, and never none (IDT-04).
var signingAlgs = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
}

// protocolParams belong to the builder of the authorization request alone (XOA-11).
var protocolParams = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "request", "request_uri", "client_secret", "code_verifier",
}

func (cfg Config) withDefaults() Config {
	if cfg.ClientAuth == "" {
		cfg.ClientAuth = ClientSecretBasic
	}
	if cfg.SigningAlg == "" {
		cfg.SigningAlg = "RS256"
	}
	if cfg.Userinfo == "" {
		cfg.Userinfo = UserinfoAuto
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

func (cfg *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if err := checkURL(cfg.Issuer, true); err != nil {
		bad("issuer %w", err)
	} else if strings.ContainsAny(cfg.Issuer, "?#") {
		bad("issuer must have no query and no fragment")
	}
	if cfg.ClientID == "" {
		bad("client_id is missing")
	}
	if cfg.ClientAuth != ClientSecretBasic && cfg.ClientAuth != ClientSecretPost {
		bad("client_auth must be client_secret_basic or client_secret_post")
	}
	if cfg.ClientSecret.IsZero() {
		bad("client_secret is missing")
	}
	if err := checkURL(cfg.RedirectURI, true); err != nil {
		bad("the redirect URI %w", err)
	}
	if cfg.PostLogoutRedirectURI != "" {
		if err := checkURL(cfg.PostLogoutRedirectURI, true); err != nil {
			bad("the post-logout redirect URI %w", err)
		}
	}
	if !slices.Contains(cfg.Scopes, "openid") {
		bad("scopes must contain openid")
	}
	if !slices.Contains(signingAlgs, cfg.SigningAlg) {
		bad("id_token_signing_alg must be one of %s", strings.Join(signingAlgs, ", "))
	}
	if !slices.Contains([]UserinfoMode{UserinfoOff, UserinfoAuto, UserinfoRequired}, cfg.Userinfo) {
		bad("userinfo must be off, auto or required")
	}
	for name, value := range cfg.AuthorizationParams {
		if slices.Contains(protocolParams, name) {
			bad("authorization_params must not contain %s, which is set for each login", name)
		}
		if _, err := parseMaxAge(value); name == "max_age" && err != nil {
			bad("authorization_params: max_age must be a number of seconds")
		}
	}
	return errors.Join(errs...)
}

// checkURL says what is wrong with an address of the OP or of ours: it must be https (DIS-05, FLOW-19), or, where
// plaintext is allowed, http on this very machine. The error continues a sentence that names the address.
func checkURL(s string, plaintext bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("is no URL")
	case u.Scheme == "http" && plaintext && isLoopback(u):
	case u.Scheme == "http" && plaintext:
		return errors.New("must be https; http is for loopback hosts only")
	case u.Scheme != "https":
		return errors.New("must be an https URL")
	}
	switch {
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("must not contain a user name")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return errors.New("must not have a fragment")
	}
	return nil
}

// isLoopback reports whether a host can only be this machine; *.localhost is, too (RFC 6761 §6.3).
func isLoopback(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
