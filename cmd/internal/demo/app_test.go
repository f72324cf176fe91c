package demo

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestNothingFromElsewhere reads every embedded file: no inline script or style, which the policies would block, and
// nothing that a machine without network could not load.
func TestNothingFromElsewhere(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>|<script (?:[^>]* )?type="[^"]*"></script|javascript:|(?:src|href)="(?:https?:)?//`),
		".css":  regexp.MustCompile(`(?i)url\(|@import`),
		".js":   regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|eval\(|setItem\(|from '[^.]|import\('[^.]|setAttribute\('style`),
		".svg":  regexp.MustCompile(`(?i)<script|<style|\sstyle=|href=`),
	}
	files := 0
	err := fs.WalkDir(embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		pattern, known := forbidden[path.Ext(name)]
		if !known {
			t.Errorf("%s: an unexpected kind of file", name)
			return nil
		}
		content, err := fs.ReadFile(embedded, name)
		if found := pattern.Find(content); found != nil {
			t.Errorf("%s contains %q", name, found)
		}
		return err
	})
	if err != nil || files < 10 {
		t.Errorf("%d files read: %v", files, err)
	}
}

var (
	policyMeta = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`)
	reference  = regexp.MustCompile(`(?:src|href)="/([^"]*)"|from '\./([^']*)'`)
	elementID  = regexp.MustCompile(`\sid="([^"]*)"`)
	usedID     = regexp.MustCompile(`\$\('([^']*)'\)|onClick\('([^']*)'`)
)

// sites are the static files of both applications with the module that starts each.
var sites = []struct {
	name, module string
	files        fs.FS
	ids          []string // that browser tests rely on
}{
	{
		"first", "app.js", firstApp(stubListener{}).site,
		[]string{
			"sign-in", "user-name", "call-api", "api-result", "extend", "sign-out", "idle-left", "absolute-left",
			"visible-to-js", "status", "refresh", "sessions", "end-all", "op",
		},
	},
	{"second", "second.js", secondApp(stubListener{}).site, []string{"sign-in", "user-name", "sign-out", "status"}},
}

// TestPagePolicy is BFF-29: the document allows its own files and nothing else, and says so before it loads any.
func TestPagePolicy(t *testing.T) {
	const want = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'"
	for _, site := range sites {
		page := read(t, site.files, "index.html")
		policy := policyMeta.FindStringSubmatchIndex(page)
		if policy == nil || page[policy[2]:policy[3]] != want {
			t.Errorf("%s: no policy, or another than %q", site.name, want)
			continue
		}
		if first := strings.Index(page, "<link"); first < policy[0] {
			t.Errorf("%s: the page loads something before its policy", site.name)
		}
	}
}

// TestReferences: whatever pages and modules refer to is there.
func TestReferences(t *testing.T) {
	for _, site := range sites {
		page := read(t, site.files, "index.html")
		var ids []string
		for _, found := range elementID.FindAllStringSubmatch(page, -1) {
			ids = append(ids, found[1])
		}
		for _, id := range site.ids {
			if !slices.Contains(ids, id) {
				t.Errorf("%s: the page has no #%s", site.name, id)
			}
		}
		for _, found := range usedID.FindAllStringSubmatch(read(t, site.files, site.module), -1) {
			if id := found[1] + found[2]; !slices.Contains(ids, id) {
				t.Errorf("%s: %s uses #%s, which the page does not have", site.name, site.module, id)
			}
		}
		seen, todo := map[string]bool{}, []string{"index.html"}
		for len(todo) > 0 {
			name := todo[0]
			todo = todo[1:]
			if seen[name] {
				continue
			}
			seen[name] = true
			for _, found := range reference.FindAllStringSubmatch(read(t, site.files, name), -1) {
				if to := found[1] + found[2]; to != "" && !strings.HasPrefix(to, "bff/") {
					todo = append(todo, to)
				}
			}
		}
		if !seen[site.module] || !seen["bff.js"] {
			t.Errorf("%s: %v lacks %s or bff.js", site.name, seen, site.module)
		}
	}
}

func read(t *testing.T, files fs.FS, name string) string {
	t.Helper()
	content, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestLayers(t *testing.T) {
	second := secondApp(stubListener{}).site
	if page := read(t, second, "index.html"); !strings.Contains(page, "Lost &amp; Found") {
		t.Error("the second application shows the first one's page")
	}
	if _, err := second.Open("missing.js"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
}
