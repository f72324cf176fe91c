package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

var trustedInTests = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// TestClientAddr is PX-05: what an untrusted peer says is never heard.
func TestClientAddr(t *testing.T) {
	for _, c := range []struct {
		name, peer string
		fields     []string // "name: value"
		want, hops string
	}{
		{"peer alone", "192.0.2.1:1234", nil, "192.0.2.1", "192.0.2.1"},
		{"IPv6 peer", "[2001:db8::1]:1234", nil, "2001:db8::1", "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:1234", nil, "192.0.2.1", "192.0.2.1"},
		{"untrusted peer", "192.0.2.1:1", []string{"X-Forwarded-For: 198.51.100.7"}, "192.0.2.1", "192.0.2.1"},
		{"untrusted peer, Forwarded", "192.0.2.1:1", []string{"Forwarded: for=198.51.100.7"}, "192.0.2.1", "192.0.2.1"},
		{"trusted peer without a word", "10.0.0.1:1", nil, "10.0.0.1", "10.0.0.1"},
		{"trusted peer", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.7"}, "198.51.100.7", "198.51.100.7, 10.0.0.1"},
		{
			"what the client wrote is cut off", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 127.0.0.1, 10.9.9.9, 198.51.100.7, 10.0.0.2"},
			"198.51.100.7", "198.51.100.7, 10.0.0.2, 10.0.0.1",
		},
		{
			"several lines are one list", "10.0.0.1:1",
			[]string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 198.51.100.7"},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{"all trusted", "10.0.0.1:1", []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1"},
		{"garbage ends the list", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.7, unknown, 10.0.0.2"}, "10.0.0.2", "10.0.0.2, 10.0.0.1"},
		{"empty value", "10.0.0.1:1", []string{"X-Forwarded-For: "}, "10.0.0.1", "10.0.0.1"},
		{"with ports", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.7:99, [fd00::2]:99"}, "198.51.100.7", "198.51.100.7, fd00::2, 10.0.0.1"},
		{"bare IPv6", "10.0.0.1:1", []string{"X-Forwarded-For: 2001:db8::7"}, "2001:db8::7", "2001:db8::7, 10.0.0.1"},
		{"zone", "10.0.0.1:1", []string{"X-Forwarded-For: fe80::1%eth0"}, "fe80::1", "fe80::1, 10.0.0.1"},
		{
			"Forwarded", "10.0.0.1:1",
			[]string{`Forwarded: for=127.0.0.1, for="[2001:db8::7]:99";proto=https, by=x; For=10.0.0.2`},
			"2001:db8::7", "2001:db8::7, 10.0.0.2, 10.0.0.1",
		},
		{"Forwarded, obfuscated", "10.0.0.1:1", []string{"Forwarded: for=_hidden"}, "10.0.0.1", "10.0.0.1"},
		{
			"X-Forwarded-For before Forwarded", "10.0.0.1:1",
			[]string{"Forwarded: for=127.0.0.1", "X-Forwarded-For: 198.51.100.7"},
			"198.51.100.7", "198.51.100.7, 10.0.0.1",
		},
		{"unix socket", "@", []string{"X-Forwarded-For: 198.51.100.7"}, "invalid IP", ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		for _, f := range c.fields {
			name, value, _ := strings.Cut(f, ": ")
			r.Header.Add(name, value)
		}
		if got := ClientAddr(r, trustedInTests); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := joinHops(forwardedBy(r, trustedInTests)); got != c.hops {
			t.Errorf("%s: way %q, want %q", c.name, got, c.hops)
		}
	}
}

// FuzzClientAddr: an untrusted peer is the client, whatever it says.
func FuzzClientAddr(f *testing.F) {
	f.Add("10.0.0.1", "198.51.100.7, 10.0.0.2", `for="[::1]:2";by=x`)
	f.Add("192.0.2.1", "", `for=;;,="`)
	f.Fuzz(func(t *testing.T, peer, xff, forwarded string) {
		addr, err := netip.ParseAddr(peer)
		if err != nil {
			return
		}
		r := &http.Request{
			RemoteAddr: netip.AddrPortFrom(addr, 1).String(),
			Header:     http.Header{"X-Forwarded-For": {xff}, "Forwarded": {forwarded}},
		}
		got := ClientAddr(r, trustedInTests)
		if addr = addr.Unmap().WithZone(""); !isTrusted(addr, trustedInTests) && got != addr {
			t.Errorf("%s, want %s", got, addr)
		}
	})
}
