package rp

import (
	"encoding/json"
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

// The methods: with a client secret (RFC 6749 §2.3.1), with a signed assertion (RFC 7523, Core §9), with a client
// certificate (RFC 8705 §2).
const (
	ClientSecretBasic       ClientAuth = "client_secret_basic"
	ClientSecretPost        ClientAuth = "client_secret_post"
	ClientSecretJWT         ClientAuth = "client_secret_jwt"
	PrivateKeyJWT           ClientAuth = "private_key_jwt"
	TLSClientAuth           ClientAuth = "tls_client_auth"
	SelfSignedTLSClientAuth ClientAuth = "self_signed_tls_client_auth"
)

// PushedRequests says when authorization requests are pushed to the OP (RFC 9126).
type PushedRequests string

// An OP that requires what PushedOff forbids is unusable, and so is one that lacks what PushedRequired demands.
const (
	PushedAuto     PushedRequests = "auto"     // where the OP has the endpoint
	PushedRequired PushedRequests = "required" // always
	PushedOff      PushedRequests = "off"      // never
)

// ResponseMode is how the OP answers an authorization request.
type ResponseMode string

// As parameters (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode) or in a JWT (JARM §2.3).
const (
	ResponseQuery       ResponseMode = "query"
	ResponseFormPost    ResponseMode = "form_post"
	ResponseJWT         ResponseMode = "jwt" // for the code flow the same as query.jwt
	ResponseQueryJWT    ResponseMode = "query.jwt"
	ResponseFormPostJWT ResponseMode = "form_post.jwt"
)

func (m ResponseMode) isJWT() bool {
	return m == ResponseJWT || m == ResponseQueryJWT || m == ResponseFormPostJWT
}

func (m ResponseMode) isPost() bool { return m == ResponseFormPost || m == ResponseFormPostJWT }

// Encryption is the JWE algorithms of a registration (RFC 7516); the zero value means not encrypted.
type Encryption struct {
	Alg string // of the key: RSA-OAEP, RSA-OAEP-256, ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A256KW
	Enc string // of the content; default A128CBC-HS256
}

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
	// Keys are our private keys: for private_key_jwt, for request objects and for what the OP encrypts to us. The
	// client certificate of mTLS belongs to HTTPClient's transport.
	Keys *ClientKeys
	// LegacyAudience makes client assertions as they were before RFC 7523bis, for an OP that refuses newer ones: with
	// the token endpoint's address for an audience and JWT for a typ (CA-06, CA-07). It makes the client open to
	// audience injection where other OPs accept the same key.
	LegacyAudience bool

	RedirectURI           string
	PostLogoutRedirectURI string   // may be empty: the OP then keeps the browser
	Scopes                []string // openid among them

	// SigningAlg is id_token_signed_response_alg of the registration: the one algorithm that ID tokens and logout tokens
	// may be signed with (IDT-03): RS256 (the default), RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA; or HS256,
	// whose key is ClientSecret, of at least 32 octets (IDT-05).
	SigningAlg string
	// TrustedAudiences may stand beside our client_id in the aud of an ID token (IDT-08).
	TrustedAudiences []string
	Userinfo         UserinfoMode // default auto
	// AuthorizationParams are sent with every authorization request. Nothing that a browser adds overrides them.
	AuthorizationParams map[string]string
	// Resource are the resource indicators of the login's access token (RFC 8707 §2): absolute URIs.
	Resource []string
	// AuthorizationDetails is a JSON array of RFC 9396 §2, or empty.
	AuthorizationDetails json.RawMessage

	PushedRequests PushedRequests // default auto
	// RequestObjectAlg is request_object_signing_alg of the registration; with it every authorization request is a
	// signed object (RFC 9101).
	RequestObjectAlg string
	ResponseMode     ResponseMode // default query
	// ResponseSigningAlg is authorization_signed_response_alg, for the response modes with a JWT. Default SigningAlg.
	ResponseSigningAlg string
	// UserinfoSigningAlg is userinfo_signed_response_alg; empty for plain JSON (UIN-03).
	UserinfoSigningAlg string
	// UntypedLogoutTokens accepts logout tokens whose typ is JWT or absent, as OPs from before the errata of 2022 send
	// them, and not only logout+jwt (BCL-16).
	UntypedLogoutTokens bool

	// What is encrypted is signed as well, inside. Each needs a key with use enc in Keys. Logout tokens go by that of ID
	// tokens (BCL-17).
	IDTokenEncryption, UserinfoEncryption, ResponseEncryption Encryption

	// HTTPClient gives the transport for all requests to the OP, with its CAs, proxy and tracing. Its other settings
	// are not used.
	HTTPClient *http.Client
	Now        func() time.Time // default time.Now
	Logger     *slog.Logger     // default: discards
}

// protocolParams belong to the builder of the authorization request alone (XOA-11).
var protocolParams = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "request", "request_uri", "client_secret", "code_verifier", "resource",
	"authorization_details", "client_assertion", "client_assertion_type",
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", // of a request object
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
	if cfg.PushedRequests == "" {
		cfg.PushedRequests = PushedAuto
	}
	if cfg.ResponseMode == "" {
		cfg.ResponseMode = ResponseQuery
	}
	if cfg.ResponseSigningAlg == "" {
		cfg.ResponseSigningAlg = cfg.SigningAlg
	}
	for _, e := range []*Encryption{&cfg.IDTokenEncryption, &cfg.UserinfoEncryption, &cfg.ResponseEncryption} {
		if e.Alg != "" && e.Enc == "" {
			e.Enc = defaultContentAlg
		}
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
	errs = append(errs, cfg.validateClientAuth())
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
	errs = append(errs, cfg.checkAlgorithms()...)
	if !slices.Contains([]UserinfoMode{UserinfoOff, UserinfoAuto, UserinfoRequired}, cfg.Userinfo) {
		bad("userinfo must be off, auto or required")
	}
	errs = append(errs, cfg.validateRequests())
	modes := []ResponseMode{ResponseQuery, ResponseFormPost, ResponseJWT, ResponseQueryJWT, ResponseFormPostJWT}
	if !slices.Contains(modes, cfg.ResponseMode) {
		bad("response_mode must be query, form_post, jwt, query.jwt or form_post.jwt")
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
