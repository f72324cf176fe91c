package gateway

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/cloakroom/cloakroom/proxy"
)

const (
	defaultRouteTimeout = 30 * time.Second
	defaultStreamIdle   = 10 * time.Minute
)

func (t *Route) decode(b *block) {
	t.Path = b.text("path", "")
	t.Upstream = b.link("upstream", "http://127.0.0.1:9000")
	t.StaticDir = b.text("static", "")
	t.StripPrefix = b.flag("strip_prefix", false)
	t.Token = proxy.TokenPolicy(b.text("token", ""))
	t.CSRF = b.text("csrf", "")
	t.Login = b.text("login", "none")
	t.Target.decode(b)
	t.WebSocket = b.flag("websocket", false)
	t.Methods = b.list("methods")
	t.Require.decode(b.block("require"))
	t.Headers = b.table("headers")
	t.Identity = b.table("identity")
	t.SessionCookie = b.flag("session_cookie", false)
	t.MaxBody = b.number("max_body", 0)
	t.AllowPlaintext = b.flag("allow_plaintext", false)
	t.Timeout = b.duration("timeout", defaultRouteTimeout)
	t.IdleTimeout = b.duration("idle_timeout", defaultStreamIdle)
	t.MaxDuration = b.duration("max_duration", 0)
	b.end()
	t.choosePolicies()
	t.Documents = t.CSRF == "navigation"
	if t.StaticDir != "" {
		folder, err := b.outside.OpenFolder(t.StaticDir)
		if err != nil {
			b.fail(b.at("static"), "cannot be opened: %s; name a folder of files", reason(err))
			b.silence(b.at("upstream"))
		}
		t.Static = folder
	}
}

// choosePolicies fills in token and csrf where the file is silent. An upstream gets the careful values; where the rest
// of the route leaves one value only, it is that.
func (t *Route) choosePolicies() {
	if t.Token == "" {
		t.Token = proxy.TokenUser
		if t.StaticDir != "" || t.CSRF == "none" {
			t.Token = proxy.TokenNone
		}
	}
	if t.CSRF != "" {
		return
	}
	switch {
	case t.WebSocket:
		t.CSRF = "origin"
	case t.Login == "redirect", t.StaticDir != "" && t.Token != proxy.TokenNone:
		t.CSRF = "navigation"
	case t.Token == proxy.TokenNone:
		t.CSRF = "none"
	default:
		t.CSRF = "header"
	}
}

func (c *Config) validateRoutes(r *report) {
	seen := map[string]int{}
	for i := range c.Routes {
		route, path := &c.Routes[i], item("routes", i)
		route.validate(r, path)
		route.validateToken(r, path, c.Providers)
		if isUnder(route.Path, c.BasePath) {
			r.fail(path+".path", "is under base_path %s, which the gateway answers itself; write another path", c.BasePath)
		}
		prefix := strings.TrimSuffix(route.Path, "/")
		if first, twice := seen[prefix]; twice {
			r.fail(path+".path", "is the prefix of routes[%d] too; remove one of the two", first)
		} else {
			seen[prefix] = i
		}
	}
}

func isUnder(path, base string) bool { return path == base || strings.HasPrefix(path, base+"/") }

func (t *Route) validate(r *report, path string) {
	switch {
	case t.Path == "":
		r.fail(path+".path", "is missing; write the prefix of the requests, such as /api/")
	case !proxy.IsCanonical(t.Path):
		r.fail(path+".path", "must begin with a slash and hold neither empty nor dot segments, escapes, ? nor #, such as /api/")
	case strings.HasSuffix(strings.TrimRight(t.Path, "*"), "/") && strings.HasSuffix(t.Path, "*"):
		r.fail(path+".path", "is a prefix, not a pattern; write %s", strings.TrimRight(t.Path, "*"))
	}
	t.validateTarget(r, path)
	r.oneOf(path+".csrf", t.CSRF, []string{"header", "origin", "navigation", "none"})
	r.oneOf(path+".login", t.Login, []string{"none", "redirect"})
	if t.CSRF == "none" && t.Token != proxy.TokenNone {
		r.fail(path+".csrf", "none goes with token: none only, for other sites could act in the user's name; write header")
	}
	if t.Login == "redirect" && t.CSRF != "navigation" {
		r.fail(path+".csrf", "must be navigation on a route with login: redirect, which is for documents")
	}
	t.validateWebSocket(r, path)
	validateMethods(r, path+".methods", t.Methods)
	t.validateHeaders(r, path)
	t.validateSessionCookie(r, path+".session_cookie")
	t.validateRequire(r, path)
	if t.MaxBody < 0 {
		r.fail(path+".max_body", "must not be negative; write a number of bytes, 0 for no limit")
	}
	if t.Timeout <= 0 && t.Upstream != nil {
		r.fail(path+".timeout", "must be longer than zero; write for example 30s")
	}
	t.validateStreams(r, path)
}

