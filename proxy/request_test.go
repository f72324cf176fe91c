package proxy

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session/problem"
)

// TestForwardedFields: the upstream learns the client's address and the public origin, and no other story (PX-05).
func TestForwardedFields(t *testing.T) {
	up := newEcho(t)
	spoof := []string{
		"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: http",
		"X-Forwarded-Port: 1", "Forwarded: for=127.0.0.1;host=evil.example", "Connection: X-Forwarded-For, X-Forwarded-Proto",
	}
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		want    string
	}{
		"untrusted": {nil, "127.0.0.1"},
		"trusted":   {[]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, "198.51.100.7, 127.0.0.1"},
	} {
		g := newGatewayWith(t, nil, Options{Transport: newTestTransport(t), TrustedProxies: c.trusted},
			&Route{Path: "/", Upstream: up, Token: TokenNone})
		got := readEcho(t, g.get(t, "/x", spoof...))
		want := http.Header{
			"X-Forwarded-For":   {c.want},
			"X-Forwarded-Host":  {"app.example.com"},
			"X-Forwarded-Proto": {"https"},
		}
		maps := http.Header{}
		for name, values := range got.Header {
			if strings.Contains(name, "Forward") {
				maps[name] = values
			}
		}
		if diff := cmp.Diff(want, maps); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.Host != up.Host {
			t.Errorf("Host %q, want %q (PX-09)", got.Host, up.Host)
		}
	}
}

// TestToken is PX-01 and PX-04: who gets whose token.
func TestToken(t *testing.T) {
	up := newEcho(t)
	routes := []*Route{
		{Path: "/none", Upstream: up, Token: TokenNone},
		{Path: "/user", Upstream: up, Token: TokenUser},
		{Path: "/maybe", Upstream: up, Token: TokenUserOrNone},
	}
	ours := []string{"Bearer " + accessToken}
	for _, c := range []struct {
		path  string
		alice bool
		want  []string
	}{
		{"/none", false, nil},
		{"/none", true, nil},
		{"/maybe", false, nil},
		{"/maybe", true, ours},
		{"/user", true, ours},
	} {
		g := newGateway(t, nil, routes...)
		if c.alice {
			g.who = alice
		}
		for _, fields := range [][]string{
			nil,
			{"Authorization: Bearer evil"},
			{"Authorization: Bearer evil", "Authorization: Basic evil"},
			{"Connection: Authorization"},
			{"Connection: close, Authorization, X-Forwarded-For", "Authorization: Bearer evil"},
		} {
			got := readEcho(t, g.get(t, c.path, fields...))
			if diff := cmp.Diff(c.want, got.Header["Authorization"]); diff != "" {
				t.Errorf("%s, alice: %v, %q (-want +got):\n%s", c.path, c.alice, fields, diff)
			}
		}
	}
	g := newGateway(t, nil, routes...)
	g.wantProblem(t, g.get(t, "/user"), problem.Unauthenticated)
}

// TestNoUpgrade is PX-03: neither h2c nor WebSocket begins, and no trace of either goes up.
func TestNoUpgrade(t *testing.T) {
	g := newGateway(t, alice, &Route{Path: "/", Upstream: newEcho(t), Token: TokenUser})
	for _, fields := range []string{
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
		"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
		"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
		"Upgrade: h2c\r\n",
		"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
		"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: close\r\n",
	} {
		got := readEcho(t, g.raw(t, "GET / HTTP/1.1\r\nHost: app.example.com\r\n"+fields+"\r\n"))
		for _, name := range []string{"Connection", "Upgrade", "Http2-Settings", "Te", "Keep-Alive", "Proxy-Connection"} {
			if v, ok := got.Header[name]; ok {
				t.Errorf("%q: %s: %q reached the upstream", fields, name, v)
			}
		}
	}
	res := g.raw(t, "GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nUpgrade: \xff\r\n\r\n")
	g.wantProblem(t, res, problem.BadRequest)
}

// TestTrailersDropped: fields after the body would come past every check.
func TestTrailersDropped(t *testing.T) {
	g := newGateway(t, alice, &Route{Path: "/", Upstream: newEcho(t), Token: TokenUser})
	got := readEcho(t, g.raw(t, "POST / HTTP/1.1\r\nHost: app.example.com\r\nTransfer-Encoding: chunked\r\n"+
		"Trailer: X-User, Authorization\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n"+
		"2\r\nhi\r\n0\r\nX-User: admin\r\nAuthorization: Bearer evil\r\nX-Late: 1\r\n\r\n"))
	if got.Body != "hi" || len(got.Trailer) != 0 {
		t.Errorf("body %q, trailers %v", got.Body, got.Trailer)
	}
}

