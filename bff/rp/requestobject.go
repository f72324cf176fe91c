package rp

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// requestObjectLife is how long an authorization request may be used after it was signed.
const requestObjectLife = 5 * time.Minute

// requestObject signs the parameters of an authorization request (RFC 9101 §4, JAR-01). Its typ, and that it has no
// sub, keep anyone from using it as a client assertion (§10.8, JAR-02).
func (c *Client) requestObject(p *provider, params url.Values) (string, error) {
	claims := map[string]any{}
	for name := range params {
		claims[name] = claim(name, params[name])
	}
	now := c.now()
	claims["iss"] = c.cfg.ClientID
	claims["aud"] = p.Issuer
	claims["iat"] = now.Unix()
	claims["nbf"] = now.Add(-leeway).Unix() // the OP's clock may be behind ours
	claims["exp"] = now.Add(requestObjectLife).Unix()
	claims["jti"] = rand.Text()

	key, err := c.cfg.Keys.signer(c.cfg.RequestObjectAlg)
	if err != nil {
		return "", fmt.Errorf("%w: signing the request object: %w", ErrUnavailable, err)
	}
	return signJWT(key, "oauth-authz-req+jwt", claims)
}

// claim is a parameter as a request object writes it: JSON where its definition has a number (Core §3.1.2.1 max_age), an
// object (Core §5.5) or an array (RFC 9396 §2, RFC 8707 §2), otherwise the string.
func claim(name string, values []string) any {
	switch name {
	case "max_age":
		if age, err := parseMaxAge(values[0]); err == nil {
			return int64(age / time.Second)
		}
	case "claims", "authorization_details":
		return json.RawMessage(values[0])
	}
	if len(values) > 1 {
		return values
	}
	return values[0]
}
