package proxy

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session/problem"
)

//go:embed testdata
var embedded embed.FS

const page, script = "<!doctype html><title>app</title>", "console.log('app')"

func gzipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func newSite(t *testing.T) fstest.MapFS {
	t.Helper()
	return fstest.MapFS{
		"index.html":             {Data: []byte(page)},
		"app.js":                 {Data: []byte(script)},
		"app.js.gz":              {Data: gzipped(t, script)},
		"app.js.br":              {Data: []byte("brotli")},
		"assets/app.5f3a2b1c.js": {Data: []byte(script)},
		"docs/index.html":        {Data: []byte("docs")},
		"docs/a b.txt":           {Data: []byte("text")},
		"empty/x.txt":            {Data: []byte("x")},
		"data.bin":               {Data: []byte("<html>")},
		".env":                   {Data: []byte("SECRET=1")},
		".git/config":            {Data: []byte("x")},
		"a/.htaccess":            {Data: []byte("x")},
		".well-known/security":   {Data: []byte("x")},
	}
}

var navigation = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html,*/*;q=0.8"}

// TestStaticPaths is PX-26: which path is which file.
func TestStaticPaths(t *testing.T) {
	g := newGateway(t, nil, &Route{Path: "/", Static: newSite(t), Token: TokenNone})
	for _, c := range []struct {
		path    string
		fields  []string
		want    string // body; "" is not_found
		comment string
	}{
		{"/", nil, page, "the index page"},
		{"/index.html", nil, page, "by name"},
		{"/app.js", nil, script, "a file"},
		{"/assets/app.5f3a2b1c.js", nil, script, "a file in a folder"},
		{"/docs/", nil, "docs", "the index page of a folder"},
		{"/docs/a%20b.txt", nil, "text", "a name with a space"},
		{"/.well-known/security", nil, "x", "well-known"},
		{"/orders/7", navigation, page, "a path of the application"},
		{"/orders/7", []string{"Accept: text/html"}, page, "the same without Fetch Metadata"},
		{"/orders/", navigation, page, "with a slash"},
		{"/empty", navigation, page, "a folder without an index page"},
		{"/orders/7", nil, "", "no navigation"},
		{"/orders/7", []string{"Accept: */*"}, "", "fetch without Fetch Metadata"},
		{"/orders/7", []string{"Accept: text/html", "Sec-Fetch-Mode: cors"}, "", "fetch"},
		{"/missing.js", navigation, "", "a missing file, as a navigation"},
		{"/missing.js", []string{"Sec-Fetch-Dest: script", "Sec-Fetch-Mode: no-cors"}, "", "a missing file"},
		{"/empty/", nil, "", "no list of a folder"},
		{"/empty", nil, "", "no list of a folder"},
		{"/index.html/x", nil, "", "a file is no folder"},
		{"/.env", nil, "", "dot files"},
		{"/.env", []string{"Accept: */*"}, "", "dot files"},
		{"/.git/config", nil, "", "dot folders"},
		{"/a/.htaccess", nil, "", "dot files in folders"},
		{"/" + strings.Repeat("x", 5000), nil, "", "a name that is too long"},
	} {
		res := g.get(t, c.path, c.fields...)
		if c.want == "" {
			g.wantProblem(t, res, problem.NotFound)
		} else if got := body(t, res); res.StatusCode != http.StatusOK || got != c.want {
			t.Errorf("%s (%s): status %d, %q", c.path, c.comment, res.StatusCode, got)
		}
	}
	res := g.get(t, "/docs?x=1")
	if res.StatusCode != http.StatusTemporaryRedirect || res.Header.Get("Location") != "/docs/?x=1" {
		t.Errorf("/docs: status %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestStaticMethods(t *testing.T) {
	g := newGateway(t, nil, &Route{Path: "/", Static: newSite(t), Token: TokenNone, Methods: []string{"GET", "POST"}})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		p := g.wantProblem(t, g.do(t, method, "/app.js", nil), problem.MethodNotAllowed)
		if diff := cmp.Diff([]string{"GET", "HEAD"}, p.Allow); diff != "" {
			t.Errorf("%s: Allow (-want +got):\n%s", method, diff)
		}
	}
	res := g.do(t, http.MethodHead, "/app.js", nil)
	if res.ContentLength != int64(len(script)) || body(t, res) != "" {
		t.Errorf("HEAD: Content-Length %d", res.ContentLength)
	}
}

