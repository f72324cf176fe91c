package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloakroom/cloakroom/session/problem"
)

// Canonical returns an error with code path_refused (400) when the path of the request can be read in more than
// one way. It runs before anything looks at the path: what passes here is routed, judged and forwarded as the same
// bytes (PX-10), and every upstream that decodes it arrives at the path that the route was chosen by (PX-11).
//
// A path that passes
//   - is in origin form and starts with "/": no absolute form, no "*", no authority (RFC 9112 §3.2);
//   - consists of the characters of RFC 3986 §3.3, and "[" and "]", which browsers do not encode. No ";", encoded
//     or not: servers differ on whether path parameters belong to a segment;
//   - encodes a character only where it has to: letters, digits, "-", ".", "_" and "~" as themselves (RFC 3986
//     §6.2.2.2), "/" and "\" not at all. Everything else may be encoded: %20, %C3%A9, %7C;
//   - decodes to UTF-8 without control characters, and not to something that can be decoded again: "%25" may be
//     there, but not before two hexadecimal digits;
//   - has no empty segment, except after a slash at the end, and no segment of dots and spaces only.
//
// Of the query it asks that there is no "#" in it.
func Canonical(r *http.Request) error {
	raw, query, _ := strings.Cut(r.RequestURI, "?")
	if why := whyRefused(raw); why != "" {
		return problem.New(problem.PathRefused, "%s", why)
	}
	if strings.Contains(query, "#") { // no request has a fragment (RFC 9112 §3.2), and some servers cut it off (PX-12)
		return problem.New(problem.PathRefused, `the query must not contain "#"; write %%23`)
	}
	if r.URL.Scheme != "" || r.URL.Host != "" || r.URL.EscapedPath() != raw {
		return problem.New(problem.PathRefused, "the path is not what the request line says")
	}
	return nil
}

// IsCanonical reports whether a decoded path, of a configuration, is one that requests can have.
func IsCanonical(path string) bool { return whyRefused((&url.URL{Path: path}).EscapedPath()) == "" }

// whyRefused returns what is wrong with an encoded path, or "".
func whyRefused(raw string) string {
	if raw == "" || raw[0] != '/' {
		return `the path must start with "/"`
	}
	encoded := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%':
			if why := whyEscapeRefused(raw[i:]); why != "" {
				return why
			}
			encoded = true
			i += 2
		case c == ';':
			return `the path must not contain ";"`
		case !isAlphanumeric(c) && strings.IndexByte("/-._~!$&'()*+,=:@[]", c) < 0:
			return "a character of the path must be percent-encoded"
		}
	}
	if !encoded {
		return whySegmentsRefused(raw)
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return "the percent-encoding of the path is broken"
	}
	if why := whyTextRefused(path); why != "" {
		return why
	}
	return whySegmentsRefused(path)
}

// whyEscapeRefused looks at one percent-encoded byte, at the start of s.
func whyEscapeRefused(s string) string {
	if len(s) < 3 || !isHex(s[1]) || !isHex(s[2]) {
		return "the percent-encoding of the path is broken"
	}
	switch c := unhex(s[1])<<4 | unhex(s[2]); {
	case c == '/' || c == '\\':
		return "the path must not contain an encoded slash or backslash"
	case c == ';':
		return `the path must not contain ";"`
	case isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0:
		return "the path encodes a character that needs no encoding"
	}
	return ""
}

// whyTextRefused looks at the decoded path as text.
func whyTextRefused(path string) string {
	if !utf8.ValidString(path) {
		return "the path is not UTF-8"
	}
	for i, c := range path {
		if unicode.IsControl(c) {
			return "the path contains a control character"
		}
		if c == '%' && len(path) > i+2 && isHex(path[i+1]) && isHex(path[i+2]) {
			return "the path is percent-encoded twice"
		}
	}
	return ""
}

// whySegmentsRefused looks at the segments of the decoded path. Windows drops dots and spaces at the end of a
// name, so that ".. " and "..." are "..", too.
func whySegmentsRefused(path string) string {
	for rest := path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		switch {
		case segment == "" && more:
			return "the path contains an empty segment"
		case segment != "" && strings.Trim(segment, ". ") == "":
			return "the path contains a dot segment"
		case !more:
			return ""
		}
		rest = after
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unhex is the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
