package bff

import (
	"crypto/rand"
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
	posted  string // prefix of those whose response comes as a POST; begins with flow
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
		session: base + suffix, flow: base + "-flow-", posted: base + "-flow-post-",
		logout: base + "-logout" + suffix, flash: base + "-flash",
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
	prefix := "cloakroom"
	if c.secure {
		prefix = hostPrefix + prefix
	}
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
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
		Path: "/", HttpOnly: true, Secure: c.secure, SameSite: c.sameSiteOf(name),
	})
}

func (c cookies) clear(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, MaxAge: -1,
		Path: "/", HttpOnly: true, Secure: c.secure, SameSite: c.sameSiteOf(name),
	})
}

// newFlowName names the cookie of one more flow. The name is random: tabs that start at the same moment, each unaware of
// the other, must not write the same cookie. It also tells, to whoever clears the cookie, how it was set.
func (c cookies) newFlowName(posted bool) string {
	prefix := c.flow
	if posted {
		prefix = c.posted
	}
	return prefix + strings.ToLower(rand.Text()[:8]) + c.suffix
}

func (c cookies) isFlow(name string) bool {
	return strings.HasPrefix(name, c.flow) && strings.HasSuffix(name, c.suffix)
}

// sameSiteOf is the SameSite of a cookie. Of those that have to reach the callback it is Lax, unless the OP's page posts
// the response to us from its own site: with such a request only a cookie comes that says None (FPM-02). A browser takes
// None from https alone; on loopback http the OP is on the same site, where Lax will do.
func (c cookies) sameSiteOf(name string) http.SameSite {
	switch {
	case name == c.session:
		return c.sameSite
	case c.secure && strings.HasPrefix(name, c.posted):
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}
