package gateway

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"github.com/cloakroom/cloakroom/proxy"
)

func (c *Config) decode(b *block) {
	c.BasePath = b.text("base_path", "/bff")
	c.PublicURL = b.link("public_url", "https://app.example.com")
	c.Listen = b.address("listen", "127.0.0.1:8080")
	c.TLS.decode(b.block("tls"))
	c.Admin.decode(b.block("admin"))
	c.TrustedProxies = b.prefixes("trusted_proxies")
	for _, host := range b.list("internal_hosts") {
		c.InternalHosts = append(c.InternalHosts, strings.ToLower(host))
	}
	for _, provider := range b.blocks("providers") {
		c.Providers = append(c.Providers, Provider{})
		c.Providers[len(c.Providers)-1].decode(provider)
	}
	c.Session.decode(b.block("session"))
	c.Logout.decode(b.block("logout"))
	c.Login.decode(b.block("login"))
	for _, route := range b.blocks("routes") {
		c.Routes = append(c.Routes, Route{})
		c.Routes[len(c.Routes)-1].decode(route)
	}
	b.end()
}

func (c *Config) validate(r *report) {
	if !proxy.IsCanonical(c.BasePath) || strings.HasSuffix(c.BasePath, "/") {
		r.fail("base_path", "must be a path without a slash at its end, such as /bff")
	}
	c.validatePublicURL(r)
	validateListen(r, "listen", c.Listen)
	c.TLS.validate(r, c.PublicURL)
	c.Admin.validate(r, c.Listen)
	for i, host := range c.InternalHosts {
		if u, err := url.Parse("http://" + host); err != nil || u.Host != host || u.Hostname() == "" {
			r.fail(item("internal_hosts", i), "must be a Host header value; write for example app.internal or app.internal:8080")
		}
	}
	c.validateProviders(r)
	c.Session.validate(r)
	if c.Session.Store == "memory:" && !c.Session.AllowMemory && isPublicHTTPS(c.PublicURL) {
		r.fail("session.store", "memory: loses every session at a restart and is not shared by replicas; "+
			"write redis://host:6379/0, or set session.allow_memory: true")
	}
	c.Logout.validate(r)
	c.validateRoutes(r)
}

// validatePublicURL wants the origin exactly as browsers send it in Origin headers, for it is compared with them.
func (c *Config) validatePublicURL(r *report) {
	u := c.PublicURL
	if u == nil {
		r.fail("public_url", "is missing; write the origin that browsers see, such as https://app.example.com")
		return
	}
	bare := strings.TrimSuffix(originOf(u), ":")
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		r.fail("public_url", "must be an origin, such as https://app.example.com")
	case u.Scheme == "http" && !proxy.IsLoopback(u.Hostname()):
		r.fail("public_url", "may be http on a loopback host only; write https://%s", u.Host)
	case strings.ContainsFunc(u.Host, func(c rune) bool { return c > unicode.MaxASCII }):
		r.fail("public_url", "must have its host in ASCII, as browsers send it: xn--...")
	case u.String() != bare:
		r.fail("public_url", "must be the bare origin, as browsers send it; write %s", bare)
	}
}

func isPublicHTTPS(u *url.URL) bool {
	return u != nil && u.Scheme == "https" && !proxy.IsLoopback(u.Hostname())
}

func (t *TLS) decode(b *block) {
	t.CertFile = b.text("cert_file", "")
	t.KeyFile = b.text("key_file", "")
	b.end()
}

func (t *TLS) validate(r *report, public *url.URL) {
	validatePair(r, "tls", t.CertFile, t.KeyFile)
	if t.CertFile != "" && public != nil && public.Scheme == "http" {
		r.fail("tls.cert_file", "contradicts the http public_url: browsers would refuse its cookies; write an https public_url")
	}
}

// validatePair wants a certificate and its key both or neither.
func validatePair(r *report, path, cert, key string) {
	switch {
	case cert != "" && key == "":
		r.fail(path+".key_file", "is missing; name the private key of %s.cert_file, or remove that", path)
	case cert == "" && key != "":
		r.fail(path+".cert_file", "is missing; name the certificate of %s.key_file, or remove that", path)
	}
}

func (a *Admin) decode(b *block) {
	a.Listen = b.address("listen", "127.0.0.1:9090")
	if a.TokenFile = b.text("token_file", ""); a.TokenFile != "" {
		b.secretFile("token", a.TokenFile) // for what is wrong with it: the gateway reads it again
	}
	b.end()
}

func (a *Admin) validate(r *report, public string) {
	socket, isSocket := a.socket()
	switch {
	case a.Listen == "":
		r.failUnlessEmpty("admin.token_file", a.TokenFile, "is for a listener; write an address in admin.listen, or remove it")
	case isSocket && (!strings.HasPrefix(socket, "/") || len(socket) > maxSocketPath):
		r.fail("admin.listen", "must have an absolute path of at most %d bytes after unix:, such as "+
			"unix:/run/cloakroom/admin.sock", maxSocketPath)
	case isSocket:
	default:
		validateListen(r, "admin.listen", a.Listen)
		if samePort(a.Listen, public) {
			r.fail("admin.listen", "is the address of listen, which browsers reach; write another port")
		}
	}
}

// socket is the path after unix:.
func (a *Admin) socket() (path string, ok bool) { return strings.CutPrefix(a.Listen, "unix:") }

func validateListen(r *report, key, address string) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		r.fail(key, "must be host:port, such as 127.0.0.1:8080, or :8080 for every interface")
		return
	} else if _, err := net.LookupPort("tcp", port); err != nil {
		r.fail(key, "has no port between 0 and 65535; write for example 127.0.0.1:8080")
	}
}

// samePort reports whether two listen addresses would collide. Port 0 is whatever is free.
func samePort(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	return portA == portB && portA != "0" && portA != "" && (hostA == hostB || isEveryInterface(hostA) || isEveryInterface(hostB))
}

func isEveryInterface(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// address reads host:port. A port alone is a number to YAML, and in quotes it would be wrong again.
func (b *block) address(key, otherwise string) string {
	value := b.take(key)
	if value == nil {
		return otherwise
	}
	if port, ok := value.(literal); ok {
		b.fail(b.at(key), "must be host:port; write 127.0.0.1:%[1]s, or :%[1]s for every interface", port)
		return otherwise
	}
	if text, ok := b.textOf(b.at(key), value); ok {
		return text
	}
	return otherwise
}

// prefixes reads a list of CIDRs.
func (b *block) prefixes(key string) []netip.Prefix {
	var prefixes []netip.Prefix
	for i, text := range b.list(key) {
		path := item(b.at(key), i)
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			if address, err := netip.ParseAddr(text); err == nil {
				b.fail(path, "must be a CIDR; write %s", netip.PrefixFrom(address, address.BitLen()))
			} else {
				b.fail(path, "must be a CIDR, such as 10.0.0.0/8")
			}
			continue
		}
		if prefix != prefix.Masked() {
			b.fail(path, "has bits set after its length; write %s", prefix.Masked())
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes
}
