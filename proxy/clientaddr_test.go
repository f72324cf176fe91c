package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

var trustedInTests = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// addrCase is a request, the client that it comes from, and the way that it has come.
type addrCase struct {
	name, peer string
	fields     []string // "name: value"
	want, way  string
}

// TestClientAddr is PX-05 and BFF-26: what an untrusted peer says is never heard.
func TestClientAddr(t *testing.T) {
	t.Parallel()
	testClientAddr(t, []addrCase{
		{"peer alone", "192.0.2.1:1234", nil, "192.0.2.1", "192.0.2.1"},
		{"IPv6 peer", "[2001:db8::1]:1234", nil, "2001:db8::1", "2001:db8::1"},
		{"IPv6 peer with a zone", "[fe80::1%eth0]:1234", nil, "fe80::1", "fe80::1"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:1234", nil, "192.0.2.1", "192.0.2.1"},
		{"unix socket", "@", []string{"X-Forwarded-For: 198.51.100.7"}, "invalid IP", ""},
		{"no peer", "", []string{"X-Forwarded-For: 198.51.100.7"}, "invalid IP", ""},
		{"peer with a name", "proxy.example:80", []string{"X-Forwarded-For: 198.51.100.7"}, "invalid IP", ""},

		{"untrusted peer", "192.0.2.1:1", []string{"X-Forwarded-For: 198.51.100.7"}, "192.0.2.1", "192.0.2.1"},
		{"untrusted peer, Forwarded", "192.0.2.1:1", []string{"Forwarded: for=198.51.100.7"}, "192.0.2.1", "192.0.2.1"},
		{
			"untrusted peer, a trusted address", "192.0.2.1:1",
			[]string{"X-Forwarded-For: 10.0.0.1"},
			"192.0.2.1", "192.0.2.1",
		},
		{"next to the trusted range", "11.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.7"}, "11.0.0.1", "11.0.0.1"},
		{
			"untrusted peer, all other fields", "192.0.2.1:1",
			[]string{"X-Real-Ip: 198.51.100.7", "True-Client-Ip: 198.51.100.7", "Cf-Connecting-Ip: 198.51.100.7"},
			"192.0.2.1", "192.0.2.1",
		},
		{
			"trusted peer, all other fields", "10.0.0.1:1",
			[]string{"X-Real-Ip: 198.51.100.7", "True-Client-Ip: 198.51.100.7", "X_forwarded_for: 198.51.100.7"},
			"10.0.0.1", "10.0.0.1",
		},
		{"trusted peer without a word", "10.0.0.1:1", nil, "10.0.0.1", "10.0.0.1"},
		{
			"trusted peer", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 198.51.100.7"},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{
			"trusted IPv6 peer", "[fd00::1]:1",
			[]string{"X-Forwarded-For: 198.51.100.7"},
			"198.51.100.7", "198.51.100.7, fd00::1",
		},
		{
			"trusted peer, IPv4 in IPv6", "[::ffff:10.0.0.1]:1",
			[]string{"X-Forwarded-For: 2001:db8::7"},
			"2001:db8::7", "2001:db8::7, 10.0.0.1",
		},
		{
			"trusted hop, IPv4 in IPv6", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 198.51.100.7, ::ffff:10.0.0.2"},
			"198.51.100.7", "198.51.100.7, 10.0.0.2, 10.0.0.1",
		},
		{
			"what the client wrote is cut off", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 127.0.0.1, 10.9.9.9, 198.51.100.7, 10.0.0.2"},
			"198.51.100.7", "198.51.100.7, 10.0.0.2, 10.0.0.1",
		},
		{
			"several lines are one list", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 198.51.100.7,10.0.0.3", "X-Forwarded-For: 10.0.0.2"},
			"198.51.100.7", "198.51.100.7, 10.0.0.3, 10.0.0.2, 10.0.0.1",
		},
		{
			"all trusted", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"},
			"10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1",
		},
		{
			"garbage ends the list", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 198.51.100.7, unknown, 10.0.0.2"},
			"10.0.0.2", "10.0.0.2, 10.0.0.1",
		},
		{
			"a gap ends the list", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 198.51.100.7,, 10.0.0.2"},
			"10.0.0.2", "10.0.0.2, 10.0.0.1",
		},
		{"empty value", "10.0.0.1:1", []string{"X-Forwarded-For: "}, "10.0.0.1", "10.0.0.1"},
		{
			"empty line at the end", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-For: "},
			"10.0.0.1", "10.0.0.1",
		},
		{
			"blanks", "10.0.0.1:1",
			[]string{"X-Forwarded-For: \t 198.51.100.7 \t,\t10.0.0.2 "},
			"198.51.100.7", "198.51.100.7, 10.0.0.2, 10.0.0.1",
		},
		{
			"with ports", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 198.51.100.7:99, [fd00::2]:99"},
			"198.51.100.7", "198.51.100.7, fd00::2, 10.0.0.1",
		},
		{"bare IPv6", "10.0.0.1:1", []string{"X-Forwarded-For: 2001:db8::7"}, "2001:db8::7", "2001:db8::7, 10.0.0.1"},
		{
			"IPv6 in brackets", "10.0.0.1:1",
			[]string{"X-Forwarded-For: [2001:DB8:0::7]"},
			"2001:db8::7", "2001:db8::7, 10.0.0.1",
		},
		{"zone", "10.0.0.1:1", []string{"X-Forwarded-For: fe80::1%eth0"}, "fe80::1", "fe80::1, 10.0.0.1"},
	})
	for _, odd := range []string{
		"localhost", "198.51.100", "198.51.100.07", "198.51.100.7.", "198.51.100.7/32", "[198.51.100.7]", "[[2001:db8::7]]", "[2001:db8::7",
		"2001:db8::7]", "2001:db8::7]:80", "198.51.100.7:", "198.51.100.7:99999", "198.51.100.7:x", ":80", "[]:80", "[]", "0x7f.1", "3325256711",
		"198.51.100.7 198.51.100.8", "198.51.100.7;x", `"198.51.100.7"`, "for=198.51.100.7", "[198.51.100.7]:80", "１９８.51.100.7",
	} {
		testClientAddr(t, []addrCase{{odd, "10.0.0.1:1", []string{"X-Forwarded-For: " + odd}, "10.0.0.1", "10.0.0.1"}})
	}
}

