package gateway

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// Require is what a session must have for a route. The zero value is nothing.
type Require struct {
	Scopes []string // all of them, as granted at login or the last refresh
	// Claims are names and, for each, values: one of them must be the session's claim, or in it if that is an array. A
	// value is a string, a [json.Number] or a bool.
	Claims map[string][]any
}

func (q *Require) decode(b *block) {
	q.Scopes = b.list("scopes")
	claims := b.block("claims")
	for _, p := range claims.pairs {
		if q.Claims == nil {
			q.Claims = map[string][]any{}
		}
		q.Claims[p.key] = claims.values(p)
	}
	b.end()
}

// values reads one JSON value, or a list of them.
func (b *block) values(p pair) []any {
	list, ok := p.value.([]node)
	if !ok {
		return []any{b.value(b.at(p.key), p.value)}
	}
	values := make([]any, len(list))
	for i, one := range list {
		values[i] = b.value(item(b.at(p.key), i), one)
	}
	return values
}

// value reads a string, a number or a boolean. It is nil for what has been reported.
func (b *block) value(path string, value node) any {
	switch value := value.(type) {
	case nil:
	case literal:
		if parsed, ok := parseClaim([]byte(value)); ok {
			return parsed
		}
		b.fail(path, "must be true, false or a number as JSON writes it; write it in quotes if it is text")
	case string:
		if text, ok := b.textOf(path, value); ok {
			return text
		}
	default:
		b.fail(path, "must be text, a number or true/false, not %s", describe(value))
	}
	return nil
}

func (q *Require) isEmpty() bool { return len(q.Scopes) == 0 && len(q.Claims) == 0 }

func (t *Route) validateRequire(r *report, path string) {
	if !t.Require.isEmpty() && t.Token == proxy.TokenNone && t.Login != "redirect" {
		r.fail(path+".require", "needs a session; write token: user")
	}
	validateScopes(r, path+".require.scopes", t.Require.Scopes)
	for _, name := range slices.Sorted(maps.Keys(t.Require.Claims)) {
		if len(t.Require.Claims[name]) == 0 {
			r.fail(join(path+".require.claims", name), "has no value, which nobody can have; write one or more")
		}
	}
}

// check returns a [problem.Forbidden] for a session that lacks something. The access token is not looked into (EXT-05):
// what counts is what the OP said about it and about the user.
func (q *Require) check(s *session.Session) error {
	for _, scope := range q.Scopes {
		if !slices.Contains(s.Tokens.Scope, scope) {
			return forbidden
		}
	}
	for name, values := range q.Claims {
		if !matches(s.Claims[name], values) {
			return forbidden
		}
	}
	return nil
}

var forbidden = problem.New(problem.Forbidden, "this user may not do this")

// matches reports whether a claim is one of the values, or an array with one of them.
func matches(claim json.RawMessage, values []any) bool {
	parsed, ok := parseClaim(claim)
	if !ok {
		return false
	}
	list, ok := parsed.([]any)
	if !ok {
		list = []any{parsed}
	}
	return slices.ContainsFunc(list, func(element any) bool { return slices.Contains(values, element) })
}

// parseClaim keeps numbers as they are written.
func parseClaim(text []byte) (value any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err := d.Decode(&value)
	return value, err == nil && d.InputOffset() == int64(len(text))
}

// needsSession reports whether a request of the route without a session is refused. What a route with the gateway's own
// token asks of a user, somebody has to be there for.
func (t *Route) needsSession() bool {
	switch t.Token {
	case proxy.TokenUser, proxy.TokenExchange:
		return true
	case proxy.TokenClient:
		return len(t.Identity) > 0 || t.Login == "redirect" || !t.Require.isEmpty()
	}
	return !t.Require.isEmpty()
}

// readsSession reports whether a request's session is looked for.
func (t *Route) readsSession() bool {
	return t.Token == proxy.TokenUserOrNone || t.Login == "redirect" || t.needsSession()
}