func TestStaticPrefix(t *testing.T) {
	site := fstest.MapFS{"index.html": {Data: []byte("root")}, "ui/index.html": {Data: []byte("ui")}, "x.txt": {Data: []byte("x")}}
	kept := newGateway(t, nil, &Route{Path: "/ui/", Static: site, Token: TokenNone})
	stripped := newGateway(t, nil, &Route{Path: "/ui/", Static: site, Token: TokenNone, StripPrefix: true})
	if got := body(t, kept.get(t, "/ui/")); got != "ui" {
		t.Errorf("kept: %q", got)
	}
	kept.wantProblem(t, kept.get(t, "/ui/x.txt"), problem.NotFound)
	for path, want := range map[string]string{"/ui/": "root", "/ui": "root", "/ui/x.txt": "x"} {
		if got := body(t, stripped.get(t, path)); got != want {
			t.Errorf("stripped: %s: %q", path, got)
		}
	}
}

// TestStaticFields: what a browser may keep, and what a page may do (BFF-29, PX-31, PX-32).
func TestStaticFields(t *testing.T) {
	site := newSite(t)
	g := newGateway(t, nil,
		&Route{Path: "/", Static: site, Token: TokenNone},
		&Route{Path: "/docs", Static: site, Token: TokenUserOrNone, Documents: true})
	document := http.Header{
		"Content-Type": {"text/html; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"},
		"Content-Security-Policy":    {"base-uri 'self'; frame-ancestors 'none'; object-src 'none'"},
		"Cross-Origin-Opener-Policy": {"same-origin"}, "Referrer-Policy": {"from-the-gateway"}, "Vary": {"Origin"},
	}
	with := func(h http.Header, more http.Header) http.Header {
		h = h.Clone()
		for name, values := range more {
			h[name] = values
		}
		return h
	}
	file := func(contentType, cacheControl string) http.Header {
		return http.Header{
			"Content-Type": {contentType}, "X-Content-Type-Options": {"nosniff"}, "Cache-Control": {cacheControl},
			"Referrer-Policy": {"from-the-gateway"}, "Vary": {"Origin"},
		}
	}
	for path, want := range map[string]http.Header{
		"/":                       with(document, http.Header{"Cache-Control": {"no-cache"}}),
		"/orders":                 with(document, http.Header{"Cache-Control": {"no-cache"}, "Vary": {"Origin", "Accept", "Sec-Fetch-Mode"}}),
		"/docs/":                  with(document, http.Header{"Cache-Control": {"no-store"}, "Vary": {"Origin", "Cookie"}}),
		"/app.js":                 with(file("text/javascript; charset=utf-8", "no-cache"), http.Header{"Vary": {"Origin", "Accept-Encoding"}}),
		"/assets/app.5f3a2b1c.js": file("text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
		"/data.bin":               file("application/octet-stream", "no-cache"),
	} {
		res := g.get(t, path, "Accept: text/html", "Accept-Encoding: identity")
		for _, name := range []string{"Accept-Ranges", "Content-Length", "Date", "Etag"} {
			if res.Header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
			delete(res.Header, name)
		}
		if diff := cmp.Diff(want, res.Header); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestStaticEncodings(t *testing.T) {
	g := newGateway(t, nil, &Route{Path: "/", Static: newSite(t), Token: TokenNone})
	tags := map[string]string{}
	for accept, want := range map[string]string{
		"identity": "", "*": "", "gzip": "gzip", "br": "br", "gzip, deflate, br, zstd": "br", "GZIP": "gzip",
		"br;q=0, gzip;q=0.5": "gzip", "br; q=0.0": "", "br;q=x": "", "xbr": "", "gzip;q=1.0,br;q=0.1": "br",
	} {
		res := g.get(t, "/app.js", "Accept-Encoding: "+accept)
		if got := res.Header.Get("Content-Encoding"); got != want || !slices.Contains(res.Header["Vary"], "Accept-Encoding") {
			t.Errorf("%q: %q, want %q, Vary %q", accept, got, want, res.Header["Vary"])
		}
		if res.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || res.ContentLength != int64(len(body(t, res))) {
			t.Errorf("%q: %v", accept, res.Header)
		}
		tags[want] = res.Header.Get("Etag")
	}
	if len(tags) != 3 || tags[""] == tags["gzip"] || tags["gzip"] == tags["br"] {
		t.Errorf("the entity tags of the variants are %v", tags)
	}
	res := g.get(t, "/app.js", "Accept-Encoding: gzip", "If-None-Match: "+tags["gzip"])
	if res.StatusCode != http.StatusNotModified || res.Header.Get("Etag") != tags["gzip"] {
		t.Errorf("the same variant: status %d, %v", res.StatusCode, res.Header)
	}
	if res := g.get(t, "/app.js", "Accept-Encoding: br", "If-None-Match: "+tags["gzip"]); res.StatusCode != http.StatusOK {
		t.Errorf("another variant: status %d", res.StatusCode)
	}
}

func TestStaticRanges(t *testing.T) {
	g := newGateway(t, nil, &Route{Path: "/", Static: newSite(t), Token: TokenNone})
	res := g.get(t, "/app.js", "Range: bytes=0-6", "Accept-Encoding: br")
	if got := body(t, res); res.StatusCode != http.StatusPartialContent || got != "console" {
		t.Errorf("status %d, %q", res.StatusCode, got)
	}
	if res := g.get(t, "/app.js", "Range: bytes=900-"); res.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("status %d", res.StatusCode)
	}
}

// TestStaticTags: the same file keeps its tag, other content has another one, also at the same size and time.
func TestStaticTags(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "index.html")
	then := time.Unix(0, 0)
	write := func(content string) string {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, then, then); err != nil {
			t.Fatal(err)
		}
		g := newGateway(t, nil, &Route{Path: "/", Static: os.DirFS(dir), Token: TokenNone})
		res := g.get(t, "/")
		if got := body(t, res); got != content {
			t.Errorf("%q, want %q", got, content)
		}
		again := g.get(t, "/", "If-None-Match: "+res.Header.Get("Etag"))
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("status %d", again.StatusCode)
		}
		then = then.Add(time.Hour)
		if err := os.Chtimes(name, then, then); err != nil {
			t.Fatal(err)
		}
		if got := g.get(t, "/").Header.Get("Etag"); got != res.Header.Get("Etag") {
			t.Errorf("a touched file has the tag %s, before %s", got, res.Header.Get("Etag"))
		}
		return res.Header.Get("Etag")
	}
	if a, b := write("one"), write("two"); a == b || !strings.HasPrefix(a, `"`) {
		t.Errorf("tags %s and %s", a, b)
	}
}

