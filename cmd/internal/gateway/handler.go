package gateway

import (
	"net/http"
	"path"
	"strings"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/problem"
)

// handler is a step that answers a request, or says why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// Handler is the path of every request, outermost step first.
func (g *Gateway) Handler() http.Handler {
	endpoints := g.endpoints()
	return g.logged(g.traced(g.withCommonHeaders(g.answer(func(w http.ResponseWriter, r *http.Request) error {
		limitBody(w, r, bodyTime)
		defer limitAnswer(w, r, stallTime)
		if err := g.checkHost(r); err != nil {
			return err
		}
		if err := proxy.Canonical(r); err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(r.URL.Path, g.config.BasePath); ok && (rest == "" || rest[0] == '/') {
			limitAnswer(w, r, answerTime)
			return endpoints.serve(w, r)
		}
		return g.route(w, r)
	}, g.refuse))))
}

// endpoints lists the gateway's own endpoints with what each asks of a request's origin. Those with csrfNone prove
// themselves: by state, by sid, or by having no effect.
func (g *Gateway) endpoints() endpoints {
	b := g.bff
	return g.newEndpoints([]endpoint{
		{"GET", "login", csrfLogin, deliberate(b.Login)},
		{"GET", "login/initiate", csrfNone, deliberate(b.Initiate)},
		{"POST", "login/initiate", csrfNone, deliberate(b.Initiate)},
		{"GET", "callback", csrfNone, deliberate(b.Callback)},
		{"POST", "callback", csrfNone, deliberate(b.Callback)},
		{"GET", "callback/{provider}", csrfNone, deliberate(b.Callback)},
		{"POST", "callback/{provider}", csrfNone, deliberate(b.Callback)},
		{"GET", "landing", csrfNone, deliberate(b.Landing)},
		{"GET", "error", csrfNone, deliberate(b.ErrorPage)},
		{"GET", "session", csrfHeader, b.Session},
		{"POST", "session/extend", csrfHeader, b.Extend},
		{"POST", "session/refresh", csrfHeader, b.RefreshSession},
		{"GET", "user", csrfHeader, b.User},
		{"GET", "sessions", csrfHeader, b.ListSessions},
		{"DELETE", "sessions", csrfHeader, b.EndSessions},
		{"DELETE", "sessions/{id}", csrfHeader, b.EndSession},
		{"GET", "events", csrfOrigin, b.Events},
		{"POST", "logout", csrfHeader, b.PostLogout},
		{"GET", "logout", csrfNone, deliberate(b.Logout)},
		{"GET", "logout/callback", csrfNone, deliberate(b.LogoutCallback)},
		{"POST", "backchannel-logout", csrfNone, b.BackchannelLogout},
		{"POST", "backchannel", csrfNone, b.BackchannelLogout},
		{"GET", "frontchannel-logout", csrfNone, deliberate(b.FrontchannelLogout)},
		{"GET", "jwks.json", csrfNone, b.JWKS},
	})
}

// csrfLogin is the rule of /bff/login: its JSON form is an API call, as a navigation it asks the user by itself.
const csrfLogin csrfRule = "login"

type endpoint struct {
	method, path string
	rule         csrfRule
	handle       handler
}

// endpoints finds an endpoint by path and method.
type endpoints struct {
	mux     *http.ServeMux // matches paths only: its own 405 would not be a problem document
	methods map[string]map[string]handler
}

func (g *Gateway) newEndpoints(list []endpoint) endpoints {
	e := endpoints{http.NewServeMux(), map[string]map[string]handler{}}
	for _, one := range list {
		pattern := g.urls.Path(one.path)
		if e.methods[pattern] == nil {
			e.methods[pattern] = map[string]handler{}
			e.mux.Handle(pattern, http.NotFoundHandler())
		}
		e.methods[pattern][one.method] = func(w http.ResponseWriter, r *http.Request) error {
			accessOf(r).route = pattern
			w.Header().Set("Cache-Control", "no-store") // SES-16
			rule := one.rule
			if rule == csrfLogin {
				if rule = csrfNone; bff.WantsJSON(r) {
					rule = csrfHeader
				}
			}
			if err := g.sameOrigin(rule, r); err != nil {
				return err
			}
			return one.handle(w, r)
		}
	}
	return e
}

func (e endpoints) serve(w http.ResponseWriter, r *http.Request) error {
	_, pattern := e.mux.Handler(r)
	methods, ok := e.methods[pattern]
	if !ok {
		return problem.New(problem.NotFound, "there is no such endpoint")
	}
	handle, ok := methods[r.Method]
	if !ok {
		return methodNotAllowed(methods)
	}
	if dir, name := path.Split(pattern); strings.HasPrefix(name, "{") {
		r.SetPathValue(strings.Trim(name, "{}"), strings.TrimPrefix(r.URL.Path, dir))
	}
	return handle(w, r)
}

// deliberate keeps speculative loads from having any effect: a browser that prefetches a link signs nobody in or out
// (FLOW-38).
func deliberate(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
			if strings.Contains(r.Header.Get(name), "prefetch") || strings.Contains(r.Header.Get(name), "preview") {
				w.WriteHeader(http.StatusNoContent)
				return nil
			}
		}
		return next(w, r)
	}
}
