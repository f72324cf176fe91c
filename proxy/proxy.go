package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

// Options are the inputs of [New].
type Options struct {
	// Routes are all routes that Serve will be called with.
	Routes []*Route
	// PublicURL is the origin that the browser sees. Upstreams learn it as X-Forwarded-Proto and X-Forwarded-Host.
	PublicURL *url.URL
	// OwnCookie tells the gateway's cookies, which no upstream reads or sets.
	OwnCookie func(name string) bool
	// SessionCookie is the name of that one of them which a route with SessionCookie sends up.
	SessionCookie string
	// TrustedProxies are the peers whose forwarding fields are believed.
	TrustedProxies []netip.Prefix
	// Transport carries the requests to the upstreams; nil means [NewTransport].
	Transport http.RoundTripper
	// Bind, if set, is called for each request that has a session, and calls end when the session is over, with one of the
	// errors that [session.Anonymous] knows. The request is over then. Its error is the answer to the request. See
	// [session.Manager.Bind].
	Bind func(s *session.Session, end context.CancelCauseFunc) (Bond, error)
	// Renew, if set, is asked for another token when the upstream has refused the one it got as invalid (RFC 6750 §3.1).
	// An error leaves the browser with the upstream's 401; one that [session.Anonymous] knows is the answer instead.
	Renew func(ctx context.Context, rt *Route, who *session.Session, refused secret.String) (secret.String, error)
	// Draining is closed when the server is about to stop. WebSockets, of which [http.Server.Shutdown] knows nothing, and
	// event streams, for which it would wait, end then; nil is never.
	Draining <-chan struct{}
	// Logger hears of answers that broke off half-way; nil means [slog.Default].
	Logger *slog.Logger
}

// Bond is what ties a request to its session, until it is released.
type Bond interface{ Release() }

// Proxy serves routes. It does not change after New and may be used by many goroutines.
type Proxy struct {
	targets        map[*Route]*target
	upstreams      map[string]bool // host names of all upstreams, internal by definition
	removedUp      *fieldSet
	publicURL      *url.URL
	forwardedProto []string // field values, shared by all requests
	forwardedHost  []string
	ownCookie      func(name string) bool
	sessionCookie  string
	trustedProxies []netip.Prefix
	transport      http.RoundTripper
	bind           func(*session.Session, context.CancelCauseFunc) (Bond, error)
	renew          func(context.Context, *Route, *session.Session, secret.String) (secret.String, error)
	draining       <-chan struct{}
	buffers        bufferPool
	errorLog       *log.Logger
}

// target is a route and what could be computed once for it.
type target struct {
	*Route
	static  *static // nil for an upstream
	methods []string
}

// defaultMethods are those of RFC 9110 §9 and PATCH, without CONNECT and TRACE (PX-16).
var defaultMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodOptions,
}

// New returns a proxy for the routes. The error holds everything that is wrong with them.
func New(o Options) (*Proxy, error) {
	if o.PublicURL == nil || o.OwnCookie == nil {
		return nil, errors.New("proxy: PublicURL and OwnCookie are needed")
	}
	p := &Proxy{
		targets:        make(map[*Route]*target, len(o.Routes)),
		upstreams:      make(map[string]bool, len(o.Routes)),
		removedUp:      newFieldSet(removedUp, keptUp...),
		publicURL:      o.PublicURL,
		forwardedProto: []string{o.PublicURL.Scheme},
		forwardedHost:  []string{o.PublicURL.Host},
		ownCookie:      o.OwnCookie,
		sessionCookie:  o.SessionCookie,
		trustedProxies: o.TrustedProxies,
		transport:      o.Transport,
		bind:           o.Bind,
		renew:          o.Renew,
		draining:       o.Draining,
	}
	if p.transport == nil {
		p.transport = NewTransport()
	}
	logger := cmp.Or(o.Logger, slog.Default())
	p.errorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)

	var errs []error
	for _, rt := range o.Routes {
		if err := rt.validate(); err != nil {
			errs = append(errs, fmt.Errorf("route %q: %w", rt.Path, err))
			continue
		}
		p.add(rt)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Proxy) add(rt *Route) {
	t := &target{Route: rt, methods: rt.Methods}
	switch {
	case rt.Static != nil:
		t.static = &static{fsys: rt.Static}
		t.methods = []string{http.MethodGet, http.MethodHead}
	case len(rt.Methods) == 0:
		t.methods = defaultMethods
	}
	if rt.Upstream != nil {
		p.upstreams[strings.ToLower(rt.Upstream.Hostname())] = true
	}
	for name := range rt.Headers {
		p.removedUp.add(name)
	}
	for name := range rt.Identity {
		p.removedUp.add(name)
	}
	p.targets[rt] = t
}

// Serve answers the request from the route, which must be one of those that New was given. who is the session of
// the request, or nil. token is the access token that the upstream gets, which the caller has chosen by the route's
// policy; it is empty where the upstream gets none.
//
// The error is a [*problem.Error], with nothing written:
//
//	method_not_allowed    with the methods that are
//	forbidden             an API answer was asked for as a script, a frame or the like (PX-30)
//	unauthenticated       a route with token: user, and no session
//	step_up_required      the upstream wants a better sign-in than the token's; errors.As finds a [*StepUp]
//	too_large             the body is longer than MaxBody
//	bad_request           the body broke off; also when the client has gone, and errors.Is(err, context.Canceled)
//	not_found             no such file
//	upstream_unavailable  no connection, a broken answer, or an answer that must not pass
//	upstream_timeout      no answer in time
//
// or, when the session has ended before the answer began, what Options.Bind gave as the cause; or the error of
// Options.Bind.
//
// When the answer has begun, a failure, the end of the session too, ends in a panic with [http.ErrAbortHandler].
func (p *Proxy) Serve(w http.ResponseWriter, r *http.Request, rt *Route, who *session.Session, token secret.String) error {
	if err := p.Admit(r, rt); err != nil {
		return err
	}
	t := p.targets[rt]
	if t.needsSession() && who == nil {
		return &problem.Error{Code: problem.Unauthenticated}
	}
	if t.static != nil {
		return t.static.serve(w, r, rt, who)
	}
	return p.forward(w, r, t, who, token)
}

// Admit refuses what no session changes: a method that the route does not have, and an API answer asked for as code
// (PX-30). Serve does so too; a caller that reads a session first asks before it does. The errors are those of Serve.
func (p *Proxy) Admit(r *http.Request, rt *Route) error {
	t := p.targets[rt]
	switch {
	case t == nil:
		return problem.Wrap(problem.Internal, errors.New("proxy: the route is not one of Options.Routes"))
	case !slices.Contains(t.methods, r.Method):
		return &problem.Error{Code: problem.MethodNotAllowed, Allow: t.methods}
	case t.static == nil && t.hasToken() && !t.Documents && isCode(r.Header.Get("Sec-Fetch-Dest")):
		return problem.New(problem.Forbidden, "this answers with data only, not with scripts, styles or frames")
	}
	return nil
}

// isCode reports whether a browser would run or embed what it asks for (PX-30). A document is not in the list: a
// download begins as one, and the answer is in a sandbox.
func isCode(dest string) bool {
	switch dest {
	case "script", "style", "xslt", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet",
		"object", "embed", "frame", "iframe", "fencedframe":
		return true
	}
	return false
}
