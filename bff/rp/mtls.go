package rp

import (
	"errors"
	"fmt"
)

// useAliases replaces endpoints by those that an OP keeps for clients with a certificate: its mtls_endpoint_aliases,
// where we are one, in preference to the others (RFC 8705 §5, CA-12). They pass the same checks. To any other client
// they are nothing.
func (m *Metadata) useAliases(doc object, cfg *Config) error {
	if !cfg.ClientAuth.usesTLS() {
		return nil
	}
	var aliases object
	if err := doc.read("mtls_endpoint_aliases", &aliases); err != nil {
		return err
	}
	var errs []error
	for name, endpoint := range map[string]*string{
		"token_endpoint":                        &m.TokenEndpoint,
		"userinfo_endpoint":                     &m.UserinfoEndpoint,
		"revocation_endpoint":                   &m.RevocationEndpoint,
		"pushed_authorization_request_endpoint": &m.PushedRequestEndpoint,
	} {
		alias, err := aliases.text(name)
		if err == nil && alias != "" {
			err = checkEndpoint(alias, false)
			*endpoint = alias
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("mtls_endpoint_aliases: %s %w", name, err))
		}
	}
	return errors.Join(errs...)
}
