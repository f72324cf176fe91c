package bff

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloakroom/cloakroom/session/problem"
)

// maxReturnURL bounds a return URL in bytes, so that a sealed flow fits a cookie.
const maxReturnURL = 1024

// ParseReturnURL checks the address that a login or a logout comes back to (FLOW-18): a path on the application's own
// origin, with query and fragment, as a browser would read it and not only as Go does. An empty text is "/". The error
// is bad_return_url; the address is never repaired and never followed.
//
// The rule is one of form: a slash, then a character that is no slash, and none of the characters that browsers drop
// or turn into a slash. With that, no browser finds a scheme or a host in it.
func ParseReturnURL(text string) (string, error) {
	if text == "" {
		return "/", nil
	}
	refuse := func(why string) (string, error) {
		return "", problem.New(problem.BadReturnURL, "returnUrl %s; write a path of this application, such as /orders?page=2", why)
	}
	if len(text) > maxReturnURL {
		return refuse("is longer than 1024 bytes")
	}
	if !utf8.ValidString(text) {
		return refuse("is not UTF-8")
	}
	if text[0] != '/' || strings.HasPrefix(text, "//") {
		return refuse("does not start with a single slash")
	}
	for _, c := range text {
		// Browsers read \ as /, and drop tabs and line ends wherever they are (WHATWG URL, "basic URL parser").
		if c == '\\' || unicode.IsControl(c) || unicode.IsSpace(c) || !unicode.IsPrint(c) {
			return refuse("contains a backslash, a space or an invisible character")
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" {
		return refuse("is not a path")
	}
	if hidden := hiddenAuthority(u.EscapedPath()); hidden != "" {
		return refuse("contains " + hidden)
	}
	return text, nil
}

// hiddenAuthority finds what could become "//host" once something on the way has decoded the path or removed its dot
// segments: servers, CDNs and client-side routers do both.
func hiddenAuthority(path string) string {
	for { // as sent, and decoded as often as anybody might
		switch {
		case strings.Contains(path, "//"):
			return "an empty path segment"
		case strings.Contains(path, `\`):
			return "an encoded backslash"
		case strings.ContainsAny(path, "／＼⁄∕⧸⧵﹨"): // some normalise to a slash (NFKC)
			return "a character that looks like a slash"
		case strings.ContainsFunc(path, unicode.IsControl):
			return "an encoded control character"
		}
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "." || segment == ".." {
				return "a dot segment"
			}
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return ""
		}
		path = decoded
	}
}
