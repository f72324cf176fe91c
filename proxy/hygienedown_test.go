package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
)

// downCases are an answer of each family, from each kind of route that has it. Static files are no upstream's answer.
var downCases = []struct {
	path string
	who  *session.Session
	want family
}{
	{"/none", nil, anyAnswer},
	{"/none", alice, personal},
	{"/identity", nil, personal},
	{"/pages", nil, personal},
	{"/pages", alice, personal},
	{"/maybe", nil, data},
	{"/maybe", alice, data},
	{"/user", alice, data},
	{"/client", nil, data},
	{"/exchange", alice, data},
	{"/ws", alice, data}, // an ordinary request
}

// TestAnswerHygiene is BFF-13, PX-22 to PX-28 and PX-31: every field of the tables, in answers of every family, over
// HTTP/1.1 and HTTP/2. The removed ones do not reach the browser in any spelling, not in an interim answer and not in
// trailers either; the kept ones do; the forced ones are there once, whatever the upstream says or lists in Connection.
func TestAnswerHygiene(t *testing.T) {
	t.Parallel()
	theirs := &http.Transport{DisableCompression: true} // which streamed bodies have
	t.Cleanup(theirs.CloseIdleConnections)
	for status, transport := range map[string]http.RoundTripper{"200 OK": newTestTransport(t), "401 Unauthorized": theirs} {
		for _, announced := range []bool{true, false} {
			up := newRawUpstream(t, spoofedAnswer(status, announced))
			g := newGatewayWith(t, nil, Options{Transport: transport}, upRoutes(up)...)
			h2 := g.over(t, 2)
			for _, c := range downCases {
				g.who = c.who
				for proto := 1; proto <= 2; proto++ {
					var res *http.Response
					if proto == 1 {
						res = rawAnswer(t, g, c.path)
					} else {
						res = http2Answer(t, h2, c.path)
					}
					name := fmt.Sprintf("%s %s alice=%v announced=%v HTTP/%d", status, c.path, c.who != nil, announced, proto)
					t.Run(name, func(t *testing.T) {
						if res.Status != status && res.Status != status[:3]+" " { // HTTP/2 has no words for it
							t.Errorf("status %q", res.Status)
						}
						if len(res.Trailer) != 0 || res.Header["Trailer"] != nil {
							t.Errorf("trailers: %v, %v", res.Header["Trailer"], res.Trailer)
						}
						wantRemoved(t, res.Header, c.want)
						wantForced(t, res.Header, c.want)
						wantKept(t, res.Header, keptLines())
					})
				}
			}
		}
	}
}

// spoofedDown are the fields of the table that are ordinary ones.
var spoofedDown = spoofs(removedDown[:len(removedDown)-len(hopByHop)]...)

// spoofedAnswer is an answer with every field of the tables, after interim answers with the same.
func spoofedAnswer(status string, announced bool) string {
	fields := slices.Concat(spoofedDown, spoofs(removedPrivate...), spoofs(removedData...), keptLines(), []string{
		"Vary: kept", "Set-Cookie: app=1", "Set-Cookie: " + ownCookie + "=spoof", "Transfer-Encoding: chunked",
		"Keep-Alive: spoof of keep-alive", "Proxy-Authenticate: spoof of proxy-*", "Upgrade: spoof of upgrade",
		"X-Listed: spoof of connection", "Connection: X-Listed , X-Content-Type-Options,Cache-Control",
		"connection: Content-Security-Policy, CROSS-ORIGIN-RESOURCE-POLICY",
	})
	if status == "200 OK" {
		fields = append(fields, "Connection: close") // net/http forgets what is listed with it
	}
	if announced {
		fields = append(fields, "Trailer: X-Late, Set-Cookie, Clear-Site-Data, Cache-Control")
	}
	return "HTTP/1.1 100 Continue\r\n\r\n" +
		"HTTP/1.1 102 Processing\r\nSet-Cookie: a=spoof\r\n\r\n" +
		"HTTP/1.1 103 Early Hints\r\nLink: </spoof>; rel=preload\r\n" + strings.Join(spoofedDown, "\r\n") + "\r\n\r\n" +
		"HTTP/1.1 " + status + "\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n2\r\nhi\r\n0\r\n" +
		"X-Late: spoof\r\nSet-Cookie: a=spoof\r\nClear-Site-Data: \"spoof\"\r\nCache-Control: public, spoof\r\n" +
		"Set_Cookie: spoof\r\n\r\n"
}

// keptLines are lines for the fields of keptDown that every family has, two for each that may have two.
func keptLines() []string {
	var lines []string
	for _, field := range keptDown {
		switch name := field.name; {
		case answerFilters[data].removes(name): // are in the answer as spoofs
		case name == "content-length": // the answer is chunked
		case name == "content-location", name == "location":
			lines = append(lines, name+": /kept")
		case name == "vary": // see wantForced
		default:
			lines = append(lines, name+": kept, first", strings.ToUpper(name)+": kept, second")
		}
	}
	return append(lines, "X-Some-Application: kept, first", "x-some-application: kept, second")
}

