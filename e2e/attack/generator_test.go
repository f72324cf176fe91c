package attack_test

import (
	"math/rand/v2"
	"net/url"
	"strings"
)

// generator makes request targets: some that are in order, some that are not, most of them in order but for one thing.
type generator struct{ *rand.Rand }

func newGenerator(seed, stream uint64) generator {
	return generator{rand.New(rand.NewPCG(seed, stream))}
}

var (
	// firsts are what a path begins with, routes and locations mostly.
	firsts = []string{
		"public", "public", "public", "api", "api", "short", "v1", "admin", "internal", "bff", "PUBLIC", "Api", "publicity",
		"public..", "short..", "api.", "", ".", "..",
	}
	// orderly are segments that a path may have.
	orderly = []string{
		"a", "x", "users", "42", "admin", "api", "public", "internal", "ADMIN", "index.html", "a.b", "..a", "a..", ".a", "...a",
		"%20a", "a%20b", "%C3%A9", "%E2%82%AC", "%7Cx", "100%25", "%25", "%25zz", "a+b", "a=b&c", "@me", "a:b", "[id]", "~x",
		"-", "_", "$a", "a,b", "(x)", "'", "*", "!", "%3F", "%23", "%3A", "%22", "%3C%3E", "%EF%BC%8F", "%EF%BC%8E%EF%BC%8E",
		"%E2%80%A5", "%E2%80%A4", "%EF%BC%BC", "%F0%9F%98%80", "%CC%80", "%E2%80%AE", "%EF%BB%BF", ".well-known", ".git", "admin%20",
	}
	// tricks are pieces over which servers differ.
	tricks = []string{
		"..", ".", "...", "/", "//", "/../", "/./", "/..", "../", `\`, `\..\`, ";", "..;", "..;/", ";a=b", ";/../", "%2e", "%2e%2e",
		"%2E%2e", ".%2e", "%2e.", "%2f", "%2F", "%5c", "%5C", "%2f..%2f", "..%2f", "..%5c", "%252e", "%252e%252e", "%252f", "%255c",
		"%25%32%65", "%00", "%0a", "%0d%0a", "%09", "%7f", "%c0%ae", "%c0%ae%c0%ae", "%c0%af", "%c1%9c", "%e0%80%ae", "%f0%80%80%ae",
		"%ed%a0%80", "%ff", "%c3", "%3b", "%61", "%41dmin", "%61dmin", "%20", "..%20", "%20..", ".%20", "#", "#/../", "?", "??", "%", "%2",
		"%u002e", "%%32e", "|", "\"", "<", "^", "`", "{", "\xc3\xa9", "\xff", "\xc0\xae", "@", "http://", "%C2%85", "%E2%80%A8", "*", ":",
		"admin", "/admin", "/../admin", "/..;/admin/", "/%2e%2e/admin", "..%2fadmin", "%2fadmin", "//admin", "/api/x", "/./internal/",
	}
	// escapes are where a path that was fine can leave its route.
	escapes = []string{"..", "%2e%2e", ".%2e", "..;", "..;x=y", "%252e%252e", "..%2f", "%2e%2e%2f", `..\`, "..%5c", "%c0%ae%c0%ae", "..%00", "..%20", ".../", ".."}
	queries = []string{"", "", "", "", "?", "?a=b", "?/../admin", "?x=/public/", "?a=%2e%2e", "?;", "?#"}
)

func (g generator) pick(from []string) string { return from[g.IntN(len(from))] }

// target is one more path, with a query at times. Few are so broken that net/http alone refuses them: each costs a
// connection, and teaches little.
func (g generator) target() string {
	for {
		target := g.any()
		if _, err := url.ParseRequestURI(target); err == nil || g.IntN(8) == 0 {
			return target
		}
	}
}

func (g generator) any() string {
	switch n := g.IntN(100); {
	case n < 35:
		return g.orderly() + g.pick(queries)
	case n < 75:
		return g.mutated() + g.pick(queries)
	case n < 90:
		return g.escape() + g.pick(queries)
	}
	return g.wild()
}

// orderly is a path as clients send them.
func (g generator) orderly() string {
	var path strings.Builder
	path.WriteString("/" + g.pick(firsts[:9]))
	for range g.IntN(5) {
		path.WriteString("/" + g.pick(orderly))
	}
	if g.IntN(4) == 0 {
		path.WriteString("/")
	}
	return path.String()
}

// mutated is an orderly path with one to three changes.
func (g generator) mutated() string {
	path := g.orderly()
	for range 1 + g.IntN(3) {
		i := 1 + g.IntN(len(path))
		switch g.IntN(8) {
		case 0: // a byte less
			path = path[:i-1] + path[i:]
		case 1: // a byte twice
			path = path[:i] + path[i-1:]
		case 2: // a byte encoded
			path = path[:i-1] + encode(path[i-1]) + path[i:]
		case 3: // upper and lower case
			path = path[:i] + swapCase(path[i:])
		case 4: // another byte
			path = path[:i-1] + string(rune(0x21+g.IntN(0x5e))) + path[i:]
		default:
			path = path[:i] + g.pick(tricks) + path[i:]
		}
		if path == "" {
			path = "/"
		}
	}
	return path
}

// escape is a path that climbs out of where it seems to be.
func (g generator) escape() string {
	path := "/" + g.pick(firsts)
	depth := g.IntN(3)
	for range depth {
		path += "/" + g.pick(orderly)
	}
	for range depth + g.IntN(3) { // one more than depth leads to the root
		path += g.pick([]string{"/", "/", "/", "//", "%2f", `\`, "%5c", ""}) + g.pick(escapes)
	}
	return path + g.pick([]string{"/", "/", "", "%2f", `\`}) + g.pick(locations) + "/x"
}

// wild is any sequence of pieces.
func (g generator) wild() string {
	path := g.pick([]string{"/", "/", "/", "/", "//", "", "http://" + host + "/", "*", `\`, "/%2f"})
	for range 1 + g.IntN(8) {
		switch g.IntN(4) {
		case 0:
			path += g.pick(firsts)
		case 1:
			path += g.pick(orderly)
		default:
			path += g.pick(tricks)
		}
		if g.IntN(2) == 0 {
			path += "/"
		}
	}
	return path
}

func encode(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{'%', digits[c>>4], digits[c&15]})
}

func swapCase(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return c - 'a' + 'A'
		case 'A' <= c && c <= 'Z':
			return c - 'A' + 'a'
		}
		return c
	}, s)
}
