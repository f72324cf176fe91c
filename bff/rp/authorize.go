package rp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

// maxParam bounds, in bytes, each parameter that the browser chose.
const maxParam = 512

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
		case len(values[0]) > maxParam || !isText(values[0]):
			return fmt.Errorf("%w: %s must have at most %d bytes and no control characters", ErrParameter, name, maxParam)
		}
		if err := checkParam(name, values[0]); err != nil {
			return fmt.Errorf("%w: %w", ErrParameter, err)
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// checkParam says what is wrong with a parameter whose value has a form.
func checkParam(name, value string) error {
	switch name {
	case "max_age":
		if _, err := parseMaxAge(value); err != nil {
			return errors.New("max_age must be a number of seconds")
		}
	case "claims":
		if _, err := parseClaimsRequest(value); err != nil {
			return errors.New("claims must be a JSON object (Core §5.5)")
		}
	}
	return nil
}

func parseMaxAge(s string) (time.Duration, error) {
	seconds, err := strconv.ParseUint(s, 10, 31)
	return time.Duration(seconds) * time.Second, err
}

// validateRequests checks what authorization requests are made of.
func (cfg *Config) validateRequests() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	for name, value := range cfg.AuthorizationParams {
		if slices.Contains(protocolParams, name) {
			bad("authorization_params must not contain %s, which has a key of its own or is set for each login", name)
		} else if err := checkParam(name, value); err != nil {
			bad("authorization_params: %w", err)
		}
	}
	for _, resource := range cfg.Resource {
		if !isResource(resource) {
			bad("resource must hold absolute URIs without a fragment (RFC 8707)")
		}
	}
	if types, err := detailTypes(cfg.AuthorizationDetails); err != nil {
		errs = append(errs, err)
	} else if len(cfg.AuthorizationDetails) > 0 && len(types) == 0 {
		bad("authorization_details must not be empty; leave the key out")
	}
	if !slices.Contains([]PushedRequests{PushedAuto, PushedRequired, PushedOff}, cfg.PushedRequests) {
		bad("pushed_authorization_requests must be auto, required or off")
	}
	switch {
	case cfg.RequestObjectAlg == "":
	case cfg.Keys == nil:
		bad("request_object_signing_alg needs a key: set client_key_file")
	default:
		if _, err := cfg.Keys.signer(cfg.RequestObjectAlg); err != nil {
			bad("request_object_signing_alg: client_key_file: %w", err)
		}
	}
	return errors.Join(errs...)
}

// asked returns a parameter as it was sent: the configured value, or else the browser's.
func (c *Client) asked(r AuthorizationRequest, name string) string {
	if fixed, ok := c.cfg.AuthorizationParams[name]; ok {
		return fixed
	}
	return r.Params.Get(name)
}

// AuthorizationURL returns where to send the browser: the code flow with PKCE S256, state and nonce, always (FLOW-01,
// FLOW-05). With pushed requests that takes a request to the OP, bounded by ctx and the timeout of all requests. The
// address works once and, if expiresIn is not zero, for that long.
//
// Errors: ErrParameter, ErrUnavailable; and when the OP refuses a pushed request, ErrInvalidClient or another
// *TokenError.
func (c *Client) AuthorizationURL(ctx context.Context, r AuthorizationRequest) (address string, expiresIn time.Duration, err error) {
	p, err := c.loaded()
	if err != nil {
		return "", 0, err
	}
	if err := r.validate(); err != nil {
		return "", 0, err
	}
	pushes := c.pushesTo(p)
	params := c.authorizationParams(r)
	if c.cfg.RequestObjectAlg != "" {
		object, err := c.requestObject(p, params)
		if err != nil {
			return "", 0, err
		}
		params = url.Values{"client_id": {c.cfg.ClientID}, "request": {object}}
		if !pushes { // Core §6.1 wants these two outside as well, RFC 9101 does not mind them
			params.Set("response_type", "code")
			params.Set("scope", "openid")
			expiresIn = requestObjectLife
		}
	}
	if pushes {
		var requestURI string
		if requestURI, expiresIn, err = c.push(ctx, p, params); err != nil {
			return "", 0, err
		}
		params = url.Values{"client_id": {c.cfg.ClientID}, "request_uri": {requestURI}} // PAR-04
	}
	address, err = withParams(p.AuthorizationEndpoint, params)
	return address, expiresIn, err
}

// authorizationParams is the whole request. Of the same name the configured value counts, and nothing overrides what
// the protocol needs.
func (c *Client) authorizationParams(r AuthorizationRequest) url.Values {
	params := url.Values{}
	for name := range r.Params {
		params.Set(name, r.Params.Get(name))
	}
	for name, value := range c.cfg.AuthorizationParams {
		params.Set(name, value)
	}
	params.Set("response_type", "code")
	if c.cfg.ResponseMode != ResponseQuery { // which is the default of the code flow
		params.Set("response_mode", string(c.cfg.ResponseMode))
	}
	params.Set("client_id", c.cfg.ClientID)
	params.Set("redirect_uri", c.cfg.RedirectURI)
	params.Set("scope", strings.Join(c.cfg.Scopes, " "))
	params.Set("state", r.State)
	params.Set("nonce", r.Nonce)
	params.Set("code_challenge", oauth2.S256ChallengeFromVerifier(r.Verifier.Reveal()))
	params.Set("code_challenge_method", "S256")
	if len(c.cfg.Resource) > 0 {
		params["resource"] = c.cfg.Resource
	}
	if len(c.cfg.AuthorizationDetails) > 0 {
		params.Set("authorization_details", string(c.cfg.AuthorizationDetails))
	}
	return params
}

// withParams adds params to the query that an endpoint may already have (FLOW-45); of the same name, ours count.
func withParams(endpoint string, params url.Values) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	query := u.Query()
	maps.Copy(query, params)
	u.RawQuery = query.Encode()
	return u.String(), nil
}
