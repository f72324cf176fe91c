package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// maxRequestURI bounds, in bytes, what the browser carries to the OP.
const maxRequestURI = 2048

// pushesTo reports whether authorization requests are pushed (PAR-01). That an OP lacks the endpoint and one side
// demands it was refused with its metadata.
func (c *Client) pushesTo(p *provider) bool {
	return c.cfg.PushedRequests != PushedOff && p.PushedRequestEndpoint != ""
}

// push hands the OP an authorization request behind the browser's back (RFC 9126 §2), once. An OP that gives no usable
// answer is ErrUnavailable: what it may have stored runs out by itself, and the next login pushes anew (PAR-05). There
// is no falling back to parameters in the browser (PAR-03).
func (c *Client) push(ctx context.Context, p *provider, params url.Values) (requestURI string, expiresIn time.Duration, err error) {
	a, err := c.post(ctx, p, p.PushedRequestEndpoint, params, http.StatusCreated)
	if err == nil {
		requestURI, expiresIn, err = parsePushed(a)
	}
	if errors.Is(err, ErrUncertain) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return "", 0, fmt.Errorf("pushed authorization request: %w", err)
	}
	return requestURI, expiresIn, nil
}

// parsePushed reads a successful answer (RFC 9126 §2.2).
func parsePushed(a *answer) (requestURI string, expiresIn time.Duration, err error) {
	unusable := func(why string) (string, time.Duration, error) {
		return "", 0, fmt.Errorf("%w: %s (PAR-03)", ErrUnavailable, why)
	}
	if a.mediaType != "application/json" {
		return unusable("the answer is not application/json")
	}
	doc, err := parseObject(a.body)
	if err != nil {
		return unusable("the answer is " + err.Error())
	}
	if requestURI, err = doc.text("request_uri"); err != nil {
		return unusable(err.Error())
	}
	if u, err := url.Parse(requestURI); err != nil || !u.IsAbs() || !isVisible(requestURI) || len(requestURI) > maxRequestURI {
		return unusable("request_uri is missing or no URI")
	}
	var seconds int64
	if err := json.Unmarshal(doc["expires_in"], &seconds); err != nil || seconds <= 0 {
		return unusable("expires_in is missing or no positive integer")
	}
	return requestURI, time.Duration(min(seconds, int64(maxLifetime/time.Second))) * time.Second, nil
}
