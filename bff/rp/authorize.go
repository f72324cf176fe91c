package rp

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/cloakroom/cloakroom/session/secret"
)

// AuthorizationRequest is one login in flight: made afresh for each, kept where only this browser can bring it back
// (FLOW-04), and needed again for the exchange.
type AuthorizationRequest struct {
	State    string        // at least 22 characters from a CSPRNG
	Nonce    string        // 22 to 64 characters from a CSPRNG (IDT-15)
	Verifier secret.String // PKCE code_verifier, from oauth2.GenerateVerifier (FLOW-02)
	// Params are login parameters that the browser chose and the caller has allowed, such as login_hint, prompt or
	// max_age (FLOW-44).
	Params url.Values
	// Started is when the browser was sent to the OP: the moment at which max_age counts. Zero means the moment of the
	// exchange, which is later by all that the user did at the OP.
	Started time.Time
}

// verifierForm is RFC 7636 §4.1.
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

func (r *AuthorizationRequest) validate() error {
	switch {
	case len(r.State) < 22:
		return fmt.Errorf("%w: state must have at least 22 characters (FLOW-05)", ErrParameter)
	case len(r.Nonce) < 22 || len(r.Nonce) > 64:
		return fmt.Errorf("%w: nonce must have 22 to 64 characters (IDT-15)", ErrParameter)
	case !verifierForm.MatchString(r.Verifier.Reveal()):
		return fmt.Errorf("%w: the code verifier must have 43 to 128 unreserved characters (FLOW-02)", ErrParameter)
	}
	for name, values := range r.Params {
		switch {
		case slices.Contains(protocolParams, name):
			return fmt.Errorf("%w: %s is set by us alone (FLOW-44)", ErrParameter, name)
		case len(values) != 1:
			return fmt.Errorf("%w: %s must be given once", ErrParameter, name)
		}
	}
	if s := r.Params.Get("max_age"); s != "" {
		if _, err := parseMaxAge(s); err != nil {
			return fmt.Errorf("%w: max_age must be a number of seconds", ErrParameter)
		}
	}
	return nil
}

func parseMaxAge(s string) (time.Duration, error) {
	seconds, err := strconv.ParseUint(s, 10, 31)
	return time.Duration(seconds) * time.Second, err
}

// asked returns a parameter as it was sent: the configured value, or else the browser's.
func (c *Client) asked(r AuthorizationRequest, name string) string {
	if fixed, ok := c.cfg.AuthorizationParams[name]; ok {
		return fixed
	}
	return r.Params.Get(name)
}

// AuthorizationURL returns where to send the browser: the code flow with PKCE S256, state and nonce, always (FLOW-01,
// FLOW-05). Errors: ErrUnavailable, ErrParameter.
func (c *Client) AuthorizationURL(_ context.Context, r AuthorizationRequest) (string, error) {
	p, err := c.loaded()
	if err != nil {
		return "", err
	}
	if err := r.validate(); err != nil {
		return "", err
	}
	params := url.Values{}
	for name := range r.Params {
		params.Set(name, r.Params.Get(name))
	}
	for name, value := range c.cfg.AuthorizationParams {
		params.Set(name, value)
	}
	params.Set("response_type", "code")
	params.Set("client_id", c.cfg.ClientID)
	params.Set("redirect_uri", c.cfg.RedirectURI)
	params.Set("scope", strings.Join(c.cfg.Scopes, " "))
	params.Set("state", r.State)
	params.Set("nonce", r.Nonce)
	params.Set("code_challenge", oauth2.S256ChallengeFromVerifier(r.Verifier.Reveal()))
	params.Set("code_challenge_method", "S256")
	return withParams(p.AuthorizationEndpoint, params)
}

// withParams adds params to the query that an endpoint may already have (FLOW-45); of the same name, ours count.
func withParams(endpoint string, params url.Values) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	query := u.Query()
	for name := range params {
		query.Set(name, params.Get(name))
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// CheckResponse checks an authorization response against the flow's state and returns its code. It sends nothing.
// An error response that passed the checks is an *AuthorizationError, any other refusal ErrResponse; ErrUnavailable
// when the OP's metadata is not loaded. Unknown parameters are ignored (FLOW-28).
func (c *Client) CheckResponse(params url.Values, state string) (code secret.String, err error) {
	p, err := c.loaded()
	if err != nil {
		return secret.String{}, err
	}
	refuse := func(id, why string) (secret.String, error) {
		return secret.String{}, fmt.Errorf("%w: %s (%s)", ErrResponse, why, id)
	}
	for _, values := range params {
		if len(values) != 1 {
			return refuse("FLOW-26", "a parameter occurs twice")
		}
	}
	if state == "" || subtle.ConstantTimeCompare([]byte(params.Get("state")), []byte(state)) != 1 {
		return refuse("FLOW-05", "the state is wrong")
	}
	switch {
	case p.ResponseISS && !params.Has("iss"):
		return refuse("FLOW-11", "iss is missing, though the OP says it always sends it")
	case p.ResponseISS && params.Get("iss") != p.Issuer:
		return refuse("FLOW-10", "iss is not the issuer that was asked")
	case !p.ResponseISS && params.Has("iss"):
		return refuse("FLOW-12", "iss came from an OP that does not announce it")
	}
	for _, name := range []string{"access_token", "id_token", "token_type", "response"} {
		if params.Has(name) {
			return refuse("FLOW-20", "it contains "+name+", which was not asked for")
		}
	}
	switch {
	case params.Has("error") && params.Has("code"):
		return refuse("FLOW-13", "it contains both a code and an error")
	case params.Has("error"):
		return secret.String{}, &AuthorizationError{registered(params.Get("error"), authorizationCodes, "unknown")}
	case params.Get("code") == "":
		return refuse("FLOW-05", "it contains neither a code nor an error")
	}
	return secret.New(params.Get("code")), nil
}
