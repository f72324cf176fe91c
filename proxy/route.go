package proxy

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// TokenPolicy says whose access token the requests of a route carry to the upstream.
type TokenPolicy string

// The token policies.
const (
	TokenNone       TokenPolicy = "none"         // never, and no session is read
	TokenUser       TokenPolicy = "user"         // the user's; without a session the request is refused
	TokenUserOrNone TokenPolicy = "user_or_none" // the user's, when there is a session
	TokenClient     TokenPolicy = "client"       // the gateway's own (RFC 6749 §4.4), whoever asks
	TokenExchange   TokenPolicy = "exchange"     // one made of the user's (RFC 8693); without a session refused
)

// Route is a path prefix and what stands behind it: an upstream or a folder of files, never both.
type Route struct {
	Path        string   // prefix, decoded, matched on segment borders; starts with "/"
	Upstream    *url.URL // scheme (http, https or h2c), host and optional base path
	Static      fs.FS
	StripPrefix bool // the upstream, or the folder, sees the path without the prefix
	// WebSocket lets WebSocket handshakes through to the upstream (RFC 6455).
	WebSocket bool

	Token TokenPolicy
	// Documents marks a route whose answers may be pages of the application (csrf: navigation). All other routes
	// with a token policy answer with data only: see the section on answers in the README (PX-30).
	Documents bool
	// AllowPlaintext permits access tokens on plain http to a host that is not loopback, for a network that
	// encrypts by itself, such as a service mesh (PX-19).
	AllowPlaintext bool
	Methods        []string          // empty: those of RFC 9110 and PATCH, without CONNECT and TRACE
	Headers        map[string]string // set on the way up
	Identity       map[string]string // header name to claim name, set on the way up from the session
	// SessionCookie sends the session cookie up, with which the upstream can call the gateway in the user's name: for a
	// server that renders the pages of the application, and is trusted like the gateway itself.
	SessionCookie bool
	MaxBody       int64         // bytes; 0 is unlimited, streamed
	Timeout       time.Duration // until the upstream's response header; 0 is unlimited
	IdleTimeout   time.Duration // of an answer or a WebSocket without a byte from either side; 0 is unlimited
	MaxDuration   time.Duration // of an answer or a WebSocket, from its header on; 0 is until the session ends
}

// hasToken reports whether requests of the route may carry an access token.
func (rt *Route) hasToken() bool { return rt.Token != TokenNone }

// needsSession reports whether requests without a session are refused.
func (rt *Route) needsSession() bool { return rt.Token == TokenUser || rt.Token == TokenExchange }

// isPersonal reports whether the answer to a request of who may depend on the user, or on there being one.
func (rt *Route) isPersonal(who *session.Session) bool {
	return rt.hasToken() || len(rt.Identity) > 0 || who != nil
}

// validate returns everything that is wrong with the route.
func (rt *Route) validate() error {
	return errors.Join(
		rt.validateTarget(),
		rt.validatePolicy(),
		rt.validateHeaders(),
	)
}

func (rt *Route) validateTarget() error {
	switch u := rt.Upstream; {
	case (u == nil) == (rt.Static == nil):
		return errors.New("a route needs an upstream or a static folder, and not both")
	case u == nil:
		return nil
	case u.Scheme != "http" && u.Scheme != "h2c" && u.Scheme != "https":
		return errors.New("the scheme of the upstream must be http, https or h2c")
	case u.Hostname() == "":
		return errors.New("the upstream has no host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return errors.New("the upstream must be scheme, host and path only")
	case u.Path != "" && whyRefused(u.EscapedPath()) != "":
		return fmt.Errorf("the path of the upstream: %s", whyRefused(u.EscapedPath()))
	case u.Scheme != "https" && (rt.hasToken() || rt.SessionCookie) && !rt.AllowPlaintext && !IsLoopback(u.Hostname()):
		return errors.New("access tokens and session cookies do not go unencrypted to another host: use https or allow_plaintext")
	}
	return nil
}

func (rt *Route) validatePolicy() error {
	switch rt.Token {
	case TokenNone, TokenUser, TokenUserOrNone, TokenClient, TokenExchange:
	default:
		return fmt.Errorf("unknown token policy %q", rt.Token)
	}
	if rt.MaxBody < 0 || rt.Timeout < 0 || rt.IdleTimeout < 0 || rt.MaxDuration < 0 {
		return errors.New("max_body and times must not be negative")
	}
	for _, m := range rt.Methods {
		if m == "CONNECT" || m == "TRACE" || m == "TRACK" || !isToken(m) || m != strings.ToUpper(m) {
			return fmt.Errorf("method %q cannot be proxied", m)
		}
	}
	return nil
}

func (rt *Route) validateHeaders() error {
	var errs []error
	for name, value := range rt.Headers {
		errs = append(errs, rt.validateName(name))
		if !isFieldValue(value) {
			errs = append(errs, fmt.Errorf("header %s: the value has control characters", name))
		}
	}
	for name := range rt.Identity {
		errs = append(errs, rt.validateName(name))
	}
	return errors.Join(errs...)
}

// validateName refuses the names that are the proxy's own.
func (rt *Route) validateName(name string) error {
	switch {
	case !isToken(name):
		return fmt.Errorf("%q is not a header name", name)
	case strings.Contains(name, "_"):
		return fmt.Errorf("header %s: write it with '-', servers confuse the two", name)
	case IsOwnField(name), strings.EqualFold(name, "Authorization") && rt.hasToken():
		return fmt.Errorf("header %s: the proxy sets or removes it by itself", name)
	}
	return nil
}

// IsLoopback reports whether a host name or address can only mean this machine (RFC 6761 §6.3 for localhost).
func IsLoopback(host string) bool {
	host = strings.ToLower(host)
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// isToken is the token rule of RFC 9110 §5.6.2, for methods and field names.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether the text can be the value of one header field: no CR, LF, NUL or other control
// character (RFC 9110 §5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
