package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/session/problem"
)

// checkHost refuses requests that were meant for another host (PX-09). Nothing in the gateway is ever built from the
// Host header; the check keeps DNS rebinding and caches that mix hosts away.
func (g *Gateway) checkHost(r *http.Request) error {
	toOriginForm(r)
	if strings.EqualFold(withoutDefaultPort(r.Host, g.config.PublicURL.Scheme), g.config.PublicURL.Host) {
		return nil
	}
	// An SSR server calls with the name it knows us by, from inside.
	if slices.ContainsFunc(g.config.InternalHosts, func(h string) bool { return strings.EqualFold(h, r.Host) }) && g.isInternalPeer(r) {
		return nil
	}
	return problem.New(problem.Misdirected, "this gateway serves %s", g.origin)
}

// toOriginForm takes scheme and authority off a request target in absolute form, which servers must accept. net/http has
// put the authority into r.Host, in place of the Host header (RFC 9112 §3.2.2). The bytes of path and query stay.
func toOriginForm(r *http.Request) {
	if r.URL.Host == "" {
		return
	}
	r.URL.Scheme, r.URL.User, r.URL.Host = "", nil, ""
	_, rest, _ := strings.Cut(r.RequestURI, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		r.RequestURI = rest[i:]
	} else {
		r.RequestURI = ""
	}
}

func (g *Gateway) isInternalPeer(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap()
	return addr.IsLoopback() || slices.ContainsFunc(g.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func withoutDefaultPort(host, scheme string) string {
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

// originOf is the ASCII serialization of an origin, as browsers send it (RFC 6454 §6.2): lower case, no default port.
func originOf(u *url.URL) string {
	return strings.ToLower(u.Scheme + "://" + withoutDefaultPort(u.Host, u.Scheme))
}
