package proxy

import (
	"bufio"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cloakroom/cloakroom/session/problem"
)

type pathCase struct {
	target  string
	allowed bool
}

func pathCorpus(t testing.TB) []pathCase {
	t.Helper()
	text, err := os.ReadFile("testdata/paths.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []pathCase
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		verdict, quoted, _ := strings.Cut(line, " ")
		target, err := strconv.Unquote(quoted)
		if err != nil || verdict != "allowed" && verdict != "refused" {
			t.Fatalf("paths.txt: %s: %v", line, err)
		}
		cases = append(cases, pathCase{target, verdict == "allowed"})
	}
	return cases
}

// readTarget parses a request line as the server does.
func readTarget(target string) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\n\r\n")))
}

// TestCanonical is PX-11.
func TestCanonical(t *testing.T) {
	for _, c := range pathCorpus(t) {
		r, err := readTarget(c.target)
		if err == nil {
			err = Canonical(r)
		}
		if (err == nil) != c.allowed {
			t.Errorf("%q: %v, want allowed: %v", c.target, err, c.allowed)
		}
		if refused, ok := errors.AsType[*problem.Error](err); ok && (refused.Code != problem.PathRefused || refused.Detail == "") {
			t.Errorf("%q: %v", c.target, err)
		}
	}
}

// TestCanonicalSeesChanges: what is checked is what is used, also when something in front has edited the request.
func TestCanonicalSeesChanges(t *testing.T) {
	for name, edit := range map[string]func(*url.URL){
		"path":     func(u *url.URL) { u.Path = "/admin" },
		"raw path": func(u *url.URL) { u.Path, u.RawPath = "/a/b", "/a%2Fb" },
		"host":     func(u *url.URL) { u.Host = "evil.example" },
		"scheme":   func(u *url.URL) { u.Scheme = "http" },
	} {
		r, err := readTarget("/api/a%20b")
		if err != nil {
			t.Fatal(err)
		}
		edit(r.URL)
		if err := Canonical(r); err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}

// TestCanonicalSameBytes is PX-10: what the corpus allows arrives at a real upstream as it was sent.
func TestCanonicalSameBytes(t *testing.T) {
	g := newGateway(t, nil, &Route{Path: "/", Upstream: newEcho(t), Token: TokenNone})
	for _, c := range pathCorpus(t) {
		if !c.allowed {
			continue
		}
		res := g.raw(t, "GET "+c.target+" HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n")
		sent, _, _ := strings.Cut(c.target, "?")
		if got, _, _ := strings.Cut(readEcho(t, res).URI, "?"); got != sent {
			t.Errorf("sent %q, arrived %q", sent, got)
		}
	}
}

// FuzzCanonical holds everything that passes against properties that are written down a second time here.
func FuzzCanonical(f *testing.F) {
	for _, c := range pathCorpus(f) {
		f.Add(c.target)
	}
	x := &exchange{Proxy: &Proxy{}, target: &target{Route: &Route{
		Path: "/", Upstream: &url.URL{Scheme: "http", Host: "upstream"},
	}}}
	f.Fuzz(func(t *testing.T, target string) {
		r, err := readTarget(target)
		if err != nil || Canonical(r) != nil {
			return
		}
		sent, _, _ := strings.Cut(r.RequestURI, "?")
		p := r.URL.Path

		clean := path.Clean(p)
		if strings.HasSuffix(p, "/") && p != "/" {
			clean += "/"
		}
		if clean != p {
			t.Errorf("%q: cleaned it is %q", p, clean)
		}
		if again, err := url.PathUnescape(p); err == nil && again != p {
			t.Errorf("%q: decoded again it is %q", p, again)
		}
		if !utf8.ValidString(p) || strings.ContainsAny(p, "\\;\x00\r\n\t\x7f") {
			t.Errorf("%q", p)
		}
		if strings.Count(p, "/") != strings.Count(sent, "/") {
			t.Errorf("%q has other segments than %q", p, sent)
		}
		for segment := range strings.SplitSeq(p, "/") {
			if s := strings.Trim(segment, " "); s == "." || s == ".." {
				t.Errorf("%q has a dot segment", p)
			}
		}
		x.rewriteURL(r)
		if got, _, _ := strings.Cut(r.URL.RequestURI(), "?"); got != sent {
			t.Errorf("sent %q, forwarded %q", sent, got)
		}
	})
}
