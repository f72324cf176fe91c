package optest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// clientCredentials gives a client a token of its own (RFC 6749, 4.4). The subject is the client (RFC 9068, 2.2). Neither
// a refresh token (4.4.3) nor an ID token comes with it.
func (op *OP) clientCredentials(r *http.Request, client Client) (map[string]any, error) {
	targets, err := op.targets(r.PostForm)
	if err != nil {
		return nil, err
	}
	scopes := without(client.allowed(strings.Fields(r.PostForm.Get("scope"))), "openid", "offline_access")
	g := &grant{client: client, session: &session{subject: client.ID}, scopes: scopes}
	return op.accessTokenResponse(r, g, scopes, targets)
}

// targets are what an access token is asked for: resources (RFC 8707, 2) and an audience (RFC 8693, 2.1), which is one of
// the OP's resources by its name.
func (op *OP) targets(form url.Values) ([]string, error) {
	if refused := op.checkResources(form["resource"]); refused != nil {
		return nil, refused
	}
	audience := form.Get("audience")
	if audience == "" {
		return form["resource"], nil
	}
	if len(op.resources) > 0 && !slices.Contains(op.resources, audience) {
		return nil, refuse("invalid_target", "unknown audience")
	}
	return append(slices.Clone(form["resource"]), audience), nil
}

// allowed are the scopes that the client may have.
func (c Client) allowed(scopes []string) []string {
	if len(c.Scopes) == 0 {
		return scopes
	}
	return slices.DeleteFunc(scopes, func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

func without(list []string, others ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}
