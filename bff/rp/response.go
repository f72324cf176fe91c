package rp

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/cloakroom/cloakroom/session/secret"
)

// maxResponse bounds, in bytes, the body of an authorization response.
const maxResponse = 64 << 10

// responseParams are the parameters that make a request an authorization response. Others are ignored (FLOW-28).
var responseParams = []string{
	"code", "state", "iss", "error", "error_description", "error_uri", "response", "access_token", "token_type", "id_token",
}

// Response is an authorization response as it came through the channel of the configured response mode. Nothing in it
// is believed before CheckResponse.
type Response struct {
	params url.Values
	signed bool // they come from a JWT of the OP, which said for whom it is and from whom
}

// State is the response's state, by which the caller finds the flow that it claims to answer.
func (r *Response) State() string { return r.params.Get("state") }

func refuseResponse(id, why string) error { return fmt.Errorf("%w: %s (%s)", ErrResponse, why, id) }

// ReadResponse reads an authorization response from a request to the redirect URI: from the one channel of the
// configured response mode (FLOW-27), and from inside the JWT where that is the mode (JRM-01 to JRM-04). Errors:
// ErrResponse, ErrUnavailable.
func (c *Client) ReadResponse(ctx context.Context, r *http.Request) (*Response, error) {
	read := readQuery
	if c.cfg.ResponseMode.isPost() {
		read = readForm
	}
	params, err := read(r)
	if err != nil {
		return nil, err
	}
	if !c.cfg.ResponseMode.isJWT() {
		return &Response{params: params}, nil
	}
	p, err := c.loaded()
	if err != nil {
		return nil, err
	}
	return c.readJWT(ctx, p, params)
}

// readQuery is the channel of the modes query and query.jwt.
func readQuery(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodGet || r.ContentLength != 0 {
		return nil, refuseResponse("FLOW-27", "it must come by GET, without a body")
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuseResponse("FLOW-27", "the query cannot be read")
	}
	return params, nil
}

// readForm is the channel of the modes form_post and form_post.jwt (FPM-01).
func readForm(r *http.Request) (url.Values, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, refuseResponse("FPM-01", "it must come by POST, as application/x-www-form-urlencoded")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuseResponse("FLOW-27", "the query cannot be read")
	}
	for _, name := range responseParams {
		if query.Has(name) {
			return nil, refuseResponse("FLOW-27", "the query of a form_post contains "+name)
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse+1))
	if err != nil {
		return nil, refuseResponse("FPM-01", "the body cannot be read")
	}
	if len(body) > maxResponse {
		return nil, refuseResponse("FPM-01", fmt.Sprintf("it is larger than %d bytes", maxResponse))
	}
	params, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuseResponse("FPM-01", "the form cannot be read")
	}
	return params, nil
}

// PostsResponse reports whether the response comes as a cross-site POST, for which the cookie of the flow must be
// SameSite=None (FPM-02).
func (c *Client) PostsResponse() bool { return c.cfg.ResponseMode.isPost() }

// CheckResponse checks an authorization response against the flow's state and returns its code. It sends nothing.
// An error response that passed the checks is an *AuthorizationError, any other refusal ErrResponse; ErrUnavailable
// when the OP's metadata is not loaded. Unknown parameters are ignored (FLOW-28).
func (c *Client) CheckResponse(response *Response, state string) (code secret.String, err error) {
	p, err := c.loaded()
	if err != nil {
		return secret.String{}, err
	}
	params := response.params
	for _, values := range params {
		if len(values) != 1 {
			return secret.String{}, refuseResponse("FLOW-26", "a parameter occurs twice")
		}
	}
	if state == "" || subtle.ConstantTimeCompare([]byte(params.Get("state")), []byte(state)) != 1 {
		return secret.String{}, refuseResponse("FLOW-05", "the state is wrong")
	}
	if !response.signed { // a JWT has said its issuer by itself (RFC 9207 §2.4, JRM-03)
		if err := p.checkResponseIssuer(params); err != nil {
			return secret.String{}, err
		}
	}
	for _, name := range []string{"access_token", "id_token", "token_type", "response"} {
		if params.Has(name) {
			return secret.String{}, refuseResponse("FLOW-20", "it contains "+name+", which was not asked for")
		}
	}
	switch {
	case params.Has("error") && params.Has("code"):
		return secret.String{}, refuseResponse("FLOW-13", "it contains both a code and an error")
	case params.Has("error"):
		return secret.String{}, &AuthorizationError{registered(params.Get("error"), "unknown")}
	case params.Get("code") == "":
		return secret.String{}, refuseResponse("FLOW-05", "it contains neither a code nor an error")
	}
	return secret.New(params.Get("code")), nil
}

// checkResponseIssuer compares iss with the OP that was asked (RFC 9207 §2.4).
func (p *provider) checkResponseIssuer(params url.Values) error {
	switch {
	case p.ResponseISS && !params.Has("iss"):
		return refuseResponse("FLOW-11", "iss is missing, though the OP says it always sends it")
	case p.ResponseISS && params.Get("iss") != p.Issuer:
		return refuseResponse("FLOW-10", "iss is not the issuer that was asked")
	case !p.ResponseISS && params.Has("iss"):
		return refuseResponse("FLOW-12", "iss came from an OP that does not announce it")
	}
	return nil
}
