package proxy

import (
	"iter"
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds the way of a request that is believed, the peer included. What stands farther away is not looked at.
const maxHops = 32

// ClientAddr is the address of the client as far as it can be known (PX-05): the peer of the connection, or, as
// long as that is one of the trusted proxies, the one that it names in X-Forwarded-For (or Forwarded, RFC 7239, when
// there is no X-Forwarded-For). What an untrusted client wrote into these fields is never reached. The zero Addr is
// returned when the peer has no IP address, as on a unix socket.
//
// A proxy that writes one of the two fields and passes the other on as it came must not be trusted: with only Forwarded
// of its own, it has to remove X-Forwarded-For.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	var client netip.Addr
	for hop := range wayBack(r, trusted) {
		client = hop
	}
	return client
}

// forwardedFor is the value of X-Forwarded-For: the way of the request as far as it can be known, the client first, the
// peer last; empty where the peer has no IP address.
func forwardedFor(r *http.Request, trusted []netip.Prefix) string {
	way := ""
	for hop := range wayBack(r, trusted) {
		if way == "" {
			way = hop.String()
		} else {
			way = hop.String() + ", " + way
		}
	}
	return way
}

// wayBack goes from the peer towards the client. All hops but the last one are trusted proxies.
func wayBack(r *http.Request, trusted []netip.Prefix) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return
		}
		addr := plainAddr(peer.Addr())
		if !yield(addr) || !isTrusted(addr, trusted) {
			return
		}
		hops := 1
		for claim := range claims(r.Header) {
			addr, ok := parseHop(claim)
			if !ok || hops == maxHops {
				return // "unknown" or an obfuscated identifier: what is left of it cannot be believed
			}
			hops++
			if !yield(addr) || !isTrusted(addr, trusted) {
				return
			}
		}
	}
}

// claims are the addresses in the forwarding fields, the nearest first. One that is not there is empty.
func claims(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		if lines := h["X-Forwarded-For"]; len(lines) > 0 {
			for i := len(lines) - 1; i >= 0; i-- {
				for rest, more := lines[i], true; more; {
					var claim string
					rest, claim, more = cutLast(rest)
					if !yield(claim) {
						return
					}
				}
			}
			return
		}
		lines := h["Forwarded"]
		for i := len(lines) - 1; i >= 0; i-- {
			for rest, more := lines[i], true; more; {
				var element string
				rest, element, more = cutLastElement(rest)
				if !yield(forParameter(element)) {
					return
				}
			}
		}
	}
}

// cutLast cuts a list before its last element.
func cutLast(list string) (before, last string, found bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// cutLastElement cuts before the last comma that is not in quotes. It reads from the end, where the trusted proxies have
// written: a quote that a client opened and did not close is never reached.
func cutLastElement(list string) (before, last string, found bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch list[i] {
		case '"':
			if !isEscaped(list, i) {
				quoted = !quoted
			}
		case ',':
			if !quoted {
				return list[:i], list[i+1:], true
			}
		}
	}
	return "", list, false
}

// isEscaped reports whether an odd number of backslashes stands before the byte.
func isEscaped(s string, i int) bool {
	n := len(s[:i]) - len(strings.TrimRight(s[:i], `\`))
	return n%2 == 1
}

// forParameter is the value of "for" in one element of Forwarded (RFC 7239 §4), or "" when there is none, more than one,
// or something that is no parameter.
func forParameter(element string) string {
	found := ""
	s := scanner{element}
	for {
		s.blanks()
		name := s.token()
		if name == "" || !s.eat('=') {
			return ""
		}
		value, ok := s.quoted()
		if !ok { // perhaps an address with a port, though that should be quoted
			value, _, _ = strings.Cut(s.rest, ";")
			s.rest = s.rest[len(value):]
			value = strings.TrimRight(value, " \t")
		}
		if !ok && strings.Contains(value, `"`) {
			return ""
		}
		if strings.EqualFold(name, "for") {
			if found != "" {
				return ""
			}
			found = value
		}
		s.blanks()
		if s.rest == "" {
			return found
		}
		if !s.eat(';') {
			return ""
		}
	}
}

// parseHop reads an address with or without a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1],
// [2001:db8::1]:80.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	bracketed := strings.HasPrefix(s, "[")
	if bracketed && strings.HasSuffix(s, "]") {
		addr, err := netip.ParseAddr(s[1 : len(s)-1])
		return plainAddr(addr), err == nil && addr.Is6()
	}
	if bracketed || strings.Count(s, ":") == 1 {
		hop, err := netip.ParseAddrPort(s)
		return plainAddr(hop.Addr()), err == nil
	}
	addr, err := netip.ParseAddr(s)
	return plainAddr(addr), err == nil
}

// plainAddr gives each address one form: IPv4 as IPv4, and without a zone, which means something on one machine only.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
