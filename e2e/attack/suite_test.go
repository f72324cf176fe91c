package attack_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// attack is a line of the suite.
type attack struct {
	name   string
	source string // a requirement, a CVE, an advisory
	send   string // bytes on a connection of their own; TICKET stands for alice's
	// want are the answers as answer.describe tells them, with "or" where both will do. The upstream must have got the
	// requests that it has answered, those behind a colon, and no other.
	want string
}

// What a signed-in browser sends.
const (
	alice = "Cookie: " + sessionCookie + "=TICKET"
	csrf  = "X-CSRF: 1"
	same  = "Sec-Fetch-Site: same-origin"
	last  = "GET /public/last HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"

	lastAnswer = "200 GET /public/last"
)

// suite is an application with a route of each family, one upstream behind all of them, and two users.
type suite struct {
	*application
	up         *upstream
	alice, bob string // tickets
	aliceToken string // Authorization, as the upstream sees it
	bobToken   string
	asked      int // by others, after attacks
}

// newSuite starts the application. Nothing leads to anything but these routes: there is no "/".
func newSuite(t *testing.T, c config) *suite {
	t.Helper()
	s := &suite{up: startUpstream(t)}
	c.routes = fmt.Sprintf(`
- {path: /api/, upstream: "%[1]s", token: user}
- {path: /files/, upstream: "%[1]s", token: user, csrf: origin}
- {path: /ws/, upstream: "%[1]s", token: user, csrf: origin, websocket: true}
- {path: /pages/, upstream: "%[1]s", token: user_or_none, csrf: navigation, identity: {X-User-Id: sub}}
- {path: /gated/, upstream: "%[1]s", token: user, csrf: navigation, login: redirect}
- {path: /public/, upstream: "%[1]s", token: none, csrf: none, headers: {X-Zone: public}, timeout: 5s}
- {path: /short/, upstream: "%[1]s/base", token: none, csrf: none, strip_prefix: true}
`, s.up.url())
	s.application = startApplication(t, c)
	s.alice, s.bob = s.signIn(t, "alice"), s.signIn(t, "bob")
	s.aliceToken, s.bobToken = s.token(t, s.alice), s.token(t, s.bob)
	return s
}

// token is the Authorization field that the upstream gets for a session.
func (s *suite) token(t *testing.T, ticket string) string {
	t.Helper()
	if got := describe(s.send(t, get("/api/token", cookieOf(ticket), csrf))); got != "200 GET /api/token" {
		t.Fatalf("an honest request: %s", got)
	}
	all := s.up.all()
	return all[len(all)-1].value("Authorization")
}

// run sends each attack, compares what comes back and what has arrived, and has somebody else ask for something.
func (s *suite) run(t *testing.T, attacks []attack) {
	t.Helper()
	names := map[string]bool{}
	for _, one := range attacks {
		if names[one.name] || one.source == "" {
			t.Fatalf("%q: the name occurs twice, or there is no source", one.name)
		}
		names[one.name] = true
		t.Run(one.name, func(t *testing.T) {
			before := len(s.up.all())
			answer, _, _ := strings.Cut(one.want, ": ")
			if got := describe(s.send(t, s.fill(one.send))); !slices.Contains(strings.Split(answer, " or "), got) {
				t.Errorf("%s: answered with %q, want %q", one.source, got, one.want)
			}
			var arrived []string
			for _, req := range s.up.all()[before:] {
				arrived = append(arrived, req.line)
			}
			if want := answeredAbove(one.want); !slices.Equal(arrived, want) {
				t.Errorf("%s: the upstream got %q, want %q", one.source, arrived, want)
			}
			s.othersAreFine(t)
		})
	}
}

// fill puts alice's ticket in.
func (s *suite) fill(text string) string { return strings.ReplaceAll(text, "TICKET", s.alice) }

// answeredAbove are the requests that the upstream must have got.
func answeredAbove(want string) []string { return requestLines.FindAllString(want, -1) }

var requestLines = regexp.MustCompile(`(GET|POST) /[^ ,]*`)

// othersAreFine has bob and a stranger ask for something, on the upstream connections that are there.
func (s *suite) othersAreFine(t *testing.T) {
	t.Helper()
	s.asked++
	before := len(s.up.all())
	own, public := fmt.Sprintf("/api/bob-%d", s.asked), fmt.Sprintf("/public/stranger-%d", s.asked)
	got := describe(s.send(t, get(own, cookieOf(s.bob), csrf))) + ", " + describe(s.send(t, get(public)))
	if want := fmt.Sprintf("200 GET %s, 200 GET %s", own, public); got != want {
		t.Errorf("others then get %q, want %q", got, want)
	}
	arrived := s.up.all()[before:]
	if len(arrived) != 2 || arrived[0].value("Authorization") != s.bobToken || arrived[1].value("Authorization") != "" {
		t.Errorf("what others then ask has arrived as %+v", arrived)
	}
}
