package proxy

import (
	"net/http"
	"slices"

	"github.com/cloakroom/cloakroom/session"
)

// family is what an answer may do in the browser. Each one has the rules of those before it, too.
type family int

const (
	anyAnswer family = iota // of every upstream
	personal                // may belong to one user: no cache may keep it (PX-25)
	data                    // of a route with a token that has no pages: it must not act as one (PX-30)
)

// family is that of an answer to a request of who.
func (rt *Route) family(who *session.Session) family {
	switch {
	case rt.hasToken() && !rt.Documents:
		return data
	case rt.isPersonal(who):
		return personal
	}
	return anyAnswer
}

// removedDown are the fields of an answer that act on more than the answer (PX-24), or speak to somebody else.
// Set-Cookie, Location and Content-Location have rules of their own besides: cookie.go, location.go.
var removedDown = append([]fieldRule{
	// BFF-13, PX-24: acts on the whole origin, which is the gateway's.
	{"access-control-*", "opens the origin to other sites"},
	{"timing-allow-origin", "opens the origin to other sites"},
	{"activate-storage-access", "opens the origin's cookies to other sites"},
	{"clear-site-data", "signs the user out"},
	{"strict-transport-security", "for the whole host"},
	{"public-key-pins*", "for the whole host"},
	{"expect-ct", "for the whole host"},
	{"alt-svc", "moves the host elsewhere"},
	{"alternate-protocol", "moves the host elsewhere"},
	{"service-worker-allowed", "lets a script rule the origin"},
	{"refresh", "a redirect that nobody checks"},
	{"nel", "reports to another host"},
	{"report-to", "reports to another host"},
	{"reporting-endpoints", "reports to another host"},
	{"set-login", "tells the browser who is signed in"},
	{"sec-session-*", "device-bound sessions are the gateway's"},
	{"secure-session-*", "device-bound sessions are the gateway's"},
	{"set-cookie2", "cookie in another spelling"},

	// PX-28: the browser must show no dialog and learn nothing about tokens.
	{"www-authenticate", "would open a sign-in dialog"},
	{"optional-www-authenticate", "would open a sign-in dialog (RFC 8053)"},
	{"authentication-control", "about a sign-in dialog (RFC 8053)"},
	{"authentication-info", "about the access token"},
	{"authorization", "an echo of the access token"},
	{"dpop-nonce", "for the gateway"},

	// For a server between the upstream and us, or between us and the browser.
	{"x-accel-redirect", "makes nginx send another file"},
	{"x-sendfile*", "makes the server in front send another file"},
	{"x-lighttpd-send-*", "makes the server in front send another file"},
	{"x-litespeed-*", "makes the server in front send another file, or forget what it keeps"},
	{"x-reproxy-*", "makes the server in front send another file"},
	{"fly-replay*", "makes the server in front send the request elsewhere (Fly.io)"},
	{"x-envoy-*", "for an Envoy in front; names what is inside"},
	{"x-request-id", "the gateway's is there, and in its log"},

	// ASVS 13.4.6: what the upstream is made of.
	{"server", "names the software of the upstream"},
	{"x-powered-by", "names the software of the upstream"},
	{"x-aspnet-version", "names the software of the upstream"},
	{"x-aspnetmvc-version", "names the software of the upstream"},
	{"x-application-context", "names the software of the upstream"},
	{"via", "names hosts inside (RFC 9110 §7.6.3)"},
	{"x-content-type-options", "set here"},
}, hopByHop...)

// removedPrivate are the fields that would let a cache keep an answer that belongs to one user (PX-25).
var removedPrivate = []fieldRule{
	{"*cache-control", "set here; CDN-Cache-Control and its kin (RFC 9213) would overrule it"},
	{"surrogate-control", "overrules Cache-Control at a CDN"},
	{"edge-control", "overrules Cache-Control at a CDN"},
	{"x-accel-expires", "overrules Cache-Control at nginx"},
	{"expires", "overruled by Cache-Control, but not everywhere"},
	{"pragma", "the same"},
	{"age", "of a cached answer"},
	{"use-as-dictionary", "keeps it, to compress other answers with (RFC 9842)"},
}

// removedData are the fields that would make a document of an answer that is data (PX-30), or are meant for the pages of
// the origin.
var removedData = []fieldRule{
	{"set-cookie", "an API signs nobody in (PX-23)"},
	{"content-security-policy", "set here"},
	{"content-security-policy-report-only", "reports to another host"},
	{"cross-origin-resource-policy", "set here"},
	{"accept-ch*", "kept for the whole origin"},
	{"critical-ch", "kept for the whole origin"},
	{"origin-agent-cluster", "for the whole origin"},
	{"origin-trial", "turns on features of a page"},
	{"speculation-rules", "loads pages in advance"},
	{"supports-loading-mode", "lets a page be loaded in advance, or in a frame"},
	{"attribution-reporting-*", "kept for the whole origin, reported later"},
	{"observe-browsing-topics", "kept for the whole origin"},
	{"shared-storage-write", "kept for the whole origin"},
}

