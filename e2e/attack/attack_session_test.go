package attack_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestTickets: the session is that of one cookie with one name, byte for byte, or there is none (CK-03, CK-04, SES-11).
func TestTickets(t *testing.T) {
	t.Parallel()
	const unauthenticated = "401 unauthenticated"
	with := func(cookie string) string { return get("/api/x", csrf, same, cookie) }
	own := sessionCookie + "=TICKET"
	s := newSuite(t, config{})
	other := strings.ToUpper(s.alice)
	if other == s.alice {
		other = strings.ToLower(s.alice)
	}
	s.run(t, []attack{
		{"two cookies, ours first", "CK-04", with("Cookie: " + own + "; " + sessionCookie + "=planted"), unauthenticated},
		{"two cookies, ours last", "CK-04", with("Cookie: " + sessionCookie + "=planted; " + own), unauthenticated},
		{"two fields", "CK-04, CK-15", with("Cookie: " + own + "\r\nCookie: " + sessionCookie + "=planted"), unauthenticated},
		{"the same twice", "CK-04", with("Cookie: " + own + "; " + own), unauthenticated},
		{"an empty second", "CK-04", with("Cookie: " + own + "; " + sessionCookie + "="), unauthenticated},
		{"lower case", "CK-03", with("Cookie: __host-http-cloakroom=TICKET"), unauthenticated},
		{"upper case", "CK-03", with("Cookie: __HOST-HTTP-CLOAKROOM=TICKET"), unauthenticated},
		{"another prefix", "CK-02", with("Cookie: __Host-cloakroom=TICKET"), unauthenticated},
		{"no prefix", "CK-02", with("Cookie: cloakroom=TICKET"), unauthenticated},
		{"the name with a port", "CK-02", with("Cookie: cloakroom-443=TICKET"), unauthenticated},
		{"a nameless cookie", "CK-03, 6265bis §5.7", with("Cookie: =" + own), unauthenticated},
		{"a space in front of the name", "CK-03", with("Cookie: \u2000" + own), unauthenticated},
		{"a no-break space behind the name", "CK-03", with("Cookie: " + sessionCookie + "\u00a0=TICKET"), unauthenticated},
		{"a NUL in the name", "CK-03", with("Cookie: __Host-\x00Http-cloakroom=TICKET"), malform},
		{"$Version", "PortSwigger, cookie sandwich", with(`Cookie: $Version=1; x="a; ` + own + `; y=b"`), "200 GET /api/x"},
		{"inside a quoted value", "PortSwigger, cookie sandwich", with(`Cookie: x="; ` + sessionCookie + `=planted; y="`), "401 session_ended or 401 unauthenticated"},
		{"a quoted ticket", "CK-07", with(`Cookie: ` + sessionCookie + `="TICKET"`), "200 GET /api/x"},
		{"separated by a comma", "CK-04", with("Cookie: a=b, " + own), unauthenticated},

		{"a guess", "CK-07", with("Cookie: " + sessionCookie + "=" + strings.Repeat("A", 43)), unauthenticated},
		{"another case of a ticket", "CK-07", with("Cookie: " + sessionCookie + "=" + other), unauthenticated},
		{"half a ticket", "CK-07", with("Cookie: " + sessionCookie + "=" + s.alice[:len(s.alice)/2]), unauthenticated},
		{"a ticket and more", "CK-07", with("Cookie: " + own + "A"), unauthenticated},
		{"a ticket, encoded", "CK-07", with("Cookie: " + sessionCookie + "=%" + "TICKET"), unauthenticated},
		{"an empty ticket", "SES-11", with("Cookie: " + sessionCookie + "="), unauthenticated},
		{"an overlong ticket", "CK-05", with("Cookie: " + sessionCookie + "=" + strings.Repeat("A", 50_000)), unauthenticated},
		{"an overlong name", "CK-05", with("Cookie: " + sessionCookie + strings.Repeat("A", 50_000) + "=x"), unauthenticated},
		{"10 000 cookies", "PX-34", with("Cookie: " + strings.Repeat("a=b;", 10_000)), unauthenticated},
		{"a store key", "CK-08", with("Cookie: " + sessionCookie + "=rec:*"), unauthenticated},
		{"line ends", "CK-08", with("Cookie: " + sessionCookie + "=%0d%0aDEL%20x"), unauthenticated},
		{"in the query", "CK-03", get("/api/x?"+own, csrf, same), unauthenticated},
		{"in another field", "CK-03", get("/api/x", csrf, same, "X-Cookie: "+own, "Authorization: Bearer TICKET"), unauthenticated},

		// Ending or seeing the session of another (RPL, SES-07).
		{"a guessed sid", "RPL-03", get("/bff/logout?sid=guess", append(navigation, alice)...), "400"},
		{"another's session listed by number", "SES-07", request("DELETE", "/bff/sessions/1", alice, csrf, same), notFound},
		{"a session id with a path", "SES-07", request("DELETE", "/bff/sessions/..%2f", alice, csrf, same), refused},
		{"a logout token that is none", "BCL-01", request("POST", "/bff/backchannel-logout", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 16") + "logout_token=a.b", "400"},
	})

	// SES-11: a ticket that somebody planted never becomes a session.
	planted := strings.Repeat("B", len(s.alice))
	s.op.SignIn("alice")
	res := s.send(t, get("/bff/login", append(navigation, cookieOf(planted))...))
	if len(res) != 1 || res[0].StatusCode != http.StatusFound {
		t.Fatalf("a login with a planted cookie: %s", describe(res))
	}
	if got := describe(s.send(t, with(cookieOf(planted)))); got != unauthenticated {
		t.Errorf("a planted ticket: %s", got)
	}
}