// wantRemoved looks for what the family removes, and for what it does not.
func wantRemoved(t *testing.T, got http.Header, f family) {
	t.Helper()
	present := strings.Join(spoofed(got), "\n") + "\n"
	for i, table := range [][]fieldRule{removedDown, removedPrivate, removedData} {
		for _, rule := range table {
			found := strings.Contains(present, "spoof of "+rule.name+"\n") || strings.Contains(present, "spoof of "+rule.name+",")
			switch removed := i <= int(f); {
			case removed && found:
				t.Errorf("%q reached the browser", rule.name)
			case !removed && !found && rule.name != "set-cookie":
				t.Errorf("%q did not reach the browser", rule.name)
			}
		}
	}
	cookies := []string{"app=1"}
	if f == data {
		cookies = nil
	}
	if diff := cmp.Diff(cookies, got["Set-Cookie"]); diff != "" {
		t.Errorf("Set-Cookie (-want +got):\n%s", diff)
	}
	for _, name := range []string{"X-Listed", "Keep-Alive", "Upgrade", "Proxy-Authenticate"} {
		if values, ok := got[name]; ok {
			t.Errorf("reached the browser: %s: %q", name, values)
		}
	}
}

// wantForced checks what the gateway itself says.
func wantForced(t *testing.T, got http.Header, f family) {
	t.Helper()
	for _, field := range forcedDown {
		if diff := cmp.Diff([]string{field.value}, got[field.name]); field.from <= f && diff != "" {
			t.Errorf("%s (-want +got):\n%s", field.name, diff)
		}
	}
	vary := []string{"Origin", "kept"}
	if f >= personal {
		vary = append(vary, "Cookie")
	}
	if diff := cmp.Diff(vary, got["Vary"]); diff != "" {
		t.Errorf("Vary (-want +got):\n%s", diff)
	}
}

// rawAnswer asks over HTTP/1.1 and makes sure that there is one answer only.
func rawAnswer(t *testing.T, g *gateway, path string) *http.Response {
	t.Helper()
	conn := g.send(t, "GET "+path+" HTTP/1.1\r\nHost: app.example.com\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte("HTTP/1.1 ")); n != 1 {
		t.Errorf("%d answers", n)
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, res); got != "hi" {
		t.Errorf("body %q", got)
	}
	return res
}

func http2Answer(t *testing.T, s *httptest.Server, path string) *http.Response {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			t.Errorf("an answer with status %d: %v", code, h)
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Te", "trailers")
	res, err := s.Client().Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := body(t, res); got != "hi" || res.ProtoMajor != 2 {
		t.Errorf("%s, body %q", res.Proto, got)
	}
	return res
}

// TestHandshakeHygiene is PX-22: of a 101 the browser gets the fields of the handshake only.
func TestHandshakeHygiene(t *testing.T) {
	t.Parallel()
	fields := slices.Concat(spoofedDown, spoofs(removedPrivate...), spoofs(removedData...), []string{
		"Set-Cookie: a=spoof", "X-Some-Application: spoof", "Trailer: spoof", "Content-Length: 0", "Connection: Upgrade",
	})
	g := newGateway(t, alice, upRoutes(newRawUpstream(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: "+wsAccept+"\r\n"+strings.Join(fields, "\r\n")+"\r\n\r\n"))...)
	s := g.dial(t, wsHandshake...)
	want := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Accept": {wsAccept},
		"Referrer-Policy": {"from-the-gateway"}, "Vary": {"Origin"},
	}
	if diff := cmp.Diff(want, s.res.Header); s.res.StatusCode != http.StatusSwitchingProtocols || diff != "" {
		t.Errorf("%s (-want +got):\n%s", s.res.Status, diff)
	}
}

// TestUnreadableAnswers: what net/http or a browser might read as a field name, or not, reaches no browser as one.
func TestUnreadableAnswers(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"Set-Cookie : spoof=1", "Set-Cookie\t: spoof=1", " Set-Cookie: spoof=1", "X-Ok: a\r\n Set-Cookie: spoof=1",
		"Clear Site Data: spoof", ": spoof", "Set-Cookie", "Clear-Site-Data\x00: spoof", "X-Ok: a\x00b",
		"X-Ok: a\rSet-Cookie: spoof=1",
		"X-Ok: a\nClear-Site-Data: spoof", "Cl\xc3\xa9ar: spoof", "Content-Length: 1\r\nContent-Length: 2",
		"Transfer-Encoding: gzip, chunked", "Set-Cookie:spoof=1",
	} {
		up := newRawUpstream(t, "HTTP/1.1 200 OK\r\n"+line+"\r\nConnection: close\r\n\r\nhi")
		g := newGateway(t, alice, upRoutes(up)...)
		b, err := io.ReadAll(g.send(t, "GET /user HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(b), "\r\n\r\n")
		for got := range strings.SplitSeq(head, "\r\n") {
			name, _, _ := strings.Cut(got, ":")
			if strings.Contains(got, "spoof") && !strings.EqualFold(name, "X-Ok") || strings.ContainsAny(got, "\r\n\x00") {
				t.Errorf("%q became %q", line, got)
			}
		}
	}
}

// TestFamilies: what an answer may do follows from the route and the session.
func TestFamilies(t *testing.T) {
	t.Parallel()
	routes := map[string]*Route{}
	for _, rt := range upRoutes(&url.URL{}) {
		routes[rt.Path] = rt
	}
	for _, c := range downCases {
		if got := routes[c.path].family(c.who); got != c.want {
			t.Errorf("%s, alice %v: %d, want %d", c.path, c.who != nil, got, c.want)
		}
	}
}
