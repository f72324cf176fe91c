package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Table finds the route of a path. It does not change after NewTable and may be used by many goroutines.
type Table struct {
	entries []entry // longest prefix first
}

type entry struct {
	prefix string // without the slash at the end; "" is the root
	index  int    // in the slice that NewTable was given
}

// NewTable makes a table of routes. It refuses prefixes that are not canonical paths (see [Canonical]) and prefixes
// that occur twice; all errors are reported at once.
func NewTable(routes []*Route) (*Table, error) {
	var errs []error
	var t Table
	seen := make(map[string]bool, len(routes))
	for i, rt := range routes {
		prefix := strings.TrimSuffix(rt.Path, "/")
		if why := whyRefused((&url.URL{Path: rt.Path}).EscapedPath()); why != "" {
			errs = append(errs, fmt.Errorf("route %q: %s", rt.Path, why))
		} else if seen[prefix] {
			errs = append(errs, fmt.Errorf("route %q: the path occurs twice", rt.Path))
		}
		seen[prefix] = true
		t.entries = append(t.entries, entry{prefix, i})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return &t, nil
}

// Match returns the index of the route with the longest prefix of path, or -1. The path is the decoded one,
// URL.Path, of a request that [Canonical] let pass; it is never the query (PX-12).
//
// A prefix ends at a segment border (PX-14): both "/api/" and "/api" match "/api", "/api/" and "/api/x", and
// neither matches "/apiary". Upper and lower case are different.
func (t *Table) Match(path string) int {
	for _, e := range t.entries {
		rest, ok := strings.CutPrefix(path, e.prefix)
		if ok && (rest == "" || rest[0] == '/') {
			return e.index
		}
	}
	return -1
}