func TestCookiesUp(t *testing.T) {
	up := newEcho(t)
	g := newGateway(t, alice,
		&Route{Path: "/", Upstream: up, Token: TokenNone},
		&Route{Path: "/api", Upstream: up, Token: TokenUser})
	for _, path := range []string{"/", "/api"} {
		got := readEcho(t, g.get(t, path, "Cookie: lang=sv; "+ownCookie+"=ticket", "Cookie: "+ownCookie+"-flow-1=x; a=b"))
		if diff := cmp.Diff([]string{"lang=sv; a=b"}, got.Header["Cookie"]); diff != "" {
			t.Errorf("%s: Cookie (-want +got):\n%s", path, diff)
		}
	}
}

// TestIdentity is PX-08.
func TestIdentity(t *testing.T) {
	identity := map[string]string{}
	for claim := range alice.Claims {
		identity["X-Id-"+claim] = claim
	}
	identity["X-Id-Missing"] = "missing"
	g := newGateway(t, alice,
		&Route{
			Path: "/", Upstream: newEcho(t), Token: TokenUserOrNone,
			Identity: identity, Headers: map[string]string{"x-env": "prod"},
		},
		&Route{Path: "/other", Upstream: newEcho(t), Token: TokenNone},
		&Route{Path: "/session", Upstream: newEcho(t), Token: TokenNone, Identity: map[string]string{"X-Id-Sub": "sub"}})
	spoof := []string{"X-Env: test", "X-Id-Sub: bob", "X-Id-Missing: bob", "x-id-groups: root", "X-Id-Forged: root"}

	identityOf := func(e echoed) http.Header {
		h := http.Header{}
		for name, values := range e.Header {
			if strings.HasPrefix(name, "X-Id-") || name == "X-Env" {
				h[name] = values
			}
		}
		return h
	}
	want := http.Header{
		"X-Id-Sub": {"alice"}, "X-Id-Name": {"Alice Äther"}, "X-Id-Level": {"3"}, "X-Id-Admin": {"false"},
		"X-Env": {"prod"},
	}
	if diff := cmp.Diff(want, identityOf(readEcho(t, g.get(t, "/", spoof...)))); diff != "" {
		t.Errorf("alice (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(http.Header{}, identityOf(readEcho(t, g.get(t, "/other", spoof...)))); diff != "" {
		t.Errorf("another route (-want +got):\n%s", diff)
	}
	got := readEcho(t, g.get(t, "/session", spoof...))
	if diff := cmp.Diff(http.Header{"X-Id-Sub": {"alice"}}, identityOf(got)); diff != "" || got.Header["Authorization"] != nil {
		t.Errorf("a session without a token (-want +got):\n%s%v", diff, got.Header["Authorization"])
	}
	g.who = nil
	if diff := cmp.Diff(http.Header{"X-Env": {"prod"}}, identityOf(readEcho(t, g.get(t, "/", spoof...)))); diff != "" {
		t.Errorf("nobody (-want +got):\n%s", diff)
	}
}

func TestClaimText(t *testing.T) {
	for in, want := range map[string]string{
		`"a"`: "a", `"\u00e4"`: "ä", `12`: "12", `-1.5e3`: "-1.5e3", `true`: "true", `false`: "false",
		``: "", `null`: "", `""`: "", `[]`: "", `{}`: "", `"a\n"`: "", `"\u0000"`: "", `"a\u007f"`: "", `" a"`: "", `"a`: "",
	} {
		if got, ok := claimText(json.RawMessage(in)); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q %v, want %q", in, got, ok, want)
		}
	}
}

