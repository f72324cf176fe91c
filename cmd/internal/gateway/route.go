package gateway

import (
	"errors"
	"net/http"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// route is the way of a request to an upstream or a file: origin, session, policy, token.
func (g *Gateway) route(w http.ResponseWriter, r *http.Request) error {
	i := g.routes.Match(r.URL.Path)
	if i < 0 {
		return problem.New(problem.NotFound, "no route leads there")
	}
	route := &g.config.Routes[i]
	accessOf(r).route = route.Path
	if route.CSRF != string(csrfNone) {
		w.Header().Add("Vary", "Sec-Fetch-Site, Origin") // CSR-09
	}
	if err := g.sameOrigin(csrfRule(route.CSRF), r); err != nil {
		return err
	}
	if err := g.proxy.Admit(r, &route.Route); err != nil {
		return err
	}
	who, err := g.who(route, r)
	switch {
	case isAnonymous(err) && route.Login == "redirect" && isDocumentNavigation(r):
		g.bff.Forget(w, err)
		return g.sendToLogin(w, r)
	case isAnonymous(err) && !route.needsSession():
		who = nil
	case err != nil:
		return err
	}
	token, err := g.tokenFor(r.Context(), route, who)
	if err != nil {
		return err
	}
	if route.Upstream != nil { // an upload may last; the route's timeout watches over it
		limitBody(w, r, 0)
		defer limitBody(w, r, bodyTime) // for what the upstream left, on a connection that the proxy has closing
	} else {
		limitAnswer(w, r, answerTime)
	}
	err = g.proxy.Serve(w, r, &route.Route, who, token)
	if demand, ok := errors.AsType[*proxy.StepUp](err); ok {
		return g.bff.StepUp(r, who, demand.Params)
	}
	return err
}

// who is the session that a request uses, with what the route requires and, where the user's token goes up, with one that
// is good; or nil on a route that asks for none. Using a session is activity. A request that is refused for what the
// session lacks refreshes nothing and is none.
func (g *Gateway) who(route *Route, r *http.Request) (*session.Session, error) {
	if !route.readsSession() {
		return nil, nil
	}
	s, err := g.bff.Open(r)
	if err != nil {
		return nil, err
	}
	if err := route.Require.check(s); err != nil {
		return nil, err
	}
	if route.Token != proxy.TokenNone && route.Token != proxy.TokenClient {
		if s, err = g.sessions.Fresh(r.Context(), s); err != nil {
			return nil, err
		}
		if err := route.Require.check(s); err != nil { // the refresh may have brought less
			return nil, err
		}
	}
	touched, err := g.sessions.Touch(r.Context(), s)
	if err != nil {
		// The session has been read and is good. That its activity cannot be noted, in a store that takes no writes, may
		// end it early and is no reason to refuse the request.
		g.log.WarnContext(r.Context(), "activity could not be stored", "err", err)
		return s, nil
	}
	return touched, nil
}

// sendToLogin starts a login for a navigation that needs one. On a navigation from another site a strict cookie is not
// sent even when there is a session, so such a navigation is repeated from a page of ours first (CK-09, CK-10).
func (g *Gateway) sendToLogin(w http.ResponseWriter, r *http.Request) error {
	here := hereOf(r)
	if bff.FromElsewhere(r) {
		return bff.WritePage(w, bff.Page{Status: http.StatusOK, Title: "One moment", Next: here})
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, g.urls.LoginURL(map[string]string{"returnUrl": here}), http.StatusSeeOther)
	return nil
}

// hereOf is the address of the request as a return URL, or "/" where that would not be one.
func hereOf(r *http.Request) string {
	here, err := bff.ParseReturnURL(r.URL.RequestURI())
	if err != nil {
		return "/"
	}
	return here
}

func isAnonymous(err error) bool {
	_, anonymous := session.Anonymous(err)
	return anonymous
}
