package proxy

import (
	"net/http"
	"strings"
)

// keepForeignCookies removes the gateway's own cookies from a request and leaves the others as they are (BFF-15).
// The pieces are cut as net/http cuts them, so that what the gateway reads as its cookie is what is removed here.
func keepForeignCookies(h http.Header, own func(name string) bool) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			if name, _, _ := strings.Cut(pair, "="); pair != "" && !own(strings.TrimSpace(name)) {
				kept = append(kept, pair)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

// settableCookies returns those Set-Cookie lines of an upstream that cannot touch the gateway's cookies or another
// host (PX-23).
func settableCookies(lines []string, own func(name string) bool) []string {
	var kept []string
	for _, line := range lines {
		if isSettable(line, own) {
			kept = append(kept, line)
		}
	}
	return kept
}

// isSettable looks at the line as a browser does (RFC 6265bis §5.6). A cookie without a name is refused because
// its value is sent back as the whole pair: "=ticket=x" comes back as a cookie called ticket.
func isSettable(line string, own func(name string) bool) bool {
	pair, attributes, _ := strings.Cut(line, ";")
	name, _, _ := strings.Cut(pair, "=")
	name = strings.TrimSpace(name)
	if !isToken(name) || !strings.Contains(pair, "=") || !isFieldValue(line) || own(name) {
		return false
	}
	for attribute := range strings.SplitSeq(attributes, ";") {
		if key, _, _ := strings.Cut(attribute, "="); strings.EqualFold(strings.TrimSpace(key), "Domain") {
			return false
		}
	}
	return true
}
