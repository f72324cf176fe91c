package rp

import (
	"context"
	"net/url"
	"time"
)

// maxResponseLife is how far ahead the exp of a response JWT may lie; JARM §2.1 recommends ten minutes.
const maxResponseLife = time.Hour

// readJWT takes the response out of its JWT (JARM §2.4), and that is the only place where it is looked for: what
// stands beside the JWT anyone may have written (JRM-01), and so may a response without one (JRM-04). What the JWT says
// is read after all there is to check about the JWT itself (JRM-02).
func (c *Client) readJWT(ctx context.Context, p *provider, outer url.Values) (*Response, error) {
	for _, name := range responseParams {
		if name != "response" && outer.Has(name) {
			return nil, refuseResponse("JRM-01", name+" stands outside of the JWT that was asked for")
		}
	}
	if len(outer["response"]) != 1 {
		return nil, refuseResponse("JRM-04", "it must contain one JWT, in response")
	}
	kind := jwtKind{
		refused: ErrResponse, alg: c.cfg.ResponseSigningAlg, encryption: c.cfg.ResponseEncryption, typ: isPlainJWT,
		forbidden: "nonce", // which makes it an ID token, for nothing in its header tells the two apart
	}
	claims, err := c.openJWT(ctx, p, outer.Get("response"), kind)
	if err != nil {
		return nil, err
	}
	t, err := c.checkTimes(kind, claims, "exp")
	if err != nil {
		return nil, err
	}
	if t.exp.After(c.now().Add(maxResponseLife)) {
		return nil, refuseResponse("JRM-02", "exp is too far ahead")
	}
	inner := url.Values{}
	for _, name := range responseParams {
		if !claims.has(name) {
			continue
		}
		value, err := claims.text(name)
		if err != nil {
			return nil, refuseResponse("JRM-02", err.Error())
		}
		inner.Set(name, value)
	}
	return &Response{params: inner, signed: true}, nil
}
