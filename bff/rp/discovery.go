package rp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
	// PushedRequestEndpoint is pushed_authorization_request_endpoint, PushedRequestsRequired
	// require_pushed_authorization_requests (RFC 9126 §5).
	PushedRequestEndpoint  string
	PushedRequestsRequired bool
	// ResponseISS says that every authorization response carries iss: authorization_response_iss_parameter_supported
	// (RFC 9207 §3).
	ResponseISS bool
}

// discover fetches the discovery document. Its address follows from the configured issuer (DIS-02, DIS-03).
func (c *Client) discover(ctx context.Context) (object, error) {
	body, err := fetch(ctx, c.http, strings.TrimSuffix(c.cfg.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	doc, err := parseObject(body)
	if err != nil {
		return nil, fmt.Errorf("%w: the discovery document is %w", ErrUnavailable, err)
	}
	return doc, nil
}

// newMetadata takes from a discovery document what is used of it, all or nothing (DIS-07). The error says everything
// that keeps it from being used with cfg.
func newMetadata(doc object, cfg *Config) (Metadata, error) {
	m, rows := examine(doc, cfg)
	var errs []error
	for _, row := range rows {
		errs = append(errs, row.err())
	}
	if err := errors.Join(errs...); err != nil {
		return Metadata{}, fmt.Errorf("%w: the discovery document is unusable: %w", ErrUnavailable, err)
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
		return nil, fmt.Errorf("%w: GET %s: status %d instead of 200", ErrUnavailable, shownAddress(address), a.status)
	}
	return a.body, nil
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
		{"jwks_uri", &m.JWKSURI, cfg.needsKeys()},
		{"userinfo_endpoint", &m.UserinfoEndpoint, false},
		{"end_session_endpoint", &m.EndSessionEndpoint, false},
		{"revocation_endpoint", &m.RevocationEndpoint, false},
		{"pushed_authorization_request_endpoint", &m.PushedRequestEndpoint, false},
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

// maxEndpoint bounds, in bytes, each address of the OP: browsers are sent to them, and logs repeat them.
const maxEndpoint = 2048

// checkEndpoint allows plaintext only to an OP whose issuer is itself http on loopback. An endpoint may have a query,
// which we add to, but no fragment (FLOW-45).
func checkEndpoint(address string, plaintext bool) error {
	if err := checkURL(address, plaintext); err != nil {
		return err
	}
	if len(address) > maxEndpoint || !isVisible(address) {
		return fmt.Errorf("must have at most %d characters, all of them visible ASCII", maxEndpoint)
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
