package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddr is the address of the client as far as it can be known (PX-05): the peer of the connection, or, as
// long as that is one of the trusted proxies, the one that it names in X-Forwarded-For (or Forwarded, when there
// is no X-Forwarded-For). What an untrusted client wrote into these fields is never reached. The zero Addr is
// returned when the peer has no IP address, as on a unix socket.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	if hops := forwardedBy(r, trusted); len(hops) > 0 {
		return hops[0]
	}
	return netip.Addr{}
}

// forwardedBy returns the way of the request as far as it can be known: the client, the trusted proxies, the peer.
func forwardedBy(r *http.Request, trusted []netip.Prefix) []netip.Addr {
	peer, ok := parseHop(r.RemoteAddr)
	if !ok {
		return nil
	}
	hops := []netip.Addr{peer} // the peer first, turned round at the end
	if !isTrusted(peer, trusted) {
		return hops
	}
	for _, claim := range slices.Backward(claimedHops(r.Header)) {
		addr, ok := parseHop(claim)
		if !ok {
			break // "unknown" or an obfuscated identifier: what is left of it cannot be believed
		}
		hops = append(hops, addr)
		if !isTrusted(addr, trusted) {
			break
		}
	}
	slices.Reverse(hops)
	return hops
}

// claimedHops are the addresses in the forwarding fields, the nearest last.
func claimedHops(h http.Header) []string {
	if lines := h["X-Forwarded-For"]; len(lines) > 0 {
		return strings.Split(strings.Join(lines, ","), ",")
	}
	var hops []string
	for element := range strings.SplitSeq(strings.Join(h["Forwarded"], ","), ",") {
		hop := ""
		for pair := range strings.SplitSeq(element, ";") {
			if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), "for") {
				hop = strings.Trim(value, ` "`)
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// parseHop reads an address with or without a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		addr = ap.Addr()
	}
	return addr.Unmap().WithZone(""), err == nil
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// joinHops is the value of X-Forwarded-For.
func joinHops(hops []netip.Addr) string {
	texts := make([]string, len(hops))
	for i, hop := range hops {
		texts[i] = hop.String()
	}
	return strings.Join(texts, ", ")
}