// validateStreams: PX-21.
func (t *Route) validateStreams(r *report, path string) {
	if t.IdleTimeout < 0 {
		r.fail(path+".idle_timeout", "must not be negative; write for example 10m, 0 for no limit")
	}
	if t.MaxDuration < 0 {
		r.fail(path+".max_duration", "must not be negative; write for example 8h, 0 for as long as the session lasts")
	}
}

// validateWebSocket: a browser cannot add a header to a WebSocket handshake, and lets any site begin one (PX-20).
func (t *Route) validateWebSocket(r *report, path string) {
	switch {
	case !t.WebSocket:
	case t.CSRF != "origin":
		r.fail(path+".csrf", "must be origin on a route with websocket: true, since a handshake can come from any site and "+
			"carries no header of the page's")
	case t.Upstream == nil:
		r.fail(path+".websocket", "needs an upstream; remove it")
	case len(t.Methods) > 0 && !slices.Contains(t.Methods, http.MethodGet):
		r.fail(path+".methods", "lacks GET, with which a WebSocket begins; add it")
	}
}

// validateSessionCookie: who has the session cookie acts as the user, like who has the access token (PX-19).
func (t *Route) validateSessionCookie(r *report, key string) {
	switch u := t.Upstream; {
	case !t.SessionCookie:
	case u == nil:
		r.fail(key, "needs an upstream; remove it")
	case !t.readsSession():
		r.fail(key, "needs a session; write token: user_or_none, or login: redirect")
	case t.Token == proxy.TokenNone && u.Scheme != "https" && !proxy.IsLoopback(u.Hostname()) && !t.AllowPlaintext:
		r.fail(key, "would go to %s unencrypted; write an https upstream, or set allow_plaintext: true where the network "+
			"encrypts", u.Host)
	}
}

func (t *Route) validateTarget(r *report, path string) {
	switch {
	case t.Upstream != nil && t.Static != nil:
		r.fail(path+".static", "contradicts upstream; keep one of the two")
	case t.Upstream != nil:
		t.validateUpstream(r, path+".upstream")
	case t.Static == nil:
		r.fail(path+".upstream", "is missing; write upstream: http://127.0.0.1:9000, or static: ./dist for files")
	case len(t.Headers) > 0 || len(t.Identity) > 0 || t.MaxBody != 0:
		r.fail(path+".static", "has no upstream to send anything to; remove headers, identity and max_body")
	}
}

func (t *Route) validateUpstream(r *report, key string) {
	u := t.Upstream
	switch {
	case u.Scheme != "http" && u.Scheme != "h2c" && u.Scheme != "https" || u.Hostname() == "":
		r.fail(key, "must be an http, https or h2c URL; write for example http://127.0.0.1:9000")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		r.fail(key, "must not hold a user, a query or a fragment; write %s", (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}))
	case u.Path != "" && !proxy.IsCanonical(u.Path):
		r.fail(key, "must have a path without empty or dot segments and escapes")
	case u.Scheme != "https" && !proxy.IsLoopback(u.Hostname()) && t.Token != proxy.TokenNone && !t.AllowPlaintext:
		r.fail(key, "would get access tokens unencrypted; write https://%s%s, or set allow_plaintext: true where the network "+
			"encrypts", u.Host, u.Path)
	}
}

func validateMethods(r *report, path string, methods []string) {
	for i, method := range methods {
		switch {
		case method == http.MethodConnect || method == http.MethodTrace || method == "TRACK":
			r.fail(item(path, i), "%s is never passed on; remove it", method)
		case !httpguts.ValidHeaderFieldName(method):
			r.fail(item(path, i), "must be a method, such as GET")
		case method != strings.ToUpper(method):
			r.fail(item(path, i), "must be in capitals; write %s", strings.ToUpper(method))
		}
	}
}

func (t *Route) validateHeaders(r *report, path string) {
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		key := join(path+".headers", name)
		validateHeaderName(r, key, name)
		if strings.EqualFold(name, "Authorization") && t.Token != proxy.TokenNone {
			r.fail(key, "is the access token on this route; write another name, or token: none")
		}
		if !httpguts.ValidHeaderFieldValue(t.Headers[name]) {
			r.fail(key, "must not hold line ends or control characters")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Identity)) {
		key := join(path+".identity", name)
		validateHeaderName(r, key, name)
		if strings.EqualFold(name, "Authorization") {
			r.fail(key, "carries tokens and credentials only; write another name")
		}
		if t.Identity[name] == "" {
			r.fail(key, "must be the name of a claim, such as sub")
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(t.Headers)), func(h string) bool { return strings.EqualFold(h, name) }) {
			r.fail(key, "is set under headers too; keep one of the two")
		}
	}
	if len(t.Identity) > 0 && t.Token == proxy.TokenNone && t.Login != "redirect" {
		r.fail(path+".identity", "needs a session; write token: user or user_or_none")
	}
}

func validateHeaderName(r *report, key, name string) {
	switch {
	case !httpguts.ValidHeaderFieldName(name) || strings.Contains(name, "_"):
		r.fail(key, "must be a header name of letters, digits and dashes, such as X-Tenant")
	case proxy.IsOwnField(name):
		r.fail(key, "is set by the gateway itself; write another name")
	}
}
