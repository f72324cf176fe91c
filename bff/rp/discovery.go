package rp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Metadata is what we use of an OP's discovery document (Discovery §3). Optional endpoints are "" when the OP has none.
type Metadata struct {
	Issuer                string
	AuthorizationEndpoint string
	TokenEndpoint         string
	JWKSURI               string
	UserinfoEndpoint      string
	EndSessionEndpoint    string
	RevocationEndpoint    string
	// ResponseISS says that every authorization response carries iss: authorization_response_iss_parameter_supported
	// (RFC 9207 §3).
	ResponseISS bool
}

// discover fetches and validates the discovery document. Its address follows from the configured issuer (DIS-02,
// DIS-03).
func (c *Client) discover(ctx context.Context) (Metadata, error) {
	body, err := fetch(ctx, c.http, strings.TrimSuffix(c.cfg.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return Metadata{}, err
	}
	m, err := parseMetadata(body, &c.cfg)
	if err != nil {
		return Metadata{}, fmt.Errorf("the discovery document is unusable: %w", err)
	}
	return m, nil
}

// fetch gets a public document of the OP (DIS-04).
func fetch(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	a, err := send(client, req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%w: GET %s: status %d instead of 200", ErrUnavailable, address, a.status)
	}
	return a.body, nil
}

// parseMetadata reads a discovery document and reports everything that keeps it from being used with cfg.
func parseMetadata(data []byte, cfg *Config) (Metadata, error) {
	doc, err := parseObject(data)
	if err != nil {
		return Metadata{}, err
	}
	var m Metadata
	var errs []error
	if m.Issuer, err = doc.text("issuer"); err != nil {
		errs = append(errs, err)
	} else if m.Issuer != cfg.Issuer { // DIS-01: code point by code point
		errs = append(errs, fmt.Errorf("its issuer is %.200q, the configuration says %q; they must be equal", m.Issuer, cfg.Issuer))
	}
	errs = append(errs, m.readEndpoints(doc, cfg))
	errs = append(errs, checkCapabilities(doc, cfg))
	if err := doc.read("authorization_response_iss_parameter_supported", &m.ResponseISS); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return Metadata{}, err
	}
	return m, nil
}

// readEndpoints checks every address that we would ever use (DIS-05), the optional ones too.
func (m *Metadata) readEndpoints(doc object, cfg *Config) error {
	var errs []error
	for _, e := range []struct {
		name     string
		field    *string
		required bool
	}{
		{"authorization_endpoint", &m.AuthorizationEndpoint, true},
		{"token_endpoint", &m.TokenEndpoint, true},
		{"jwks_uri", &m.JWKSURI, true},
		{"userinfo_endpoint", &m.UserinfoEndpoint, cfg.Userinfo == UserinfoRequired},
		{"end_session_endpoint", &m.EndSessionEndpoint, false},
		{"revocation_endpoint", &m.RevocationEndpoint, false},
	} {
		var err error
		if *e.field, err = doc.text(e.name); err != nil {
			errs = append(errs, err)
			continue
		}
		switch {
		case *e.field != "":
			if err := checkEndpoint(*e.field, strings.HasPrefix(cfg.Issuer, "http:")); err != nil {
				errs = append(errs, fmt.Errorf("%s %w", e.name, err))
			}
		case e.required:
			errs = append(errs, fmt.Errorf("%s is missing", e.name))
		}
	}
	return errors.Join(errs...)
}

// checkEndpoint allows plaintext only to an OP whose issuer is itself http on loopback. An endpoint may have a query,
// which we add to, but no fragment (FLOW-45).
func checkEndpoint(address string, plaintext bool) error {
	if err := checkURL(address, plaintext); err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return errors.New("has a malformed query")
	}
	return nil
}

// checkCapabilities refuses an OP that says itself that our requests will fail (DIS-10). A list that is absent says
// nothing.
func checkCapabilities(doc object, cfg *Config) error {
	var errs []error
	for _, need := range []struct{ list, value string }{
		{"response_types_supported", "code"},
		{"response_modes_supported", "query"},
		{"grant_types_supported", "authorization_code"},
		{"code_challenge_methods_supported", "S256"}, // FLOW-03: there is no plain to fall back to
		{"id_token_signing_alg_values_supported", cfg.SigningAlg},
		{"token_endpoint_auth_methods_supported", string(cfg.ClientAuth)},
	} {
		var list []string
		if err := doc.read(need.list, &list); err != nil {
			errs = append(errs, err)
		} else if doc.has(need.list) && !slices.Contains(list, need.value) {
			errs = append(errs, fmt.Errorf("%s does not contain %s", need.list, need.value))
		}
	}
	var par bool
	if err := doc.read("require_pushed_authorization_requests", &par); err != nil {
		errs = append(errs, err)
	} else if par {
		errs = append(errs, errors.New("the OP requires pushed authorization requests, which are not supported yet"))
	}
	return errors.Join(errs...)
}
