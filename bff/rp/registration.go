package rp

// Issuer is the configured issuer, known before the OP's metadata are.
func (c *Client) Issuer() string { return c.cfg.Issuer }

// FixedParam is what the configuration sends for a parameter with every authorization request, whatever a browser adds.
func (c *Client) FixedParam(name string) (value string, fixed bool) {
	value, fixed = c.cfg.AuthorizationParams[name]
	return value, fixed
}

// LegacyAudience reports whether client assertions are for the token endpoint and not for the issuer (CA-06).
func (c *Client) LegacyAudience() bool { return c.cfg.LegacyAudience }

// Pushes reports whether each call of AuthorizationURL costs the OP a request, since authorization requests are pushed
// to it (PAR-06). It is false while the metadata are not loaded: nothing is sent then.
func (c *Client) Pushes() bool {
	p, err := c.loaded()
	return err == nil && c.pushesTo(p)
}
