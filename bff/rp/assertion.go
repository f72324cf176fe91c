package rp

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertionLifetime is how long an OP may take a client assertion (CA-04). It has arrived a moment after it was made;
// the rest is for clocks that differ.
const assertionLifetime = time.Minute

// assertion is the claims of a client assertion (Core §9, RFC 7523 §3). The audience is a string: in an array, which
// go-jose's claims would write, one OP could hand the assertion on to another (CA-05).
type assertion struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// newAssertion signs a client assertion for one request to any endpoint of the OP. Its audience is the issuer, and its
// typ says that it was made by that rule (CA-05, CA-07; RFC 7523bis §1, §4). An OP of before gets both as they were,
// since some of them refuse a typ that they do not know (CA-06).
func (c *Client) newAssertion(p *provider) (string, error) {
	key := jose.JSONWebKey{Key: []byte(c.cfg.ClientSecret.Reveal()), Algorithm: macAlg}
	if c.cfg.ClientAuth == PrivateKeyJWT {
		var err error
		if key, err = c.cfg.Keys.signer(""); err != nil {
			return "", err
		}
	}
	typ, audience := "client-authentication+jwt", p.Issuer
	if c.cfg.LegacyAudience {
		typ, audience = "JWT", p.TokenEndpoint
	}
	now := c.now()
	return signJWT(key, typ, assertion{
		Issuer:   c.cfg.ClientID,
		Subject:  c.cfg.ClientID,
		Audience: audience,
		ID:       rand.Text(), // 130 bits: no OP has seen it before
		IssuedAt: now.Unix(),
		Expires:  now.Add(assertionLifetime).Unix(),
	})
}

// signJWT signs claims with the algorithm and the kid of one of our keys.
func signJWT(key jose.JSONWebKey, typ string, claims any) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key},
		new(jose.SignerOptions).WithType(jose.ContentType(typ)),
	)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}
