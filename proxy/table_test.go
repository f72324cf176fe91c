package proxy

import (
	"strings"
	"testing"
)

// TestMatch is PX-12 and PX-14.
func TestMatch(t *testing.T) {
	routes := []*Route{{Path: "/"}, {Path: "/api/"}, {Path: "/api/admin"}, {Path: "/café"}}
	table, err := NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/":               "/",
		"/index.html":     "/",
		"/apiary":         "/",
		"/api.json":       "/",
		"/API/x":          "/",
		"/x/api/":         "/",
		"/api":            "/api/",
		"/api/":           "/api/",
		"/api/x":          "/api/",
		"/api/administer": "/api/",
		"/api/admin":      "/api/admin",
		"/api/admin/":     "/api/admin",
		"/api/admin/x/y":  "/api/admin",
		"/café/au lait":   "/café",
	} {
		if i := table.Match(path); i < 0 || routes[i].Path != want {
			t.Errorf("%s: route %d, want %s", path, i, want)
		}
	}
}

func TestMatchNothing(t *testing.T) {
	table, err := NewTable([]*Route{{Path: "/api/"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/", "/ap", "/apis", "/x/api/"} {
		if i := table.Match(path); i != -1 {
			t.Errorf("%s: route %d, want none", path, i)
		}
	}
}

func TestNewTableErrors(t *testing.T) {
	_, err := NewTable([]*Route{
		{Path: "/api"}, {Path: "/api/"}, {Path: "x"}, {Path: ""}, {Path: "/a//b"}, {Path: "/a/../b"}, {Path: "/100%41"},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`route "/api/": the path occurs twice`,
		`route "x": the path must start with "/"`,
		`route "": the path must start with "/"`,
		`route "/a//b": the path contains an empty segment`,
		`route "/a/../b": the path contains a dot segment`,
		`route "/100%41": the path is percent-encoded twice`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}
