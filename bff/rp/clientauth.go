package rp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// post sends a form to an endpoint of p with our client authentication, once (FLOW-29). An answer with another status
// than the one that means success is a *TokenError.
func (c *Client) post(ctx context.Context, p *provider, endpoint string, form url.Values, success int) (*answer, error) {
	header := http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"},
		"Accept":       {"application/json"},
	}
	form = maps.Clone(form)
	if err := c.authenticate(p, form, header); err != nil {
		return nil, fmt.Errorf("%w: client authentication: %w", ErrUnavailable, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the endpoint is no URL")
	}
	req.Header = header
	a, err := send(c.http, req)
	if err != nil {
		return nil, err
	}
	if a.status != success {
		return nil, &TokenError{Status: a.status, Code: errorCode(a)}
	}
	return a, nil
}

// authenticate adds our credentials to a request: the configured method's at every endpoint, never another's after a
// refusal (CA-01), in the header or in the form, never in both nor in an address (CA-03). The certificate of the two
// TLS methods is the transport's; they say in the form whose it is (RFC 8705 §2).
func (c *Client) authenticate(p *provider, form url.Values, header http.Header) error {
	if c.cfg.ClientAuth == ClientSecretBasic {
		// RFC 6749 §2.3.1 wants both form-encoded before base64 (CA-02), which SetBasicAuth does not do.
		credentials := url.QueryEscape(c.cfg.ClientID) + ":" + url.QueryEscape(c.cfg.ClientSecret.Reveal())
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
		return nil
	}
	form.Set("client_id", c.cfg.ClientID)
	switch c.cfg.ClientAuth {
	case ClientSecretPost:
		form.Set("client_secret", c.cfg.ClientSecret.Reveal())
	case ClientSecretJWT, PrivateKeyJWT:
		assertion, err := c.newAssertion(p)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	return nil
}

// usesTLS reports whether the method is one of RFC 8705.
func (m ClientAuth) usesTLS() bool { return m == TLSClientAuth || m == SelfSignedTLSClientAuth }

// usesAssertion reports whether the method is one of RFC 7523.
func (m ClientAuth) usesAssertion() bool { return m == ClientSecretJWT || m == PrivateKeyJWT }

// validateClientAuth checks that the method has the credentials that it needs.
func (cfg *Config) validateClientAuth() error {
	if cfg.LegacyAudience && !cfg.ClientAuth.usesAssertion() {
		return errors.New("client_assertion_audience is for client_secret_jwt and private_key_jwt")
	}
	switch cfg.ClientAuth {
	case ClientSecretBasic, ClientSecretPost:
		if cfg.ClientSecret.IsZero() {
			return errors.New("client_secret is missing")
		}
	case ClientSecretJWT:
		if len(cfg.ClientSecret.Reveal()) < minMACSecret { // CA-11
			return fmt.Errorf("client_secret must have at least %d octets for client_secret_jwt", minMACSecret)
		}
	case PrivateKeyJWT:
		if _, err := cfg.Keys.signer(""); err != nil {
			return fmt.Errorf("client_key_file: %w", err)
		}
	case TLSClientAuth, SelfSignedTLSClientAuth:
		if cfg.HTTPClient == nil {
			return errors.New("client_cert_file is missing: the transport has no certificate to show")
		}
		if !strings.HasPrefix(cfg.Issuer, "https:") {
			return fmt.Errorf("%s needs an https issuer", cfg.ClientAuth)
		}
	default:
		return errors.New("client_auth must be client_secret_basic, client_secret_post, client_secret_jwt, " +
			"private_key_jwt, tls_client_auth or self_signed_tls_client_auth")
	}
	return nil
}