// A forcedField is set on the answers of a family and of those after it, whatever the upstream said.
type forcedField struct {
	name, value string
	from        family
	reason      string
}

var forcedDown = []forcedField{
	{"X-Content-Type-Options", "nosniff", anyAnswer, "a type is what the upstream says it is (PX-31)"},
	{"Cache-Control", "no-store", personal, "the upstream believes that its Authorization field keeps caches away " +
		"(RFC 9111 §3.5), but a cache in front of the gateway has seen only a cookie (PX-25)"},
	{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox", data, "no script, whatever the " +
		"type (PX-30)"},
	{"Cross-Origin-Resource-Policy", "same-origin", data, "no other site embeds it (PX-31)"},
}

// keptDown are fields that pass as they are, though one might think otherwise, and those that are sent most: for a name
// in a table one look is enough. Some pass in some families only: then removedPrivate
// or removedData has them for the others.
var keptDown = []fieldRule{
	{"accept-ch", "pages: which hints they want"},
	{"accept-ranges", "parts are the upstream's to serve"},
	{"cache-control", "public answers may be kept as long as the upstream says"},
	{"content-disposition", "the application's"},
	{"content-encoding", "the body is passed on as it is"},
	{"content-language", "the body is passed on as it is"},
	{"content-length", "of the body, which is passed on as it is"},
	{"content-location", "translated"},
	{"content-range", "parts are the upstream's to serve"},
	{"content-security-policy", "pages: their own"},
	{"content-security-policy-report-only", "pages: their own"},
	{"content-type", "the application's; where it is missing none is guessed"},
	{"cross-origin-embedder-policy", "pages: their own"},
	{"cross-origin-opener-policy", "pages: their own"},
	{"cross-origin-resource-policy", "pages and public answers: their own, instead of the gateway's"},
	{"critical-ch", "pages: which hints they want"},
	{"date", "when the answer was made"},
	{"deprecation", "for the application (RFC 9745)"},
	{"document-policy", "restricts the document that sends it"},
	{"etag", "the browser may ask whether it is still the same; no-store keeps that rare"},
	{"expires", "public answers may be kept as long as the upstream says"},
	{"integrity-policy", "restricts the document that sends it"},
	{"last-modified", "as ETag"},
	{"link", "pages of a list (RFC 8288); what it could load, the policy of data forbids, and pages may"},
	{"location", "translated, or refused (PX-33)"},
	{"no-vary-search", "about keeping the answer; personal ones are not kept"},
	{"permissions-policy", "restricts the document that sends it"},
	{"ratelimit", "for the application"},
	{"referrer-policy", "the application's, instead of the gateway's"},
	{"retry-after", "for the application"},
	{"sec-websocket-protocol", "a handshake's; without 101 it begins nothing"},
	{"server-timing", "for the application; other sites cannot read it without Timing-Allow-Origin"},
	{"set-cookie", "pages: the application's, not the gateway's, none with Domain (PX-23)"},
	{"sourcemap", "for developers' tools"},
	{"speculation-rules", "pages: their own"},
	{"vary", "what else the answer depends on"},
	{"warning", "for the application"},
	{"x-accel-buffering", "an event stream through nginx needs it"},
	{"x-dns-prefetch-control", "pages: their own"},
	{"x-frame-options", "restricts the document that sends it"},
	{"x-robots-tag", "about this answer only"},
}

// answerFilter is what the tables say about one family, made quick.
type answerFilter struct {
	removed *fieldSet
	forced  []filledField
	vary    bool // the answer depends on the cookie
}

type filledField struct {
	name   string
	values []string // shared between answers: nothing in net/http edits a value in place
}

var answerFilters = [...]*answerFilter{
	anyAnswer: newAnswerFilter(anyAnswer),
	personal:  newAnswerFilter(personal),
	data:      newAnswerFilter(data),
}

func newAnswerFilter(f family) *answerFilter {
	removed := [][]fieldRule{removedDown, removedPrivate, removedData}
	filter := &answerFilter{
		removed: newFieldSet(slices.Concat(removed[:f+1]...), keptDown...),
		vary:    f >= personal,
	}
	for _, field := range forcedDown {
		if field.from <= f {
			filter.forced = append(filter.forced, filledField{field.name, []string{field.value}})
		}
	}
	return filter
}

// filter is the one for the answer.
func (x *exchange) filter() *answerFilter { return answerFilters[x.family(x.who)] }

// removes reports whether a field of the upstream's must not reach the browser.
func (f *answerFilter) removes(name string) bool { return f.removed.has(name) }

// force sets what the browser gets instead.
func (f *answerFilter) force(h http.Header) {
	for _, field := range f.forced {
		h[field.name] = field.values
	}
	if vary := h["Vary"]; f.vary && !slices.Contains(vary, "*") {
		h["Vary"] = append(slices.Clip(vary), "Cookie")
	}
}