// TestQuery is PX-15 and FLOW-22.
func TestQuery(t *testing.T) {
	g := newGateway(t, alice, &Route{Path: "/", Upstream: newEcho(t), Token: TokenUser})
	for in, want := range map[string]string{
		"?a=1&b=2":                           "/?a=1&b=2",
		"?a=%20+x&a=2&c":                     "/?a=%20+x&a=2&c",
		"?":                                  "/?",
		"?a=%zz&b=2":                         "/?b=2",
		"?a=1;b=2&c=3":                       "/?c=3",
		"?access_token=evil":                 "/",
		"?a=1&access_token=evil&b=2":         "/?a=1&b=2",
		"?Access_Token=evil&a=1":             "/?a=1",
		"?%61ccess%5Ftoken=evil&a=1":         "/?a=1",
		"?access_token&a=1&access_token=e":   "/?a=1",
		"?my_access_token=x&access_tokens=y": "/?my_access_token=x&access_tokens=y",
		"?next=https://evil.example/":        "/?next=https://evil.example/",
	} {
		res := g.raw(t, "GET /"+in+" HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
		if got := readEcho(t, res).URI; got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestUpstreamPath: prefix and base path, with the rest as the same bytes (PX-10), and back again in redirects
// (PX-33).
func TestUpstreamPath(t *testing.T) {
	up := newEcho(t)
	for _, c := range []struct {
		prefix, base string
		strip        bool
		in, want     string
	}{
		{"/api/", "", false, "/api/x%7Cy", "/api/x%7Cy"},
		{"/api/", "/", false, "/api/x", "/api/x"},
		{"/api/", "", true, "/api/x%7Cy/", "/x%7Cy/"},
		{"/api/", "", true, "/api", "/"},
		{"/api/", "", true, "/api/", "/"},
		{"/api", "/v1", true, "/api", "/v1"},
		{"/api", "/v1", true, "/api/", "/v1/"},
		{"/api", "/v1/", true, "/api/x?y=z", "/v1/x?y=z"},
		{"/api", "/v1", false, "/api/x", "/v1/api/x"},
		{"/a/b/", "/caf%C3%A9", true, "/a/b/c/d", "/caf%C3%A9/c/d"},
		{"/café", "", true, "/caf%c3%a9/x", "/x"},
		{"/a+b", "", true, "/a%2Bb/c%2Bd", "/c%2Bd"},
		{"/", "", true, "/x", "/x"},
		{"/", "/base", false, "/", "/base/"},
	} {
		u := *up
		u.Path = c.base
		if c.base == "/caf%C3%A9" {
			u = *mustParse(t, up.String()+c.base)
		}
		g := newGateway(t, nil, &Route{Path: c.prefix, Upstream: &u, Token: TokenNone, StripPrefix: c.strip})
		if got := readEcho(t, g.get(t, c.in)).URI; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestDestination is BFF-16 and PX-09: nothing in a request moves it to another host.
func TestDestination(t *testing.T) {
	up := newEcho(t)
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone})
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"GET /@evil.example/ HTTP/1.1\r\nHost: a@evil.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: evil.example\r\nX-Original-URL: http://evil.example/\r\n\r\n",
	} {
		if res := g.raw(t, request); res.StatusCode == http.StatusOK {
			if got := readEcho(t, res); got.Host != up.Host {
				t.Errorf("%q went to %q", request, got.Host)
			}
		}
	}
	for _, target := range []string{"http://evil.example/", "http://app.example.com/", "//evil.example/", "*"} {
		method := "GET"
		if target == "*" {
			method = "OPTIONS"
		}
		res := g.raw(t, method+" "+target+" HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
		if target == "*" && res.StatusCode == http.StatusOK {
			continue // net/http answers OPTIONS * itself
		}
		g.wantProblem(t, res, problem.PathRefused)
	}
}

// TestMethods is PX-16 and BFF-18.
func TestMethods(t *testing.T) {
	up := newEcho(t)
	g := newGateway(t, nil,
		&Route{Path: "/all", Upstream: up, Token: TokenNone},
		&Route{Path: "/some", Upstream: up, Token: TokenNone, Methods: []string{"GET", "PROPFIND"}})
	for _, c := range []struct {
		path, allowed, refused string
	}{
		{"/all", "GET HEAD POST PUT PATCH DELETE OPTIONS", "TRACE CONNECT TRACK PROPFIND get Get FOO"},
		{"/some", "GET PROPFIND", "HEAD POST OPTIONS TRACE propfind"},
	} {
		for method := range strings.FieldsSeq(c.allowed) {
			if res := g.do(t, method, c.path, nil); res.StatusCode != http.StatusOK {
				t.Errorf("%s %s: status %d", method, c.path, res.StatusCode)
			}
		}
		for method := range strings.FieldsSeq(c.refused) {
			res := g.raw(t, method+" "+c.path+" HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: GET\r\nConnection: close\r\n\r\n")
			if res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: status %d", method, c.path, res.StatusCode)
			} else if p := <-g.problem; len(p.Allow) == 0 {
				t.Errorf("%s %s: no Allow", method, c.path)
			}
		}
	}
}

// TestTraceContext: the fields that join the spans of a request go through, and so does what is the application's.
func TestTraceContext(t *testing.T) {
	g := newGateway(t, alice, &Route{Path: "/", Upstream: newEcho(t), Token: TokenUser})
	fields := []string{
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate: a=b", "Accept: text/x",
		"Accept-Encoding: br", "If-None-Match: \"x\"", "Range: bytes=0-1", "Origin: https://app.example.com",
		"User-Agent: test", "X-Request-Id: 1", "Idempotency-Key: 2", "Sec-Fetch-Site: same-origin",
	}
	got := readEcho(t, g.get(t, "/", fields...))
	for _, f := range fields {
		if name, value, _ := strings.Cut(f, ": "); got.Header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), value)
		}
	}
}
