package proxy

import (
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// rewrite makes of the browser's request the one that the upstream gets. [httputil.ReverseProxy] has removed the
// hop-by-hop fields and the parts of the query that cannot be parsed (PX-02, PX-15).
func (x *exchange) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	x.rewriteURL(out)
	x.removeForeignFields(out.Header)
	keepForeignCookies(out.Header, x.ownCookie)
	out.Trailer = nil // fields that come after all checks
	x.setOwnFields(out.Header)
	if x.upgrade {
		out.Header["Connection"], out.Header["Upgrade"] = upgradeField, websocketField
	}
}

// rewriteURL sends the request to the upstream of the route and to nowhere else (BFF-16). The path goes on as the
// bytes that came (PX-10).
func (x *exchange) rewriteURL(out *http.Request) {
	u := out.URL
	u.Scheme, u.Host = x.Upstream.Scheme, x.Upstream.Host
	out.Host = x.Upstream.Host
	u.RawQuery = withoutAccessToken(u.RawQuery)
	if base := x.Upstream.EscapedPath(); x.StripPrefix || base != "" && base != "/" {
		u.RawPath = x.upstreamPath(u.EscapedPath())
		u.Path, _ = url.PathUnescape(u.RawPath) // both parts have been unescaped before
	}
}

// upstreamPath turns an encoded path of the browser's into the upstream's: without the prefix, where the route
// says so, and below the base path.
func (x *exchange) upstreamPath(raw string) string {
	if x.StripPrefix {
		raw = withoutSegments(raw, strings.Count(strings.TrimSuffix(x.Path, "/"), "/"))
	}
	path := strings.TrimSuffix(x.Upstream.EscapedPath(), "/") + raw
	if path == "" {
		return "/"
	}
	return path
}

// withoutSegments drops n segments from the front of an encoded path. It counts instead of comparing, because a
// request may encode a prefix in more than one way; since a slash is never encoded, the segments are the same.
func withoutSegments(raw string, n int) string {
	for range n {
		i := strings.IndexByte(raw[1:], '/')
		if i < 0 {
			return ""
		}
		raw = raw[1+i:]
	}
	return raw
}

// withoutAccessToken removes the parameter that RFC 6750 §2.3 knows as a credential: as with Authorization, the
// only token that an upstream sees is ours, and never in a URL (FLOW-22).
func withoutAccessToken(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.Split(query, "&")
	kept := pairs[:0]
	for _, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || !strings.EqualFold(name, "access_token") {
			kept = append(kept, pair)
		}
	}
	if len(kept) == len(pairs) {
		return query
	}
	return strings.Join(kept, "&")
}

// removeForeignFields removes what only the gateway may say, from every request, whoever sends it (PX-03, 04, 06,
// 07, 08).
func (x *exchange) removeForeignFields(h http.Header) {
	for name := range h {
		if strings.Contains(name, "_") || x.removedUp.has(name) {
			delete(h, name)
		}
	}
}

// setOwnFields adds what the gateway says: where the request comes from, who sends it, and the route's own fields.
func (x *exchange) setOwnFields(h http.Header) {
	if hops := forwardedBy(x.in, x.trustedProxies); len(hops) > 0 {
		h.Set("X-Forwarded-For", joinHops(hops))
	}
	h.Set("X-Forwarded-Proto", x.publicURL.Scheme)
	h.Set("X-Forwarded-Host", x.publicURL.Host)
	for name, value := range x.Headers {
		h.Set(name, value)
	}
	if x.who != nil {
		for name, claim := range x.Identity {
			if value, ok := claimText(x.who.Claims[claim]); ok {
				h.Set(name, value)
			}
		}
	}
	if x.sendsToken() {
		h.Set("Authorization", "Bearer "+x.token.Reveal())
	}
}

// claimText returns a claim as the value of a header field: strings, numbers and booleans only. A string that is no
// field value is left out, not repaired: a repaired one could name another user.
func claimText(claim json.RawMessage) (string, bool) {
	var text string
	switch {
	case len(claim) == 0:
		return "", false
	case claim[0] == '"':
		if json.Unmarshal(claim, &text) != nil {
			return "", false
		}
	case claim[0] == '{', claim[0] == '[', claim[0] == 'n':
		return "", false
	default:
		text = string(claim)
	}
	return text, isFieldValue(text) && text != "" && text == strings.TrimSpace(text)
}
