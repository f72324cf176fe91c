package bff

import (
	"bufio"
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session/problem"
)

// corpus reads a file of texts, one a line, quoted as in Go where a line could not hold them. A # and a space begin a
// comment.
func corpus(t testing.TB, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var texts []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text := lines.Text()
		if text == "" || strings.HasPrefix(text, "# ") {
			continue
		}
		if strings.HasPrefix(text, `"`) {
			if text, err = strconv.Unquote(text); err != nil {
				t.Fatalf("%s: %q: %v", name, lines.Text(), err)
			}
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return texts
}

// FLOW-18: no text of the corpus leads away from the origin.
func TestReturnURLRefused(t *testing.T) {
	texts := append(corpus(t, "testdata/returnurl-refused.txt"), "/"+strings.Repeat("a", maxReturnURL))
	for _, text := range texts {
		got, err := ParseReturnURL(text)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.BadReturnURL || got != "" {
			t.Errorf("ParseReturnURL(%q) = %q, %v; want bad_return_url", text, got, err)
		}
	}
}

// pains.md 21: path, query and fragment come back as they were.
func TestReturnURLAccepted(t *testing.T) {
	for _, text := range corpus(t, "testdata/returnurl-accepted.txt") {
		if got, err := ParseReturnURL(text); err != nil || got != text {
			t.Errorf("ParseReturnURL(%q) = %q, %v", text, got, err)
		}
	}
	if got, err := ParseReturnURL(""); err != nil || got != "/" {
		t.Errorf("ParseReturnURL of nothing = %q, %v; want /", got, err)
	}
}

// What is accepted stays on the origin for any reader: as it is, with what browsers drop taken away, and decoded.
func FuzzReturnURL(f *testing.F) {
	for _, name := range []string{"testdata/returnurl-refused.txt", "testdata/returnurl-accepted.txt"} {
		for _, text := range corpus(f, name) {
			f.Add(text)
		}
	}
	base, _ := url.Parse("https://app.example.com/bff/landing")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseReturnURL(text)
		if err != nil {
			return
		}
		if got != text && text != "" {
			t.Fatalf("ParseReturnURL(%q) = %q: it must not repair", text, got)
		}
		asBrowser := strings.NewReplacer("\t", "", "\r", "", "\n", "", `\`, "/").Replace(strings.TrimSpace(got))
		path, _, _ := strings.Cut(asBrowser, "?")
		path, _, _ = strings.Cut(path, "#")
		decoded := path
		for range 4 {
			if strings.Contains(decoded, "//") || !strings.HasPrefix(decoded, "/") {
				t.Fatalf("ParseReturnURL(%q) accepts a path that reads as %q", text, decoded)
			}
			if decoded, err = url.PathUnescape(decoded); err != nil {
				break
			}
		}
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
			t.Fatalf("ParseReturnURL(%q) resolves to %v, %v", text, u, err)
		}
	})
}
