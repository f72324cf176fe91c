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
	x.removedUp.removeFrom(out.Header)
	keepForeignCookies(out.Header, x.withheldCookie)
	if expect := out.Header["Expect"]; len(expect) > 0 && !(len(expect) == 1 && strings.EqualFold(expect[0], "100-continue")) {
		delete(out.Header, "Expect") // net/http has answered what it found in it; the upstream may find something else (PX-17)
	}
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

// withheldCookie reports whether a cookie does not go up (PX-04): the gateway's own do not, but for the session cookie of
// a live session where the route says so.
func (x *exchange) withheldCookie(name string) bool {
	return x.ownCookie(name) && !(x.SessionCookie && name == x.sessionCookie && x.who != nil && !x.upgrade)
}

// setOwnFields adds what the gateway says: where the request comes from, who sends it, and the route's own fields.
func (x *exchange) setOwnFields(h http.Header) {
	x.addOwn(h)
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
	x.authorize(h)
}

// authorize sets the access token (RFC 6750 §2.1).
func (x *exchange) authorize(h http.Header) {
	if x.sendsToken() {
		h["Authorization"] = []string{"Bearer " + x.token.Reveal()}
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
