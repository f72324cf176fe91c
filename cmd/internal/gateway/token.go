package gateway

import (
	"context"
	"slices"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/secret"
)

// newClientTokens finds the sources of the gateway's own tokens, one for each route with token: client. Nothing is asked
// of a provider before the first request.
func (g *Gateway) newClientTokens(providers bff.Providers) {
	tokens := newClientTokens(g.now, g.log)
	g.closers = append(g.closers, tokens.Close)
	g.clientTokens = map[*proxy.Route]*clientToken{}
	for i := range g.config.Routes {
		route := &g.config.Routes[i]
		if route.Token != proxy.TokenClient {
			continue
		}
		p := providers[max(0, slices.IndexFunc(providers, func(p bff.Provider) bool { return p.Name == route.Target.Provider }))]
		g.clientTokens[&route.Route] = tokens.source(p.Name, p.Client, route.clientTarget())
	}
}

// tokenFor is the access token that the route's upstream gets from a request of who, or none. The errors are those of
// [session.Manager.TokenFor] and provider_unavailable.
func (g *Gateway) tokenFor(ctx context.Context, route *Route, who *session.Session) (secret.String, error) {
	switch {
	case route.Token == proxy.TokenClient:
		return g.clientTokens[&route.Route].Token(ctx)
	case route.Token == proxy.TokenNone, who == nil:
		return secret.String{}, nil
	}
	return g.sessions.TokenFor(ctx, who, route.audience())
}

// renewToken is another token in place of one that the route's upstream has refused (RFR-32).
func (g *Gateway) renewToken(
	ctx context.Context, rt *proxy.Route, who *session.Session, refused secret.String,
) (secret.String, error) {
	if rt.Token == proxy.TokenClient {
		return g.clientTokens[rt].Another(ctx, refused)
	}
	route := &g.config.Routes[slices.IndexFunc(g.config.Routes, func(r Route) bool { return r.Path == rt.Path })]
	return g.sessions.Replace(ctx, who, route.audience(), refused)
}
