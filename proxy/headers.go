package proxy

import (
	"net/http"
	"strings"
)

// A fieldRule removes header fields. The name is in lower case; with a "*" at its end it is the start of a name,
// and with one at its start the end.
type fieldRule struct{ name, reason string }

// removedUp are the fields that no client may send to an upstream, besides the hop-by-hop fields that
// [httputil.ReverseProxy] removes, every name with "_" (PX-07: CGI, WSGI and others turn "-" into "_", so that
// X_Forwarded_For overwrites X-Forwarded-For), and every name that a route sets itself (PX-08).
var removedUp = []fieldRule{
	// PX-04: who the user is, the gateway says.
	{"authorization", "credential"},
	{"proxy-*", "credential, hop by hop"},
	{"dpop", "credential"},
	{"cookie2", "cookie in another spelling"},
	{"x-csrf", "for the gateway"},

	// PX-03: no other protocol begins inside this one, but for a WebSocket where the route has them.
	{"connection", "hop by hop"},
	{"te", "hop by hop"},
	{"trailer", "hop by hop"},
	{"upgrade", "httputil.ReverseProxy forwards it, h2c included (golang/go#80416)"},
	{"http2-settings", "part of an upgrade to h2c"},

	// PX-05, PX-06: where the request comes from, the gateway says.
	{"forwarded", "client address"},
	{"x-forwarded", "client address"},
	{"x-forwarded-*", "client address, host, user, token"},
	{"forwarded-*", "client address"},
	{"x-real-ip", "client address"},
	{"x-client-ip", "client address"},
	{"client-ip", "client address"},
	{"x-cluster-client-ip", "client address"},
	{"x-remote-ip", "client address"},
	{"x-remote-addr", "client address"},
	{"x-originating-ip", "client address"},
	{"true-client-ip", "client address (Akamai, Cloudflare)"},
	{"cf-connecting-*", "client address (Cloudflare)"},
	{"cf-pseudo-ipv4", "client address (Cloudflare)"},
	{"fastly-client-ip", "client address"},
	{"fly-client-ip", "client address"},
	{"x-azure-*", "client address (Azure)"},
	{"x-appengine-*", "client address, user (Google)"},
	{"x-envoy-*", "client address, path, retries (Envoy)"},
	{"x-host", "host"},

	// PX-06: the request line is what it is.
	{"x-original-*", "path, host or method override (IIS, Symfony)"},
	{"x-rewrite-*", "path override (IIS)"},
	{"x-override-url", "path override"},
	{"x-script-name", "path override (WSGI)"},
	{"script-name", "path override (WSGI)"},
	{"x-http-method", "method override"},
	{"x-http-method-override", "method override"},
	{"x-method-override", "method override"},
	{"x-accel-*", "instruction to nginx"},
	{"x-sendfile-type", "instruction to Rack"},
	{"x-middleware-subrequest*", "Next.js skips its middleware (CVE-2025-29927)"},
	{"proxy", "becomes HTTP_PROXY in CGI (httpoxy)"},

	// PX-06: what other gateways write and applications believe.
	{"x-auth-request-*", "identity (oauth2-proxy)"},
	{"x-ssl-*", "client certificate"},
	{"ssl-client-*", "client certificate"},
	{"x-client-cert*", "client certificate"},
	{"client-cert", "client certificate (RFC 9440)"},
	{"client-cert-chain", "client certificate (RFC 9440)"},
	{"remote-*", "identity (Authelia, CGI)"},
	{"x-remote-*", "identity"},
	{"x-user", "identity"},
	{"x-userinfo", "identity"},
	{"x-authenticated-*", "identity (Kong, Envoy)"},
	{"x-authentik-*", "identity (authentik)"},
	{"x-webauth-*", "identity (Grafana)"},
	{"x-pomerium-*", "identity (Pomerium)"},
	{"x-goog-authenticated-*", "identity (Google IAP)"},
	{"x-goog-iap-*", "identity (Google IAP)"},
	{"x-amzn-oidc-*", "identity (AWS)"},
	{"x-ms-client-principal*", "identity (Azure)"},
	{"x-ms-token-*", "identity (Azure)"},
	{"cf-access-*", "identity (Cloudflare)"},
}

