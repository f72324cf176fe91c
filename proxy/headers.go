package proxy

import (
	"net/http"
	"strings"
)

// The header fields that this package treats in any way are rows of tables: headersup.go has those of requests,
// headersdown.go those of answers. What is in no table passes. A list of what may pass, instead of what may not, would
// be safer on paper and useless in practice: applications name fields as they like.

// A fieldRule is a row of a table. The name is in lower case; with a "*" at its end it is the start of a name, and with
// one at its start the end. "_" matches where "-" stands (PX-07).
type fieldRule struct{ name, reason string }

// oddNames, as the name of a rule, are all names with something else in them than letters, digits and "-".
const oddNames = "*_*"

// fieldSet is a table of rules made quick to ask.
type fieldSet struct {
	verdicts     map[string]bool // by the name in the form that net/http gives it: whether it is in the set
	starts, ends []string
	odd          bool
}

// newFieldSet returns the set of the rules. Names of others that no rule matches are often asked for, and not in the set:
// to know that takes one look.
func newFieldSet(rules []fieldRule, others ...fieldRule) *fieldSet {
	s := &fieldSet{verdicts: make(map[string]bool, len(rules)+len(others))}
	for _, rule := range rules {
		if rule.name == oddNames {
			s.odd = true
		} else if start, ok := strings.CutSuffix(rule.name, "*"); ok {
			s.starts = append(s.starts, http.CanonicalHeaderKey(start))
		} else if end, ok := strings.CutPrefix(rule.name, "*"); ok {
			s.ends = append(s.ends, http.CanonicalHeaderKey(end))
		} else {
			s.add(rule.name)
		}
	}
	for _, other := range others {
		if !s.has(other.name) {
			s.verdicts[http.CanonicalHeaderKey(other.name)] = false
		}
	}
	return s
}

// add puts one more name into the set.
func (s *fieldSet) add(name string) { s.verdicts[http.CanonicalHeaderKey(name)] = true }

// has reports whether the name is in the set, in any spelling. It allocates nothing for the spelling of net/http.
func (s *fieldSet) has(name string) bool {
	if in, known := s.verdicts[name]; known {
		return in
	}
	return s.odd && isOdd(name) || s.matches(http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-")))
}

func (s *fieldSet) matches(name string) bool {
	if s.verdicts[name] {
		return true
	}
	for _, start := range s.starts {
		if strings.HasPrefix(name, start) {
			return true
		}
	}
	for _, end := range s.ends {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// removeFrom deletes the fields of the set.
func (s *fieldSet) removeFrom(h http.Header) {
	for name := range h {
		if s.has(name) {
			delete(h, name)
		}
	}
}

func isOdd(name string) bool {
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && name[i] != '-' {
			return true
		}
	}
	return false
}
