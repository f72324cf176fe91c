package rp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/session/secret"
)

// What can go wrong, as far as callers act on it; compare with [errors.Is]. No text of any error of this package holds
// a token, a code, a secret or the body of an answer.
var (
	// ErrUnavailable: the OP cannot be reached, answers 5xx, 429 or a redirect, or its metadata is missing or
	// unusable. Nothing was spent as far as we know; trying again later is right.
	ErrUnavailable = errors.New("the OP is not available")
	// ErrUncertain: a request was sent and no usable answer came. The code or refresh token may be spent, so it must
	// not be sent again (RFR-29).
	ErrUncertain = errors.New("the OP may have acted, its answer is lost")
	// ErrInvalidGrant: the OP says invalid_grant. The code or refresh token is worth nothing any more (RFR-28).
	ErrInvalidGrant = errors.New("the grant is not valid any more")
	// ErrInvalidClient: the OP does not accept our credentials. The session is not to blame.
	ErrInvalidClient = errors.New("the OP refuses the client's credentials; compare client_id, client_auth and client_secret")
	// ErrInvalidTarget: the OP gives no token for this audience or resource (EXT-01). The configuration is to blame, here
	// or at the OP, and not the session.
	ErrInvalidTarget = errors.New("no token for this audience or resource")
	// ErrMismatch: what the OP sent belongs to another user, login or client than the one it was asked about.
	ErrMismatch = errors.New("the OP's answer does not belong to this login")
	// ErrIDToken: an ID token failed a check; the text names it.
	ErrIDToken = errors.New("ID token refused")
	// ErrResponse: an authorization response is malformed or does not answer our request; the text names the check.
	ErrResponse = errors.New("authorization response refused")
	// ErrParameter: a login parameter cannot be sent.
	ErrParameter = errors.New("bad login parameter")
	// ErrUnsupported: the OP has no such endpoint.
	ErrUnsupported = errors.New("the OP does not support this")
)

// AuthorizationError is an error response of the authorization endpoint that passed every check (FLOW-13): the OP
// really said this about our request.
type AuthorizationError struct {
	// Code is a registered code (Core §3.1.2.6 and its extensions), or "unknown"; nothing else of the answer is repeated
	// (FLOW-40).
	Code string
}

func (e *AuthorizationError) Error() string { return "the OP answered " + e.Code + advice(e.Code) }

// TokenError is an error answer of an endpoint that we call with our client authentication: for tokens, revocation or
// pushed requests.
type TokenError struct {
	Status int
	Code   string // a registered code (RFC 6749 §5.2 and its extensions), or ""
}

func (e *TokenError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the OP answered %d %s", e.Status, e.Code)) + advice(e.Code)
}

// Is says which of the package's errors this is. A server in trouble may write anything into its body, so its status
// decides before the code does: no 5xx ends a session (RFR-28), and a success of another kind than 200 is one all the
// same.
func (e *TokenError) Is(target error) bool {
	switch {
	case e.Status < 300:
		return target == ErrUncertain
	case e.Status >= 500, e.Status == http.StatusTooManyRequests, e.Status < 400,
		e.Code == "temporarily_unavailable", e.Code == "server_error":
		return target == ErrUnavailable
	case e.Code == "invalid_grant":
		return target == ErrInvalidGrant
	case e.Code == "invalid_client", e.Code == "unauthorized_client", e.Code == "" && e.Status == http.StatusUnauthorized:
		return target == ErrInvalidClient
	case e.Code == "invalid_target":
		return target == ErrInvalidTarget
	}
	return false
}

// MismatchError is a refresh whose whole answer was dropped (RFR-09). It is [ErrMismatch] and also the failed check.
type MismatchError struct {
	// RefreshToken came with the dropped answer and is to be revoked; empty when none came.
	RefreshToken secret.String
	check        error
}

func (e *MismatchError) Error() string { return ErrMismatch.Error() + ": " + e.check.Error() }

// Unwrap returns ErrMismatch and the failed check.
func (e *MismatchError) Unwrap() []error { return []error{ErrMismatch, e.check} }

// errorCodes are the codes that an OP may answer with, at any of its endpoints.
var errorCodes = []string{
	"invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope",
	"server_error", "temporarily_unavailable", // RFC 6749 §4.1.2.1
	"invalid_client", "invalid_grant", "unsupported_grant_type", // §5.2
	"unsupported_token_type", // RFC 7009 §2.2.1
	"interaction_required", "login_required", "account_selection_required", "consent_required", "invalid_request_uri",
	"invalid_request_object", "request_not_supported", "request_uri_not_supported", "registration_not_supported", // Core §3.1.2.6
	"unmet_authentication_requirements", // OpenID Connect Unmet Authentication Requirements 1.0 (EXT-10)
	"invalid_target",                    // RFC 8707 §2
	"invalid_token",                     // RFC 6750 §3.1
	"invalid_authorization_details",     // RFC 9396 §5
}

// registered returns code when it is one that we know and otherwise what to use instead: text from outside that is not
// in a list of ours goes nowhere.
func registered(code, otherwise string) string {
	if slices.Contains(errorCodes, code) {
		return code
	}
	return otherwise
}

// advice continues the text of an error about which only the operator can do something.
func advice(code string) string {
	switch code {
	case "invalid_target":
		return "; the OP does not know what audience or resource says in the configuration, or not for this client (EXT-01)"
	case "invalid_authorization_details":
		return "; the OP does not take what authorization_details says in the configuration"
	case "invalid_scope":
		return "; the OP does not allow what scopes says in the configuration"
	case "invalid_request_object", "request_not_supported":
		return "; compare request_object_signing_alg and the registered keys"
	}
	return ""
}
