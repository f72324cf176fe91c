package optest

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// checkResources checks resource indicators (RFC 8707, 2): absolute URIs without fragment, and of resources that the
// OP knows.
func (op *OP) checkResources(resources []string) *refusal {
	for _, resource := range resources {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			return refuse("invalid_target", "resource is not an absolute URI without fragment")
		}
		if len(op.resources) > 0 && !slices.Contains(op.resources, resource) {
			return refuse("invalid_target", "unknown resource")
		}
	}
	return nil
}

// narrow returns the resources of an access token: those that the token request names, which must be among those of
// the authorization (RFC 8707, 2.2), or all of these.
func (g *grant) narrow(wanted []string) ([]string, error) {
	for _, resource := range wanted {
		if !slices.Contains(g.resources, resource) {
			return nil, refuse("invalid_target", "resource is not one of the authorization request")
		}
	}
	if len(wanted) == 0 {
		return g.resources, nil
	}
	return wanted, nil
}

// readAuthorizationDetails checks authorization_details (RFC 9396, 2): a JSON array of objects, each with a type.
func readAuthorizationDetails(text string) ([]any, *refusal) {
	invalid := refuse("invalid_authorization_details", "authorization_details is not an array of objects with a type")
	var objects []map[string]any
	if json.Unmarshal([]byte(text), &objects) != nil || objects == nil {
		return nil, invalid
	}
	details := []any{}
	for _, object := range objects {
		if name, _ := object["type"].(string); name == "" {
			return nil, invalid
		}
		details = append(details, object)
	}
	return details, nil
}
