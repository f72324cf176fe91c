package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// TestKeepForeignCookies is BFF-15.
func TestKeepForeignCookies(t *testing.T) {
	const own = ownCookie
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{own + "=t", ""},
		{own + "-flow-1=x; " + own + "=t", ""},
		{"lang=sv", "lang=sv"},
		{"lang=sv; " + own + "=t; theme=dark", "lang=sv; theme=dark"},
		{"a=1;" + own + "=t;b=2", "a=1; b=2"},
		{own + " =t; a=1", "a=1"},
		{" \t" + own + "\t=t", ""},
		{own, ""},
		{own + "=t; " + own + "=u", ""},
		{"a=1\n" + own + "=t\nb=2", "a=1; b=2"},
		{"a=\"x; " + own + "=t; y\"", "a=\"x; y\""},
		{"a=x=y; ;; b", "a=x=y; b"},
		{"x" + own + "=1", "x" + own + "=1"},
	} {
		h := http.Header{}
		if c.in != "" {
			h["Cookie"] = strings.Split(c.in, "\n")
		}
		keepForeignCookies(h, isOwnCookie)
		if got := strings.Join(h["Cookie"], " | "); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

// FuzzKeepForeignCookies: what is left holds no cookie that the gateway would read as its own.
func FuzzKeepForeignCookies(f *testing.F) {
	f.Add("a=1; " + ownCookie + "=t")
	f.Add("a=\"; " + ownCookie + " = t;")
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{Header: http.Header{"Cookie": {line}}}
		keepForeignCookies(r.Header, isOwnCookie)
		for _, c := range r.Cookies() {
			if isOwnCookie(c.Name) {
				t.Errorf("%q leaves %q", line, c)
			}
		}
	})
}

// TestIsSettable is PX-23.
func TestIsSettable(t *testing.T) {
	for line, want := range map[string]bool{
		"lang=sv":                           true,
		"lang=sv; Path=/; Secure; HttpOnly": true,
		"lang=sv; Expires=Wed, 21 Oct 2026 07:28:00 GMT": true,
		"lang=":                             true,
		"__Host-other=1; Secure; Path=/":    true,
		"note=Domain":                       true,
		ownCookie + "=evil":                 false,
		ownCookie + "-flow-1=evil; Path=/":  false,
		" " + ownCookie + " =evil":          false,
		ownCookie:                           false,
		"=" + ownCookie + "=evil":           false,
		"lang":                              false,
		"":                                  false,
		"lang=sv; Domain=example.com":       false,
		"lang=sv; domain = .example.com":    false,
		"lang=sv;DOMAIN=example.com; Path=": false,
		"lang=sv; Domain":                   false,
		"lang=sv; Domain=a; Domain=":        false,
		"la ng=sv":                          false,
		"lang=s\x00v":                       false,
		"lang=sv; Path=/\x01":               false,
	} {
		if got := isSettable(line, isOwnCookie); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
