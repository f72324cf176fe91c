// Package problem is the list of everything that Cloakroom says when it refuses: one code, one HTTP status and one
// title each, as RFC 9457 problem details name them. The packages bff and proxy return [Error] values and write no
// answer themselves; cmd/internal/gateway writes it, as JSON or as a page.
//
// What the client may read (Code, Detail) and what only the log may read (Err) are different fields, so that no
// cause, with its addresses and response bodies, reaches a browser by accident.
package problem

import (
	"fmt"
	"net/http"
)

// Code names a kind of refusal. Programs compare it; it never changes its meaning.
type Code string

// The codes.
const (
	BadReturnURL        Code = "bad_return_url"
	BadRequest          Code = "bad_request"
	PathRefused         Code = "path_refused"
	LoginFailed         Code = "login_failed"
	Unauthenticated     Code = "unauthenticated"
	SessionExpired      Code = "session_expired"
	SessionEnded        Code = "session_ended"
	StepUpRequired      Code = "step_up_required"
	CSRFHeaderMissing   Code = "csrf_header_missing"
	CrossSiteRequest    Code = "cross_site_request"
	Forbidden           Code = "forbidden"
	NotFound            Code = "not_found"
	MethodNotAllowed    Code = "method_not_allowed"
	TooLarge            Code = "too_large"
	Misdirected         Code = "misdirected"
	TooManyRequests     Code = "too_many_requests"
	Internal            Code = "internal"
	UpstreamUnavailable Code = "upstream_unavailable"
	UpstreamTimeout     Code = "upstream_timeout"
	StoreUnavailable    Code = "store_unavailable"
	ProviderUnavailable Code = "provider_unavailable"
	RefreshUnavailable  Code = "refresh_unavailable"
)

var kinds = map[Code]struct {
	status int
	title  string
}{
	BadReturnURL:        {http.StatusBadRequest, "The return address is not a path of this application"},
	BadRequest:          {http.StatusBadRequest, "The request is malformed"},
	PathRefused:         {http.StatusBadRequest, "The path is not in canonical form"},
	LoginFailed:         {http.StatusBadRequest, "Signing in did not work"},
	Unauthenticated:     {http.StatusUnauthorized, "Nobody is signed in"},
	SessionExpired:      {http.StatusUnauthorized, "The session has expired"},
	SessionEnded:        {http.StatusUnauthorized, "The session was ended"},
	StepUpRequired:      {http.StatusUnauthorized, "This needs a stronger or a more recent sign-in"},
	CSRFHeaderMissing:   {http.StatusForbidden, "The X-CSRF header is missing"},
	CrossSiteRequest:    {http.StatusForbidden, "The request comes from another site"},
	Forbidden:           {http.StatusForbidden, "Not allowed"},
	NotFound:            {http.StatusNotFound, "There is nothing here"},
	MethodNotAllowed:    {http.StatusMethodNotAllowed, "The method is not allowed here"},
	TooLarge:            {http.StatusRequestEntityTooLarge, "The request is too large"},
	Misdirected:         {http.StatusMisdirectedRequest, "This host is not served here"},
	TooManyRequests:     {http.StatusTooManyRequests, "Too many requests"},
	Internal:            {http.StatusInternalServerError, "Something went wrong"},
	UpstreamUnavailable: {http.StatusBadGateway, "The service behind this address does not answer"},
	UpstreamTimeout:     {http.StatusGatewayTimeout, "The service behind this address took too long"},
	StoreUnavailable:    {http.StatusServiceUnavailable, "Sessions cannot be read at the moment"},
	ProviderUnavailable: {http.StatusServiceUnavailable, "Signing in is not possible at the moment"},
	RefreshUnavailable:  {http.StatusServiceUnavailable, "The session cannot be renewed at the moment"},
}

// Status is the HTTP status of the code; 500 for a code that is not in the list.
func (c Code) Status() int {
	if k, ok := kinds[c]; ok {
		return k.status
	}
	return http.StatusInternalServerError
}

// Title is the short sentence of the code, the same at every occurrence (RFC 9457 §3.1.3).
func (c Code) Title() string {
	if k, ok := kinds[c]; ok {
		return k.title
	}
	return kinds[Internal].title
}

// Error is a refusal on its way to the one function that writes it.
type Error struct {
	Code Code
	// Detail is for the client: what is wrong with this request and what to do. It never holds foreign text.
	Detail string
	// Err is for the log: the cause. It never reaches the client.
	Err error
	// Allow lists the methods of the resource, for a 405 (RFC 9110 §15.5.6).
	Allow []string
	// Login are the parameters of the login that would help, for a 401 where any login would not (RFC 9470 §4).
	Login map[string]string
}

// New makes an Error with a detail for the client and no cause.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error with a cause for the log and nothing for the client beyond the code's title.
func Wrap(code Code, err error) *Error { return &Error{Code: code, Err: err} }

// Error is the text for the log.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
