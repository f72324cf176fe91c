package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	// defaultLifetime is that of an access token whose expires_in is missing or makes no sense (FLOW-31).
	defaultLifetime = 5 * time.Minute
	// maxLifetime keeps a nonsensical expires_in from overflowing.
	maxLifetime = 365 * 24 * time.Hour
)

// tokens is an answer of the token endpoint, checked for its form only.
type tokens struct {
	access, refresh, id secret.String
	issuedAt, expiresAt time.Time
	scope               []string // nil: as asked for
	details             json.RawMessage
	issuedType          string // RFC 8693 §2.2.1, in answers to a token exchange
}

// requestTokens makes exactly one token request. An answer of 200 that cannot be used is ErrUncertain: the OP has
// acted. The refresh token in it, if it can be read, then comes with the error.
func (c *Client) requestTokens(ctx context.Context, p *provider, form url.Values) (tokens, error) {
	started := c.now() // the lifetime counts from before the request, so that we never think it longer than it is
	a, err := c.post(ctx, p, p.TokenEndpoint, form, http.StatusOK)
	if err != nil {
		return tokens{}, err
	}
	t, err := parseTokens(a, started)
	if err != nil {
		return tokens{refresh: t.refresh}, fmt.Errorf("%w: token endpoint: %w", ErrUncertain, err)
	}
	return t, nil
}

// errorCode returns the registered error code of an error answer, or "".
func errorCode(a *answer) string {
	doc, err := parseObject(a.body)
	if err != nil || a.mediaType != "application/json" {
		return ""
	}
	code, err := doc.text("error")
	if err != nil {
		return ""
	}
	return registered(code, "")
}

// parseTokens reads a successful answer (RFC 6749 §5.1). Its errors say nothing of the values; what could be read comes
// with them.
func parseTokens(a *answer, started time.Time) (tokens, error) {
	if a.mediaType != "application/json" { // XOA-10
		return tokens{}, errors.New("the answer is not application/json")
	}
	doc, err := parseObject(a.body)
	if err != nil {
		return tokens{}, err
	}
	t := tokens{issuedAt: started, expiresAt: started.Add(lifetime(doc)), details: doc["authorization_details"]}
	var tokenType, access, refresh, id, scope string
	var mistyped error
	for name, field := range map[string]*string{
		"token_type": &tokenType, "access_token": &access, "refresh_token": &refresh, "id_token": &id, "scope": &scope,
	} {
		if *field, err = doc.text(name); err != nil {
			mistyped = err
		}
	}
	t.access, t.refresh, t.id = secret.New(access), secret.New(refresh), secret.New(id)
	t.issuedType, _ = doc.text("issued_token_type") // of a wrong type it is none, which only an exchange minds
	switch {
	case mistyped != nil:
		return t, mistyped
	case !strings.EqualFold(tokenType, "Bearer"): // FLOW-30
		return t, errors.New("token_type is not Bearer (FLOW-30)")
	case access == "":
		return t, errors.New("access_token is missing")
	case !isVisible(access):
		return t, errors.New("access_token has characters that no header can carry")
	}
	if doc.has("scope") {
		t.scope = strings.Fields(scope)
		if t.scope == nil {
			t.scope = []string{}
		}
	}
	return t, nil
}

// lifetime reads expires_in, which some OPs write as a string or with a fraction (XOA-05).
func lifetime(doc object) time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(doc["expires_in"]), `"`), 64)
	switch {
	case err != nil, !(seconds >= 1):
		return defaultLifetime
	case seconds > maxLifetime.Seconds():
		return maxLifetime
	}
	return time.Duration(seconds * float64(time.Second))
}

// isVisible reports whether s is visible ASCII without spaces: what an Authorization header can carry unchanged.
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
