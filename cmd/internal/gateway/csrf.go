package gateway

import (
	"net/http"
	"strings"

	"github.com/cloakroom/cloakroom/session/problem"
)

// csrfRule says what a request must show of where it comes from, before anything else is done for it (contract.md
// "CSRF"). The names are those of the configuration.
type csrfRule string

const (
	csrfHeader     csrfRule = "header"     // X-CSRF: 1, which no foreign page can add without a preflight
	csrfOrigin     csrfRule = "origin"     // for what cannot send a header: downloads, EventSource
	csrfNavigation csrfRule = "navigation" // for documents: a top-level navigation may come from anywhere
	csrfNone       csrfRule = "none"       // public, or proven by state, sid or a signed token
)

const csrfHeaderName = "X-CSRF"

// sameOrigin is the one decision about cross-site requests. What it refuses reaches no upstream, refreshes no token and
// slides no session (CSR-08). It compares with the public origin, never with the request's Host (CSR-07).
func (g *Gateway) sameOrigin(rule csrfRule, r *http.Request) error {
	switch rule {
	case csrfNone:
		return nil
	case csrfHeader:
		if r.Header.Get(csrfHeaderName) != "1" {
			return problem.New(problem.CSRFHeaderMissing, "send the header %s: 1 with this request", csrfHeaderName)
		}
		return g.refuseCrossSite(r, false)
	case csrfNavigation:
		if isDocumentNavigation(r) {
			return nil
		}
	}
	return g.refuseCrossSite(r, true)
}

// refuseCrossSite lets pass what the browser calls same-origin. A browser that does not say is asked for its Origin. Not
// even that: the request passes only where something else has shown its origin (CSR-01, CSR-02, CSR-12).
func (g *Gateway) refuseCrossSite(r *http.Request, needed bool) error {
	if g.isSameOrigin(r, needed) {
		return nil
	}
	return problem.New(problem.CrossSiteRequest, "this may be requested only by pages of %s", g.origin)
}

func (g *Gateway) isSameOrigin(r *http.Request, needed bool) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return true
	case "same-site", "cross-site", "none":
		return false
	}
	// Absent, or a value that no specification knows (CSR-11).
	origin := r.Header["Origin"]
	return len(origin) == 1 && origin[0] == g.origin || len(origin) == 0 && !needed
}

// isDocumentNavigation reports whether a browser asks for a page to show at the top of a tab. Browsers without Fetch
// Metadata are told by the Accept header; a script can set that, but then an Origin comes along, which no navigation by
// GET has.
func isDocumentNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	}
	return r.Header.Get("Origin") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}
