package proxy

import "strings"

// challenge is one of the challenges of a WWW-Authenticate field (RFC 9110 §11.6.1).
type challenge struct {
	scheme string            // as written; compare without regard to case
	params map[string]string // names in lower case, values without quotes; nil when there is a token68 instead
}

// parseChallenges reads the value of one WWW-Authenticate field, which may hold several challenges. It is false for
// anything that the grammar of RFC 9110 does not make, and where a parameter occurs twice.
func parseChallenges(value string) ([]challenge, bool) {
	s := scanner{value}
	var list []challenge
	for {
		for s.blanks(); s.eat(','); s.blanks() { // a list may have empty elements (§5.6.1.2)
		}
		if s.rest == "" {
			return list, true
		}
		var ok bool
		if list, ok = s.element(list); !ok {
			return nil, false
		}
		if s.blanks(); s.rest != "" && s.rest[0] != ',' {
			return nil, false
		}
	}
}

// scanner holds what has not been read yet.
type scanner struct{ rest string }

// element reads what stands between two commas: one more parameter of the last challenge, or the beginning of the next
// one, with its scheme and its first parameter, its token68, or neither.
func (s *scanner) element(list []challenge) ([]challenge, bool) {
	name, value, ok := s.param()
	if ok {
		return list, len(list) > 0 && list[len(list)-1].set(name, value)
	}
	next := challenge{scheme: s.token(), params: map[string]string{}}
	list = append(list, next)
	if next.scheme == "" {
		return nil, false
	}
	if !s.blanks() || s.rest == "" || s.rest[0] == ',' {
		return list, true
	}
	if name, value, ok := s.param(); ok {
		return list, next.set(name, value)
	}
	list[len(list)-1].params = nil
	return list, s.token68()
}

// set adds a parameter. It is false for one that is there already, and for a challenge that has a token68.
func (c challenge) set(name, value string) bool {
	name = strings.ToLower(name)
	if _, twice := c.params[name]; twice || c.params == nil {
		return false
	}
	c.params[name] = value
	return true
}

// param reads name=value. When there is none, nothing is read.
func (s *scanner) param() (name, value string, ok bool) {
	start := s.rest
	name = s.token()
	s.blanks()
	if name != "" && s.eat('=') {
		s.blanks()
		if value, ok = s.quoted(); !ok {
			value = s.token()
			ok = value != ""
		}
	}
	if !ok {
		s.rest = start
	}
	return name, value, ok
}

// quoted reads a quoted-string (§5.6.4) and returns what it means. When there is none, nothing is read.
func (s *scanner) quoted() (string, bool) {
	text, ok := strings.CutPrefix(s.rest, `"`)
	if !ok {
		return "", false
	}
	var value strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			s.rest = text[i+1:]
			return value.String(), true
		case c == '\\' && i+1 < len(text):
			i++
		case c == '\\':
			return "", false
		}
		if !isFieldValue(text[i : i+1]) {
			return "", false
		}
		value.WriteByte(text[i])
	}
	return "", false
}

// token reads a token (§5.6.2), or nothing.
func (s *scanner) token() string {
	n := 0
	for n < len(s.rest) && isToken(s.rest[n:n+1]) {
		n++
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	return token
}

// token68 reads the credentials of schemes such as Negotiate (§11.2).
func (s *scanner) token68() bool {
	rest := strings.TrimLeftFunc(s.rest, func(c rune) bool {
		return c < 0x80 && isAlphanumeric(byte(c)) || strings.ContainsRune("-._~+/", c)
	})
	found := len(rest) < len(s.rest)
	s.rest = strings.TrimLeft(rest, "=")
	return found
}

// blanks reads spaces and tabs and reports whether there were any.
func (s *scanner) blanks() bool {
	rest := strings.TrimLeft(s.rest, " \t")
	found := len(rest) < len(s.rest)
	s.rest = rest
	return found
}

func (s *scanner) eat(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}
