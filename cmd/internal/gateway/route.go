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
	who, err := g.who(route, r)
	switch {
	case isAnonymous(err) && route.Login == "redirect" && isDocumentNavigation(r):
		g.bff.Forget(w, err)
		return g.sendToLogin(w, r)
	case isAnonymous(err) && route.Token != proxy.TokenUser:
		who = nil
	case err != nil:
		return err
	}
	return g.proxy.Serve(w, r, &route.Route, who)
}

// who is the session that a request uses, with a token that is good, or nil on a route that asks for none. Using a
// session is activity.
func (g *Gateway) who(route *Route, r *http.Request) (*session.Session, error) {
	if route.Token == proxy.TokenNone && route.Login != "redirect" {
		return nil, nil
	}
	s, err := g.bff.Open(r)
	if err != nil {
		return nil, err
	}
	if route.Token != proxy.TokenNone {
		if s, err = g.sessions.Fresh(r.Context(), s); err != nil {
			return nil, err
		}
	}
	return g.sessions.Touch(r.Context(), s)
}

// sendToLogin starts a login for a navigation that needs one. On a navigation from another site a strict cookie is not
// sent even when there is a session, so such a navigation is repeated from a page of ours first (CK-09, CK-10).
func (g *Gateway) sendToLogin(w http.ResponseWriter, r *http.Request) error {
	here, err := bff.ParseReturnURL(r.URL.RequestURI())
	if err != nil {
		here = "/"
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return bff.WritePage(w, bff.Page{Status: http.StatusOK, Title: "One moment", Next: here})
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, g.urls.LoginURL(here), http.StatusSeeOther)
	return nil
}

// isAnonymous reports whether err says that nobody is signed in, as opposed to that it is not known.
func isAnonymous(err error) bool {
	return errors.Is(err, session.ErrNone) || errors.Is(err, session.ErrIdle) ||
		errors.Is(err, session.ErrExpired) || errors.Is(err, session.ErrEnded)
}
