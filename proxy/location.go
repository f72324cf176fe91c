package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/session/problem"
)

var errInternalRedirect = errors.New("the upstream redirects to an internal or unusable address")

// answerLocation keeps internal addresses out of the browser's sight (PX-33). A redirect that cannot be translated
// is refused: the upstream, or the route, is set up wrong, and the log says so.
func (x *exchange) answerLocation(res *http.Response) error {
	for _, name := range []string{"Location", "Content-Location"} {
		values := res.Header[name]
		if len(values) == 0 {
			continue
		}
		public, ok := x.publicLocation(values[0])
		switch {
		case ok:
			res.Header.Set(name, public)
		case name == "Location" && res.StatusCode >= 300 && res.StatusCode < 400:
			return problem.Wrap(problem.UpstreamUnavailable, errInternalRedirect)
		default:
			res.Header.Del(name)
		}
	}
	return nil
}

// publicLocation translates a URL reference of the upstream's into one for the browser:
//
//	the public origin, a relative path      as they are
//	the upstream itself, an absolute path   the public path of the same thing
//	https on any public host name           as it is
//	everything else                         refused
func (x *exchange) publicLocation(value string) (string, bool) {
	if strings.ContainsFunc(value, isUnsafeInURL) {
		return "", false
	}
	u, err := url.Parse(value)
	if err != nil || u.Opaque != "" || u.User != nil || u.Scheme != "" && u.Host == "" {
		return "", false
	}
	if u.Host == "" {
		if !strings.HasPrefix(u.Path, "/") {
			return value, true
		}
		return x.publicPath(u)
	}
	if u.Scheme == "" {
		u.Scheme = x.publicURL.Scheme // "//host/path"
	}
	switch {
	case u.Scheme == x.publicURL.Scheme && authority(u) == authority(x.publicURL):
		return value, true
	case (u.Scheme == "http" || u.Scheme == "https") && authority(u) == authority(x.Upstream):
		return x.publicPath(u)
	case u.Scheme == "https" && !x.isInternal(u.Hostname()):
		return value, true
	}
	return "", false
}

// publicPath is upstreamPath backwards, with query and fragment.
func (x *exchange) publicPath(u *url.URL) (string, bool) {
	path, ok := strings.CutPrefix(u.EscapedPath(), strings.TrimSuffix(x.Upstream.EscapedPath(), "/"))
	if !ok || path != "" && path[0] != '/' {
		return "", false
	}
	if x.StripPrefix {
		path = (&url.URL{Path: strings.TrimSuffix(x.Path, "/")}).EscapedPath() + path
	}
	if path == "" {
		path = "/"
	}
	if strings.HasPrefix(path, "//") {
		return "", false // a browser would take the first segment for a host
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		path += "#" + u.EscapedFragment()
	}
	return path, true
}

// isUnsafeInURL finds what browsers repair or drop: "/\host" is "//host" to them.
func isUnsafeInURL(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' }

// authority is host and port, the port always written.
func authority(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// internalDomains are names that mean something on a private network only.
var internalDomains = []string{
	"local", "localhost", "internal", "intranet", "private", "corp", "lan", "home", "svc", "arpa",
}

// isInternal reports whether the host is none that a browser should be sent to: an upstream, an address, a name
// without a public suffix.
func (p *Proxy) isInternal(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	dot := strings.LastIndexByte(host, '.')
	if dot < 0 || dot == len(host)-1 || p.upstreams[host] || strings.ContainsFunc(host, isNoHostname) {
		return true
	}
	top := host[dot+1:]
	return '0' <= top[0] && top[0] <= '9' || slices.Contains(internalDomains, top)
}

// isNoHostname finds IPv6 addresses, and names that a browser would map to another one.
func isNoHostname(c rune) bool {
	return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-')
}
