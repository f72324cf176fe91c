package optest

import (
	"net/http"
	"strings"
)

// GrantTokenExchange is the grant_type of RFC 8693, 2.1, for CountGrants and OnGrantType.
const GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

// exchangeToken gives a client another access token for one that it has (RFC 8693, 2). The new one has a lifetime of its
// own, which may outlast the old one's, and ends with the same grant. An access token that is not good is an
// invalid_request (2.2.2).
func (op *OP) exchangeToken(r *http.Request, client Client) (map[string]any, error) {
	form := r.PostForm
	targets, err := op.targets(form)
	if err != nil {
		return nil, err
	}
	subject, ok := op.activeAccessToken(form.Get("subject_token"))
	switch {
	case form.Get("subject_token_type") != accessTokenType:
		return nil, refuse("invalid_request", "subject_token_type is not "+accessTokenType)
	case form.Has("requested_token_type") && form.Get("requested_token_type") != accessTokenType:
		return nil, refuse("invalid_request", "requested_token_type is not "+accessTokenType)
	case form.Has("actor_token"):
		return nil, refuse("invalid_request", "actors are not supported")
	case !ok || subject.grant.client.ID != client.ID:
		return nil, refuse("invalid_request", "the subject token is not a good access token of this client")
	}
	scopes := subject.scopes
	if form.Has("scope") {
		scopes = client.allowed(strings.Fields(form.Get("scope")))
	}
	response, err := op.accessTokenResponse(r, subject.grant, scopes, targets)
	if err != nil {
		return nil, err
	}
	response["issued_token_type"] = accessTokenType
	return response, nil
}
