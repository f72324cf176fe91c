package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
)

// upRoutes are one route of each family, to the same upstream. Static files have no upstream to protect.
func upRoutes(up *url.URL) []*Route {
	return []*Route{
		{Path: "/none", Upstream: up, Token: TokenNone},
		{Path: "/maybe", Upstream: up, Token: TokenUserOrNone},
		{Path: "/user", Upstream: up, Token: TokenUser},
		{Path: "/client", Upstream: up, Token: TokenClient},
		{Path: "/exchange", Upstream: up, Token: TokenExchange},
		{Path: "/pages", Upstream: up, Token: TokenUserOrNone, Documents: true},
		{Path: "/ws", Upstream: up, Token: TokenUser, WebSocket: true},
		{
			Path: "/identity", Upstream: up, Token: TokenNone,
			Headers: map[string]string{"X-Env": "prod"}, Identity: map[string]string{"X-Who": "sub"},
		},
	}
}

// ofRoutes are the names that upRoutes set; they are removed on every route (PX-08).
var ofRoutes = []fieldRule{{"x-env", "of a route"}, {"x-who", "of a route"}}

// upCase is a request that everything is tried on.
type upCase struct {
	path, method string
	who          *session.Session
	handshake    bool
	proto        int
	trusted      bool // the peer is a trusted proxy; the transport is that of net/http
	listed       bool // all names are in Connection, too
}

func upCases() []upCase {
	var cases []upCase
	for _, path := range []string{"/none", "/maybe", "/client", "/pages", "/identity"} {
		cases = append(cases, upCase{path: path, method: "GET"}, upCase{path: path, method: "GET", who: alice})
	}
	for _, path := range []string{"/user", "/exchange", "/ws"} {
		cases = append(cases, upCase{path: path, method: "GET", who: alice})
	}
	cases = append(cases,
		upCase{path: "/ws", method: "GET", who: alice, handshake: true},
		upCase{path: "/user", method: "POST", who: alice},
		upCase{path: "/none", method: "POST"},
		upCase{path: "/user", method: "GET", who: alice, trusted: true},
		upCase{path: "/user", method: "POST", who: alice, trusted: true})
	var all []upCase
	for _, c := range cases {
		for _, listed := range []bool{false, true} {
			c.proto, c.listed = 1, listed
			all = append(all, c)
		}
		if c.listed = false; !c.handshake && !c.trusted {
			c.proto = 2
			all = append(all, c)
		}
	}
	return all
}

// TestRequestHygiene is PX-01 to PX-08: every field of the tables, on every family of routes. The removed ones do not
// reach the upstream in any spelling, the kept ones do, in their order, and the added ones are there once, whatever the
// client sends or lists in Connection.
func TestRequestHygiene(t *testing.T) {
	t.Parallel()
	// An element of Connection may have spaces around it, and the field several lines.
	var listed []string
	for _, rule := range slices.Concat(removedUp, ofRoutes) {
		listed = append(listed, "Connection:  "+strings.Join(samples(rule), " ,\t ")+" ,")
	}
	listed = append(listed, "Connection: Authorization, X-Request-Id, X-Forwarded-For,Cookie , X-FORWARDED-PROTO, x-who, Host",
		"connection: X-Env")
	ordinary := removedUp[:len(removedUp)-len(hopByHop)]
	removed := slices.Concat(spoofs(ordinary...), spoofs(ofRoutes...), []string{
		"Keep-Alive: spoof", "Proxy-Connection: spoof", "TE: spoof", "HTTP2-Settings: spoof", "Proxy-Authorization: spoof",
	})

	up, got := newRecorder(t)
	direct := newGateway(t, nil, upRoutes(up)...)
	theirs := &http.Transport{DisableCompression: true} // which streamed bodies have
	t.Cleanup(theirs.CloseIdleConnections)
	behind := newGatewayWith(t, nil, Options{
		Transport: theirs, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}, upRoutes(up)...)
	h2 := direct.over(t, 2)
	for _, c := range upCases() {
		g := direct
		if c.trusted {
			g = behind
		}
		g.who = c.who
		kept := keptFields(c)
		lines := slices.Concat(removed, kept, []string{"Cookie: " + ownCookie + "=spoof; app=1", "X-Request-Id: of-the-log"})
		if c.listed {
			lines = append(lines, listed...)
		}
		if c.proto == 2 {
			c.send2(t, h2, lines)
		} else {
			c.send1(t, g, lines)
		}
		in := receive(t, got)
		t.Run(strings.TrimSpace(fmt.Sprintf("%s %s alice=%v handshake=%v HTTP/%d trusted=%v listed=%v", c.method, c.path,
			c.who != nil, c.handshake, c.proto, c.trusted, c.listed)), func(t *testing.T) {
			for _, field := range spoofed(in.Header) {
				t.Errorf("reached the upstream: %s", field)
			}
			if len(in.Trailer) != 0 {
				t.Errorf("trailers reached the upstream: %v", in.Trailer)
			}
			c.wantAdded(t, in.Header)
			if !c.listed {
				wantKept(t, in.Header, kept)
			}
			if !c.handshake {
				for _, rule := range hopByHop {
					if values, ok := in.Header[http.CanonicalHeaderKey(rule.name)]; ok && !isOwnClose(rule.name, values) {
						t.Errorf("reached the upstream: %s: %q", rule.name, values)
					}
				}
			}
		})
	}
}