// TestClientAddrForwarded is PX-05 for the field of RFC 7239.
func TestClientAddrForwarded(t *testing.T) {
	t.Parallel()
	testClientAddr(t, []addrCase{
		{"one", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.7"}, "198.51.100.7", "198.51.100.7, 10.0.0.1"},
		{
			"all that the grammar has", "10.0.0.1:1",
			[]string{`Forwarded: for=127.0.0.1, for="[2001:db8::7]:99";proto=https;host="a,b;for=x", by=x; For="10.0.0.2:80" ;ext="\"\\,"`},
			"2001:db8::7", "2001:db8::7, 10.0.0.2, 10.0.0.1",
		},
		{
			"several lines", "10.0.0.1:1",
			[]string{"Forwarded: for=127.0.0.1", "Forwarded: for=198.51.100.7"},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{
			"a port without quotes", "10.0.0.1:1",
			[]string{"Forwarded: for=198.51.100.7:99;by=x"},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{"escapes", "10.0.0.1:1", []string{`Forwarded: for="198.51.\100.7"`}, "198.51.100.7", "198.51.100.7, 10.0.0.1"},
		{"obfuscated", "10.0.0.1:1", []string{"Forwarded: for=_hidden"}, "10.0.0.1", "10.0.0.1"},
		{
			"unknown", "10.0.0.1:1",
			[]string{"Forwarded: for=198.51.100.7, for=unknown, for=10.0.0.2"},
			"10.0.0.2", "10.0.0.2, 10.0.0.1",
		},
		{"without for", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.7, proto=https"}, "10.0.0.1", "10.0.0.1"},
		{"for twice", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.7;for=10.0.0.2"}, "10.0.0.1", "10.0.0.1"},
		{"empty", "10.0.0.1:1", []string{"Forwarded: "}, "10.0.0.1", "10.0.0.1"},
		{"another name", "10.0.0.1:1", []string{"Forwarded: xfor=198.51.100.7"}, "10.0.0.1", "10.0.0.1"},
		{"no parameter", "10.0.0.1:1", []string{"Forwarded: 198.51.100.7"}, "10.0.0.1", "10.0.0.1"},
		{"junk behind it", "10.0.0.1:1", []string{`Forwarded: for="198.51.100.7"x`}, "10.0.0.1", "10.0.0.1"},
		{"no semicolon", "10.0.0.1:1", []string{`Forwarded: for="198.51.100.7" by=x`}, "10.0.0.1", "10.0.0.1"},
		{
			"a backslash at the end", "10.0.0.1:1",
			[]string{`Forwarded: x, for=198.51.100.7;ext="\\"`},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{"a lonely quote", "10.0.0.1:1", []string{`Forwarded: for=198.51.100.7;by=x"`}, "10.0.0.1", "10.0.0.1"},
		{"blanks around =", "10.0.0.1:1", []string{"Forwarded: for =198.51.100.7"}, "10.0.0.1", "10.0.0.1"},

		// A client that leaves a quote open, or has a comma in the host that a proxy then quotes.
		{
			"an open quote", "10.0.0.1:1",
			[]string{`Forwarded: for=127.0.0.1;x=", for=198.51.100.7`},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{
			"an open quote and a backslash", "10.0.0.1:1",
			[]string{`Forwarded: x="\, for=198.51.100.7`},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{
			"an open quote, quotes behind it", "10.0.0.1:1",
			[]string{`Forwarded: for=127.0.0.1;x=", for="198.51.100.7:1";host="a"`},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{
			"a list in a host", "10.0.0.1:1",
			[]string{`Forwarded: for=198.51.100.7;host="a,for=127.0.0.1;x=y"`},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},

		{
			"X-Forwarded-For before Forwarded", "10.0.0.1:1",
			[]string{"Forwarded: for=127.0.0.1", "X-Forwarded-For: 198.51.100.7"},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{
			"X-Forwarded-For before Forwarded, unreadable", "10.0.0.1:1",
			[]string{"Forwarded: for=127.0.0.1", "X-Forwarded-For: x"},
			"10.0.0.1", "10.0.0.1",
		},
	})
}

// TestClientAddrBounded: a list without an end costs no more than a long one.
func TestClientAddrBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("198.51.100.7, ", 10_000) + strings.Repeat("10.0.0.2, ", 10_000)
	way := strings.Repeat("10.0.0.2, ", maxHops-1) + "10.0.0.1"
	testClientAddr(t, []addrCase{
		{"X-Forwarded-For", "10.0.0.1:1", []string{"X-Forwarded-For: " + long + "10.0.0.2"}, "10.0.0.2", way},
		{
			"Forwarded", "10.0.0.1:1",
			[]string{"Forwarded: " + strings.Repeat("for=10.0.0.2, ", 10_000) + "for=10.0.0.2"},
			"10.0.0.2", way,
		},
	})
	for _, field := range []string{
		strings.Repeat(`"`, 1<<18), strings.Repeat(`\"`, 1<<18), strings.Repeat(`\`, 1<<18) + `"`, strings.Repeat(",", 1<<18),
	} {
		testClientAddr(t, []addrCase{{"one sign", "10.0.0.1:1", []string{"Forwarded: " + field}, "10.0.0.1", "10.0.0.1"}})
	}
}

func testClientAddr(t *testing.T, cases []addrCase) {
	t.Helper()
	for _, c := range cases {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		for _, f := range c.fields {
			name, value, _ := strings.Cut(f, ": ")
			r.Header.Add(name, value)
		}
		if got := ClientAddr(r, trustedInTests); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := forwardedFor(r, trustedInTests); got != c.way {
			t.Errorf("%s: way %q, want %q", c.name, got, c.way)
		}
	}
}

// FuzzClientAddr: an untrusted peer is the client, whatever it says; behind a trusted one, the client is what that one
// appended, whatever stands before.
func FuzzClientAddr(f *testing.F) {
	f.Add("10.0.0.1", "198.51.100.7, 10.0.0.2", `for="[::1]:2";by=x`)
	f.Add("192.0.2.1", "", `for=;;,="`)
	f.Add("fd00::1", "[2001:db8::7]:80, unknown", `for=a;x="\", for="10.0.0.2:1" ;host="a,b"`)
	const appended = "198.51.100.99"
	f.Fuzz(func(t *testing.T, peer, xff, forwarded string) {
		addr, err := netip.ParseAddr(peer)
		if err != nil {
			return
		}
		addr = plainAddr(addr)
		client := addr
		if isTrusted(addr, trustedInTests) {
			client = netip.MustParseAddr(appended)
		}
		for _, h := range []http.Header{
			{"X-Forwarded-For": {xff, appended}},
			{"X-Forwarded-For": {xff + "," + appended}, "Forwarded": {forwarded}},
			{"Forwarded": {forwarded, "for=" + appended}},
			{"Forwarded": {forwarded + ", for=" + appended}},
			{"Forwarded": {forwarded + `,by="a,b;for=c";for="` + appended + `:80"`}},
		} {
			r := &http.Request{RemoteAddr: netip.AddrPortFrom(addr, 1).String(), Header: h}
			if got := ClientAddr(r, trustedInTests); got != client {
				t.Errorf("%v: %s, want %s", h, got, client)
			}
			if way := forwardedFor(r, trustedInTests); !strings.HasPrefix(way, client.String()) {
				t.Errorf("%v: way %s, want %s first", h, way, client)
			}
		}
		r := &http.Request{
			RemoteAddr: netip.AddrPortFrom(addr, 1).String(),
			Header:     http.Header{"Forwarded": {forwarded}, "X-Forwarded-For": {xff}},
		}
		if n := strings.Count(forwardedFor(r, trustedInTests), ","); n >= maxHops {
			t.Errorf("%d hops", n+1)
		}
	})
}

// TestForwardedForAllocates: without trusted proxies, the text of the address and nothing else.
func TestForwardedForAllocates(t *testing.T) {
	r := &http.Request{RemoteAddr: "192.0.2.1:1234", Header: http.Header{"X-Forwarded-For": {"198.51.100.7"}}}
	if n := testing.AllocsPerRun(100, func() { forwardedFor(r, nil) }); n > 1 {
		t.Errorf("forwardedFor: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { ClientAddr(r, trustedInTests) }); n > 0 {
		t.Errorf("ClientAddr: %v allocations", n)
	}
}