func TestStaticEmbedded(t *testing.T) {
	site, err := fs.Sub(embedded, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, nil, &Route{Path: "/", Static: site, Token: TokenNone})
	res := g.get(t, "/paths.txt")
	if res.StatusCode != http.StatusOK || res.Header.Get("Etag") == "" || res.Header.Get("Last-Modified") != "" {
		t.Errorf("status %d, %v", res.StatusCode, res.Header)
	}
}

func TestHasContentHash(t *testing.T) {
	for name, want := range map[string]bool{
		"main.5f3a2b1c.js": true, "assets/index-Bx3kQ9_a.css": true, "chunk-7QWERTY2.mjs": true, "main.5f3a2b1c.js.map": true,
		"5f3a2b1c9d.png": true, "static/js/2.0123456789abcdef0123.chunk5.js": false, "main.0123456789abcdef0123.js": true,
		"index.html": false, "page.5f3a2b1c.html": false, "app.js": false, "jquery-3.7.1.min.js": false,
		"report-20240101.csv": false, "my-component.js": false, "my-MyComponent.js": false, "app-release2024.js": false,
		"deadbeef.js": false, "LICENSE": false, "a.12345678": false, "": false, ".js": false,
	} {
		if got := hasContentHash(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

// FuzzStaticName: no path reads outside of the folder, or a dot file.
func FuzzStaticName(f *testing.F) {
	site := fstest.MapFS{"index.html": {Data: []byte(page)}, ".env": {Data: []byte("x")}, "a/.b/c": {Data: []byte("x")}}
	s := &static{fsys: site}
	for _, seed := range []string{"index.html", ".env", "a/.b/c", "../x", "a//.b/c", "./.env", ".well-known/.env", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if s.isFile(name) && name != "index.html" {
			t.Errorf("%q is served", name)
		}
	})
}