// isOwnClose: of a request with a streamed body the transport says itself that its connection carries no other.
func isOwnClose(name string, values []string) bool {
	return name == "connection" && slices.Equal(values, []string{"close"})
}

// send1 sends the lines as they are, over HTTP/1.1. A POST has fields after its body, too.
func (c upCase) send1(t *testing.T, g *gateway, lines []string) {
	t.Helper()
	body := "\r\n"
	switch {
	case c.handshake:
		lines = append(lines, wsHandshake[1:5]...)
	case c.method == "POST":
		lines = append(lines, "Transfer-Encoding: chunked", "Trailer: X-User, X-Late, Authorization", "Connection: TE, close")
		body = "\r\n2\r\nhi\r\n0\r\nX-User: spoof\r\nX-Late: spoof\r\nAuthorization: spoof\r\nX_User: spoof\r\n" +
			"Unannounced: spoof\r\n\r\n"
	default:
		lines = append(lines, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings, close")
	}
	g.send(t, c.method+" "+c.path+" HTTP/1.1\r\nHost: app.example.com\r\n"+strings.Join(lines, "\r\n")+"\r\n"+body)
}

// send2 sends them over HTTP/2, where names are in lower case and the fields of a connection do not exist.
func (c upCase) send2(t *testing.T, s *httptest.Server, lines []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, strings.NewReader("hi"))
	if err != nil {
		t.Fatal(err)
	}
	if c.method == "POST" {
		req.ContentLength = -1
		req.Trailer = http.Header{"X-User": {"spoof"}, "X-Late": {"spoof"}, "X_user": {"spoof"}}
	} else {
		req.Body, req.ContentLength = nil, 0
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		name = http.CanonicalHeaderKey(name)
		if !newFieldSet(hopByHop).has(name) {
			req.Header[name] = append(req.Header[name], value)
		}
	}
	res, err := s.Client().Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", res.Proto, res.Status)
	}
}

// keptFields are lines for the fields of keptUp, two for each that may have two.
func keptFields(c upCase) []string {
	var lines []string
	for _, field := range keptUp {
		switch name := field.name; name {
		case "cookie", "x-request-id": // have their own line in the request
		case "content-length": // of the message
		case "expect":
			if c.method == "GET" && !c.handshake && c.proto == 1 {
				lines = append(lines, "expect: 100-continue")
			}
		case "sec-websocket-key", "sec-websocket-version": // a handshake has one of each
			if !c.handshake {
				lines = append(lines, name+": kept")
			}
		case "user-agent": // net/http sends the first one
			lines = append(lines, name+": kept")
		default:
			lines = append(lines, name+": kept, first", strings.ToUpper(name)+": kept, second")
		}
	}
	return append(lines, "X-Some-Application: kept, first", "x-some-application: kept, second")
}

func wantKept(t *testing.T, got http.Header, lines []string) {
	t.Helper()
	want := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		want.Add(name, value)
	}
	for name, values := range want {
		if diff := cmp.Diff(values, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// wantAdded checks what the gateway itself says.
func (c upCase) wantAdded(t *testing.T, got http.Header) {
	t.Helper()
	want := http.Header{
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"app.example.com"}, "X-Forwarded-Proto": {"https"},
		"X-Request-Id": {"of-the-log"}, "Authorization": nil, "X-Env": nil, "X-Who": nil,
	}
	for _, field := range addedUp {
		if _, ok := want[field.name]; !ok {
			t.Errorf("%s: a row without a test", field.name)
		}
	}
	switch c.path {
	case "/none":
	case "/identity":
		want["X-Env"] = []string{"prod"}
		if c.who != nil {
			want["X-Who"] = []string{"alice"}
		}
	default:
		if c.who != nil {
			want["Authorization"] = []string{"Bearer " + accessToken}
		}
	}
	if !c.listed {
		want["Cookie"] = []string{"app=1"}
	}
	for name, values := range want {
		if diff := cmp.Diff(values, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// newRecorder starts an upstream that tells what it got, trailers included, and takes WebSocket handshakes.
func newRecorder(t *testing.T) (*url.URL, <-chan *http.Request) {
	t.Helper()
	got := make(chan *http.Request, 1)
	return newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		got <- r
		if r.Header.Get("Upgrade") != "" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Accept: %s\r\n\r\n", wsAccept)
		}
	}), got
}

// TestUnreadableNames: what is no field name at all goes nowhere.
func TestUnreadableNames(t *testing.T) {
	t.Parallel()
	g := newGateway(t, alice, upRoutes(newEcho(t))...)
	for _, line := range []string{
		"Authorization : spoof", " Authorization: spoof", "\tAuthorization: spoof", "X User: spoof", ": spoof",
		"X-User\x00: spoof",
		"X-User\xc3\xa9: spoof", "(X-User): spoof", "X-User", "X-Us\rer: spoof", "X-Ok: a\r\n Authorization: spoof",
		"X-Ok: a\x00b", "Host: spoof", "Content-Length: 1\r\nContent-Length: 2",
	} {
		res := g.raw(t, "GET /user HTTP/1.1\r\nHost: app.example.com\r\n"+line+"\r\nConnection: close\r\n\r\n")
		if res.StatusCode == http.StatusOK {
			got := readEcho(t, res)
			if found := spoofed(got.Header); len(found) != 0 && !strings.HasPrefix(found[0], "X-Ok: ") {
				t.Errorf("%q: %q reached the upstream", line, found)
			}
		} else if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status %d", line, res.StatusCode)
		}
	}
}
