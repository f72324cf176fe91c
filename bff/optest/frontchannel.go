package optest

import (
	"net/http"
	"net/url"
	"strings"
)

// frontchannelSeconds is how long the page that signs out at clients stays before it goes on.
const frontchannelSeconds = "2"

// frontchannelURIs are what a browser has to load to sign out at the clients of a session (Front-Channel Logout 1.0,
// 2 and 3).
func (op *OP) frontchannelURIs(s *session) []string {
	var uris []string
	for _, c := range op.clientsOf(s) {
		if c.FrontchannelLogoutURI != "" {
			uris = append(uris, withQuery(c.FrontchannelLogoutURI, url.Values{"iss": {op.issuer}, "sid": {s.sid}}))
		}
	}
	return uris
}

// showFrames shows the page whose frames sign the browser out at clients, and then goes on to target, "" for nowhere.
// The header is in no standard, but every browser knows it; it waits for the frames without a script.
func (op *OP) showFrames(w http.ResponseWriter, r *http.Request, i Interaction, target string) {
	if target != "" {
		w.Header().Set("Refresh", frontchannelSeconds+"; url="+target)
	}
	op.pages.SignedOut(w, r, i)
}

// frameSource is the Content-Security-Policy directive for the frames of a page, "" if it has none.
func frameSource(frames []string) string {
	if len(frames) == 0 {
		return ""
	}
	var origins []string
	for _, uri := range frames {
		origins = append(origins, originOf(uri))
	}
	return "; frame-src " + strings.Join(origins, " ")
}
