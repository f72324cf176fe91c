package attack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// misbehaviour is a line of this family: what an upstream, gone bad or talked into it, answers with. What the browser must
// not see has "evil" in it.
type misbehaviour struct {
	name   string
	source string
	text   string // the upstream's answer, after which it closes the connection
	want   string // as answer.describe tells it; "or" where both will do
}

// reply is an answer of the upstream with these fields.
func reply(status string, fields ...string) string {
	return message("HTTP/1.1 "+status, append(fields, "Content-Length: 2")...) + "ok"
}

var misbehaviours = []misbehaviour{
	// Fields that act on the whole origin (PX-23, PX-24).
	{"session cookie", "PX-23", reply("200 OK", "Set-Cookie: "+sessionCookie+"=evil; Path=/; Secure; HttpOnly"), "200"},
	{"session cookie in another case", "PX-23, CK-03", reply("200 OK", "Set-Cookie: __host-http-cloakroom=evil; Path=/; Secure"), "200"},
	{"flow cookie", "PX-23", reply("200 OK", "Set-Cookie: __Host-Http-cloakroom-flow-evil=evil; Path=/"), "200"},
	{"session cookie after a space", "PX-23", reply("200 OK", "Set-Cookie:  "+sessionCookie+" =evil"), "200"},
	{"cookie without a name", "PX-23, 6265bis §5.7", reply("200 OK", "Set-Cookie: ="+sessionCookie+"=evil"), "200"},
	{"cookie without =", "PX-23", reply("200 OK", "Set-Cookie: evil"), "200"},
	{"cookie with Domain", "PX-23", reply("200 OK", "Set-Cookie: evil=1; domain=example.com"), "200"},
	{"cookie with an empty Domain", "PX-23", reply("200 OK", "Set-Cookie: evil=1; Domain"), "200"},
	{"Set-Cookie2", "PX-23", reply("200 OK", "Set-Cookie2: evil=1"), "200"},
	{"Clear-Site-Data", "PX-24", reply("200 OK", `Clear-Site-Data: "evil", "cookies"`), "200"},
	{"CORS", "PX-24", reply("200 OK", "Access-Control-Allow-Origin: https://evil.example", "access-control-allow-credentials: evil"), "200"},
	{"CORS for private networks", "PX-24", reply("200 OK", "Access-Control-Allow-Private-Network: evil", "Timing-Allow-Origin: evil"), "200"},
	{"Service-Worker-Allowed", "PX-24", reply("200 OK", "Service-Worker-Allowed: /evil"), "200"},
	{"Alt-Svc", "PX-24", reply("200 OK", `Alt-Svc: h3="evil.example:443"`), "200"},
	{"HSTS and pins", "PX-24", reply("200 OK", "Strict-Transport-Security: max-age=0; evil", "Public-Key-Pins: evil"), "200"},
	{"reports", "PX-24", reply("200 OK", "NEL: evil", "Report-To: evil", "Reporting-Endpoints: evil"), "200"},
	{"Refresh", "PX-24", reply("200 OK", "Refresh: 0; url=https://evil.example"), "200"},
	{"device-bound sessions", "PX-24", reply("200 OK", "Secure-Session-Registration: evil", "Sec-Session-Registration: evil", "Set-Login: evil"), "200"},
	{"instructions to a server in front", "PX-24", reply("200 OK", "X-Accel-Redirect: /evil", "X-Sendfile: /evil"), "200"},
	{"Connection lists what the gateway sets", "PX-02", reply("200 OK", "Connection: X-Content-Type-Options, Vary, evil", "Evil: 1"), "200"},

	// Authentication (PX-28).
	{"401 with Basic", "PX-28", reply("401 Unauthorized", `WWW-Authenticate: Basic realm="evil"`), "401"},
	{"401 with Negotiate", "PX-28", reply("401 Unauthorized", "WWW-Authenticate: Negotiate evil"), "401"},
	{"407", "PX-28", reply("407 Proxy Authentication Required", `Proxy-Authenticate: Basic realm="evil"`), "407"},
	{"an echo of the token", "PX-28", reply("200 OK", "Authorization: Bearer evil", "Authentication-Info: evil"), "200"},

	// Redirects (PX-33).
	{"redirect to an address", "PX-33", reply("302 Found", "Location: http://10.0.0.5/evil"), "502 upstream_unavailable"},
	{"redirect to the cloud's metadata", "PX-33", reply("302 Found", "Location: http://169.254.169.254/evil"), "502 upstream_unavailable"},
	{"redirect to an internal name", "PX-33", reply("302 Found", "Location: https://evil.internal/"), "502 upstream_unavailable"},
	{"redirect to a name without dots", "PX-33", reply("302 Found", "Location: https://evil/"), "502 upstream_unavailable"},
	{"redirect to plain http", "PX-33", reply("302 Found", "Location: http://evil.example.com/"), "502 upstream_unavailable"},
	{"redirect to a script", "PX-33", reply("302 Found", "Location: javascript:evil()"), "502 upstream_unavailable"},
	{"redirect with user info", "PX-33", reply("302 Found", "Location: https://"+host+"@evil.example.com/"), "502 upstream_unavailable"},
	{"redirect with a backslash", "PX-33", reply("302 Found", `Location: /\evil.example.com/`), "502 upstream_unavailable"},
	{"redirect with a tab", "PX-33", reply("302 Found", "Location: /\t/evil.example.com/"), "502 upstream_unavailable"},
	{"redirect to an octal address", "PX-33", reply("302 Found", "Location: https://0177.0.0.1/evil"), "502 upstream_unavailable"},
	{"redirect to IPv6", "PX-33", reply("302 Found", "Location: https://[::ffff:10.0.0.5]/evil"), "502 upstream_unavailable"},
	{"Content-Location", "PX-33", reply("200 OK", "Content-Location: http://10.0.0.5/evil"), "200"},
	{"Location on 201", "PX-33", reply("201 Created", "Location: http://10.0.0.5/evil"), "201"},

	// Interim answers, trailers, upgrades (PX-03, PX-22, PX-27).
	{"103 with a cookie", "PX-27", message("HTTP/1.1 103 Early Hints", "Link: </evil>", "Set-Cookie: evil=1") + reply("200 OK"), "200"},
	{"100 with a cookie", "PX-27", message("HTTP/1.1 100 Continue", "Set-Cookie: evil=1") + reply("200 OK"), "200"},
	{"102 nobody knows", "PX-27", message("HTTP/1.1 199 Evil", "Evil: 1") + reply("200 OK"), "200"},
	{"too many interim answers", "PX-27, PX-34", strings.Repeat(message("HTTP/1.1 103 Early Hints", "Evil: "+strings.Repeat("x", 4096)), 200), "502 upstream_unavailable"},
	{"trailers", "PX-27", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: Set-Cookie, Evil") + "2\r\nok\r\n0\r\nSet-Cookie: evil=1\r\nEvil: 1\r\n\r\n", "200"},
	{"trailers unannounced", "PX-27", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\n0\r\nSet-Cookie: evil=1\r\n\r\n", "200"},
	{"101 nobody asked for", "PX-03", message("HTTP/1.1 101 Switching Protocols", "Upgrade: evil", "Connection: Upgrade") + "evil", "502 upstream_unavailable"},
	{"101 to h2c", "PX-03, golang/go#80416", message("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c", "Connection: Upgrade") + "evil", "502 upstream_unavailable"},

	// Misframed answers (RFC 9112 §6.3, §11.1).
	{"two lengths", "PX-17", message("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 6") + "okevil", "502 upstream_unavailable"},
	{"two lengths in one field", "PX-17", message("HTTP/1.1 200 OK", "Content-Length: 2, 6") + "okevil", "502 upstream_unavailable"},
	{"length with a sign", "PX-17", message("HTTP/1.1 200 OK", "Content-Length: +2") + "ok", "502 upstream_unavailable"},
	{"negative length", "PX-17", message("HTTP/1.1 200 OK", "Content-Length: -2") + "evil", "502 upstream_unavailable"},
	{"a length of 2^64 + 2", "PX-17", message("HTTP/1.1 200 OK", "Content-Length: 18446744073709551618") + "okevil", "502 upstream_unavailable"},
	{"another transfer coding", "PX-17", message("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked") + "4\r\nevil\r\n0\r\n\r\n", "502 upstream_unavailable"},
	{"chunked twice", "PX-17", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "4\r\nevil\r\n0\r\n\r\n", "502 upstream_unavailable"},
	{"bad chunk size", "PX-17", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\nzz\r\nevil\r\n0\r\n\r\n", "200 broken off"},
	{"negative chunk size", "PX-17", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\n-4\r\nevil\r\n0\r\n\r\n", "200 broken off"},
	{"chunk size overflows", "PX-17", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\n10000000000000004\r\nevil\r\n0\r\n\r\n", "200 broken off"},
	{"no end of a chunk", "PX-17", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "2\r\nok4\r\nevil\r\n0\r\n\r\n", "200 broken off"},
	{"chunks cut off", "PX-17", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\n", "200 broken off"},
	{"body cut off", "PX-17", message("HTTP/1.1 200 OK", "Content-Length: 40000") + strings.Repeat("ok", 10_000), "200 broken off"},
	{"header cut off", "PX-17", "HTTP/1.1 200 OK\r\nEvil: 1\r\n", "502 upstream_unavailable"},
	{"no answer", "PX-17", "", "502 upstream_unavailable"},
	{"no HTTP", "PX-17", "evil\r\n\r\n", "502 upstream_unavailable"},
	{"HTTP/0.9", "PX-17", "<html>evil", "502 upstream_unavailable"},
	{"HTTP/2", "PX-17", message("HTTP/2 200", "Evil: 1"), "502 upstream_unavailable"},
	{"status of two digits", "PX-17", reply("20 OK", "Evil: 1"), "502 upstream_unavailable"},
	{"status with a sign", "PX-17", reply("+20 OK", "Evil: 1"), "502 upstream_unavailable"},
	{"status 099", "PX-17", reply("099 OK", "Evil: 1"), "502 upstream_unavailable"},
	{"space before a colon", "PX-17", reply("200 OK", "Evil : 1"), "200 or 502 upstream_unavailable"},
	{"NUL in a field", "PX-17", reply("200 OK", "X-A: b\x00evil"), "502 upstream_unavailable"},
	{"CR in a field", "PX-17", reply("200 OK", "X-A: b\revil: 1"), "502 upstream_unavailable"},
	{"a header of a megabyte", "PX-34", reply("200 OK", "Evil: "+strings.Repeat("x", 1<<20)), "502 upstream_unavailable"},
	{"a body on 204", "PX-17", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", "204 or 502 upstream_unavailable"},
	{"a body on 304", "PX-17", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", "304"},
	{"extra bytes", "PX-17, RFC 9112 §11.1", reply("200 OK") + "evil", "200"},
}

// TestBadUpstream: what the browser gets of each, on a route whose answers are data. /pages/ is the same but for cookies
// of the application's own, which proxy's tests tell apart.
func TestBadUpstream(t *testing.T) {
	t.Parallel()
	s := newSuite(t, config{})
	for i, one := range misbehaviours {
		t.Run(one.name, func(t *testing.T) {
			for _, route := range []string{"/api/", "/pages/", "/public/"} {
				path := fmt.Sprint(route, i)
				s.up.script(path, &script{text: one.text, closes: true})
				back := s.exchange(t, s.fill(get(path, alice, csrf, same)))
				if got := describe(parse(t, back)); !slices.Contains(strings.Split(one.want, " or "), got) {
					t.Errorf("%s: %s: answered with %q, want %q", one.source, route, got, one.want)
				}
				if strings.Contains(strings.ToLower(string(back)), "evil") {
					t.Errorf("%s: %s: the browser got %q", one.source, route, back)
				}
			}
			s.othersAreFine(t)
		})
	}
}

// TestResponseSplitting: bytes behind an answer, on a connection that stays open, are nobody's answer (RFC 9112 §11.1),
// whether they come with the answer or while the connection is idle. HEAD, 204 and 304 have no body, whatever they say.
func TestResponseSplitting(t *testing.T) {
	t.Parallel()
	s := newSuite(t, config{})
	second := message("HTTP/1.1 200 OK", "X-Upstream: 1", "Content-Length: 4") + "evil"
	for _, one := range []struct{ name, method, first string }{
		{"after a body", "GET", reply("200 OK")},
		{"after chunks", "GET", message("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "2\r\nok\r\n0\r\n\r\n"},
		{"after an empty body", "GET", message("HTTP/1.1 200 OK", "Content-Length: 0")},
		{"after 204", "GET", message("HTTP/1.1 204 No Content")},
		{"after 204 with a length", "GET", message("HTTP/1.1 204 No Content", "Content-Length: 80")},
		{"after 304", "GET", message("HTTP/1.1 304 Not Modified", "Content-Length: 80")},
		{"after HEAD", "HEAD", message("HTTP/1.1 200 OK", "Content-Length: 80")},
		{"two lengths of which one is meant", "GET", message("HTTP/1.1 200 OK", "Content-Length: 2", "Transfer-Encoding: chunked") + "2\r\nok\r\n0\r\n\r\n"},
	} {
		t.Run(one.name, func(t *testing.T) {
			for i := range 10 {
				path := fmt.Sprintf("/public/%d", i)
				s.up.script(path, &script{text: one.first + second})
				s.exchange(t, request(one.method, path))
				s.othersAreFine(t)

				late := &script{text: one.first, later: second, goOn: make(chan struct{}), written: make(chan struct{})}
				s.up.script(path, late)
				s.exchange(t, request(one.method, path))
				close(late.goOn)
				<-late.written
				s.othersAreFine(t)
			}
		})
	}
}