// removedDown are the fields of an answer that act on more than the answer (PX-24), or speak to somebody else.
// Set-Cookie, Location and Cache-Control have rules of their own in response.go.
var removedDown = []fieldRule{
	// BFF-13, PX-24: acts on the whole origin, which is the gateway's.
	{"access-control-*", "opens the origin to other sites"},
	{"timing-allow-origin", "opens the origin to other sites"},
	{"clear-site-data", "signs the user out"},
	{"strict-transport-security", "for the whole host"},
	{"public-key-pins*", "for the whole host"},
	{"expect-ct", "for the whole host"},
	{"alt-svc", "moves the host elsewhere"},
	{"service-worker-allowed", "lets a script rule the origin"},
	{"refresh", "a redirect that nobody checks"},
	{"nel", "reports to another host"},
	{"report-to", "reports to another host"},
	{"reporting-endpoints", "reports to another host"},
	{"set-login", "tells the browser who is signed in"},
	{"secure-session-*", "device-bound sessions are the gateway's"},
	{"sec-session-*", "device-bound sessions are the gateway's"},
	{"set-cookie2", "cookie in another spelling"},

	// PX-28: the browser must show no dialog and learn nothing about tokens.
	{"www-authenticate", "would open a sign-in dialog"},
	{"proxy-*", "would open a sign-in dialog"},
	{"authentication-info", "about the access token"},
	{"authorization", "an echo of the access token"},
	{"dpop-nonce", "for the gateway"},

	// For a server between the upstream and us, or between us and the browser.
	{"x-accel-redirect", "makes nginx send another file"},
	{"x-sendfile", "makes the server in front send another file"},
	{"x-lighttpd-send-file", "makes the server in front send another file"},
	{"x-reproxy-url", "makes the server in front send another file"},
	{"server", "names the software of the upstream"},
	{"x-powered-by", "names the software of the upstream"},
	{"x-aspnet-version", "names the software of the upstream"},
	{"x-aspnetmvc-version", "names the software of the upstream"},
	{"x-content-type-options", "set here"},
}

// removedPrivate are the fields that would let a cache keep an answer that belongs to one user (PX-25).
var removedPrivate = []fieldRule{
	{"*cache-control", "set here; CDN-Cache-Control and its kin (RFC 9213) would overrule it"},
	{"surrogate-control", "overrules Cache-Control at a CDN"},
	{"edge-control", "overrules Cache-Control at a CDN"},
	{"x-accel-expires", "overrules Cache-Control at nginx"},
	{"expires", "overruled by Cache-Control, but not everywhere"},
	{"pragma", "the same"},
	{"age", "of a cached answer"},
}

// removedData are the fields that would make a document of an answer that is data (PX-30).
var removedData = []fieldRule{
	{"content-security-policy", "set here"},
	{"content-security-policy-report-only", "reports to another host"},
	{"cross-origin-resource-policy", "set here"},
}

// ownFields are set by the proxy itself or describe the message; no route can set them.
var ownFields = []fieldRule{
	{"host", "that of the upstream"},
	{"x-forwarded-*", "set here"},
	{"cookie", "filtered here"},
	{"content-length", "of the message"},
	{"transfer-encoding", "of the message"},
	{"expect", "of the message"},
	{"connection", "hop by hop"},
	{"proxy-*", "hop by hop"},
	{"keep-alive", "hop by hop"},
	{"te", "hop by hop"},
	{"trailer", "hop by hop"},
	{"upgrade", "hop by hop"},
	{"http2-settings", "hop by hop"},
}

// fieldSet is a list of rules made quick to ask: names are kept in the form in which net/http gives them to us.
type fieldSet struct {
	names              map[string]bool
	prefixes, suffixes []string
}

func newFieldSet(rules []fieldRule) *fieldSet {
	s := &fieldSet{names: make(map[string]bool, len(rules))}
	for _, rule := range rules {
		if start, ok := strings.CutSuffix(rule.name, "*"); ok {
			s.prefixes = append(s.prefixes, http.CanonicalHeaderKey(start))
		} else if end, ok := strings.CutPrefix(rule.name, "*"); ok {
			s.suffixes = append(s.suffixes, http.CanonicalHeaderKey(end))
		} else {
			s.names[http.CanonicalHeaderKey(rule.name)] = true
		}
	}
	return s
}

// add puts one more name into the set.
func (s *fieldSet) add(name string) { s.names[http.CanonicalHeaderKey(name)] = true }

func (s *fieldSet) has(name string) bool {
	name = http.CanonicalHeaderKey(name)
	if s.names[name] {
		return true
	}
	for _, start := range s.prefixes {
		if strings.HasPrefix(name, start) {
			return true
		}
	}
	for _, end := range s.suffixes {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// removeFrom deletes the fields of the set.
func (s *fieldSet) removeFrom(h http.Header) {
	for name := range h {
		if s.has(name) {
			delete(h, name)
		}
	}
}

// The tables, made quick to ask. Of removedUp each [Proxy] has its own, with the names of its routes.
var (
	downSet    = newFieldSet(removedDown)
	privateSet = newFieldSet(removedPrivate)
	dataSet    = newFieldSet(removedData)
	ownSet     = newFieldSet(ownFields)
)
