package gateway

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session"
)

// Target is for whom the access token of a route is. The zero value is for all upstreams alike.
type Target struct {
	Audience string // the name of an upstream (RFC 8693 §2.1), or with token: user an absolute URI, which is a resource
	Resource string // an absolute URI (RFC 8707 §2)
	Scopes   []string
	Provider string // of token: client; "" is the first
}

func (t *Target) decode(b *block) {
	t.Audience = b.text("audience", "")
	t.Resource = b.text("resource", "")
	t.Scopes = b.list("scopes")
	t.Provider = b.text("provider", "")
}

// audience is the target as the session manager knows it, for a route with a user's token.
func (t *Route) audience() session.Audience {
	if t.Token == proxy.TokenExchange {
		return session.Audience{
			Exchange: true, Name: t.Target.Audience, Resource: t.Target.Resource, Scope: strings.Join(t.Target.Scopes, " "),
		}
	}
	return session.Audience{Resource: cmp.Or(t.Target.Resource, t.Target.Audience)}
}

// clientTarget is the target of a route with token: client.
func (t *Route) clientTarget() rp.Target {
	return rp.Target{Audience: t.Target.Audience, Resource: t.Target.Resource, Scopes: t.Target.Scopes}
}

// validateToken checks the token policy and what goes with it.
func (t *Route) validateToken(r *report, path string, providers []Provider) {
	if t.Target.Resource != "" && !isResource(t.Target.Resource) {
		r.fail(path+".resource", "must be an absolute URI without a fragment; write for example https://orders.example.com")
	}
	switch t.Token {
	case proxy.TokenNone:
		t.validateNoTarget(r, path, "needs an access token; remove it, or write token: exchange")
	case proxy.TokenUser, proxy.TokenUserOrNone:
		t.validateUserTarget(r, path, providers)
	case proxy.TokenExchange:
		if t.Target.Audience == "" && t.Target.Resource == "" {
			r.fail(path+".token", "exchange has to say for whom; write audience: orders, or resource: https://orders.example.com")
		}
	case proxy.TokenClient:
	default:
		r.oneOf(path+".token", string(t.Token), []string{"none", "user", "user_or_none", "client", "exchange"})
	}
	if t.Static != nil {
		if t.Token == proxy.TokenClient || t.Token == proxy.TokenExchange {
			r.fail(path+".token", "%s needs an upstream; write user or none", t.Token)
		}
		t.validateNoTarget(r, path, "needs an upstream; remove it")
	}
	validateScopes(r, path+".scopes", t.Target.Scopes)
	switch {
	case t.Target.Provider == "":
	case t.Token != proxy.TokenClient:
		r.fail(path+".provider", "goes with token: client only; the user's tokens are from where the user has signed in")
	case !slices.ContainsFunc(providers, func(p Provider) bool { return p.Name == t.Target.Provider }):
		r.fail(path+".provider", "must be the name of one of the providers")
	}
}

func (t *Route) validateNoTarget(r *report, path, problem string) {
	r.failUnlessEmpty(path+".audience", t.Target.Audience, problem)
	r.failUnlessEmpty(path+".resource", t.Target.Resource, problem)
	r.failUnlessEmpty(path+".scopes", strings.Join(t.Target.Scopes, " "), problem)
}

// validateUserTarget: the refresh token gets tokens for resources, which have addresses (EXT-01).
func (t *Route) validateUserTarget(r *report, path string, providers []Provider) {
	key, resource := path+".resource", t.Target.Resource
	switch {
	case t.Target.Audience != "" && t.Target.Resource != "":
		r.fail(path+".audience", "contradicts resource; remove it, or write token: exchange")
	case t.Target.Audience != "" && !isResource(t.Target.Audience):
		r.fail(path+".audience", "is a name, and a refresh token gets tokens for absolute URIs only; write token: exchange")
	case t.Target.Audience != "":
		key, resource = path+".audience", t.Target.Audience
	}
	r.failUnlessEmpty(path+".scopes", strings.Join(t.Target.Scopes, " "), "goes with token: client and exchange only; remove it")
	for i, p := range providers {
		if resource != "" && len(p.Resource) > 0 && !slices.Contains(p.Resource, resource) {
			r.fail(key, "must be in providers[%d].resource too, for the login has to ask for it; add it there", i)
		}
	}
}

func validateScopes(r *report, path string, scopes []string) {
	for i, scope := range scopes {
		if !isScope(scope) {
			r.fail(item(path, i), "cannot be a scope; write one per element, without spaces or quotes")
		}
	}
}
