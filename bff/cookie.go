package bff

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// cookies names every cookie of the gateway and knows the attributes that each must carry, at setting and at deletion
// alike (CK-11).
type cookies struct {
	session string // the ticket
	flow    string // prefix; one cookie per login in flight
	logout  string // a logout on its way to the OP and back
	flash   string // prefix; what the page after a redirect shows, for one minute

	suffix   string // of every name, "" or "-<port>"
	secure   bool
	sameSite http.SameSite // of the session cookie
}

const hostPrefix = "__Host-Http-"

// newCookies chooses the names. "__Host-Http-" makes the browser refuse a cookie of that name which a sibling host, a
// script or a plain-http page tries to plant (RFC 10017 §6.1.3.2, CK-02). On a loopback http origin (development)
// browsers differ about Secure, so prefix and Secure go, and the port is part of the name: cookies ignore ports.
func newCookies(public *url.URL, sameSite http.SameSite) cookies {
	prefix, suffix := hostPrefix, ""
	secure := public.Scheme == "https"
	if !secure {
		prefix, suffix = "", "-"+port(public)
	}
	base := prefix + "cloakroom"
	return cookies{
		session: base + suffix, flow: base + "-flow-", logout: base + "-logout" + suffix, flash: base + "-flash",
		suffix: suffix, secure: secure, sameSite: sameSite,
	}
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "80"
}

// own matches names regardless of case, as browsers match prefixes.
func (c cookies) own(name string) bool {
	base := "cloakroom"
	name = strings.ToLower(name)
	if !c.secure {
		return strings.HasPrefix(name, base)
	}
	return strings.HasPrefix(name, "__host-http-"+base)
}

func (c cookies) setSession(w http.ResponseWriter, ticket string) {
	http.SetCookie(w, &http.Cookie{
		Name: c.session, Value: ticket,
		Path: "/", HttpOnly: true, Secure: c.secure, SameSite: c.sameSite,
	})
}

// setShort sets a cookie that has to come back with a navigation that the OP starts, hence Lax (CK-06).
func (c cookies) setShort(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, MaxAge: int(life / time.Second),
		Path: "/", HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
	})
}

func (c cookies) clear(w http.ResponseWriter, name string) {
	sameSite := http.SameSiteLaxMode
	if name == c.session {
		sameSite = c.sameSite
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, MaxAge: -1,
		Path: "/", HttpOnly: true, Secure: c.secure, SameSite: sameSite,
	})
}
