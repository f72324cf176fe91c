package gateway

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"time"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/secret"
)

// Config is a validated configuration, in the order of the file. [Load] and [Parse] make it; a program may also fill
// in every field by itself and call [Config.Validate].
type Config struct {
	BasePath       string   // of the gateway's own endpoints, "/bff"
	PublicURL      *url.URL // the origin the browser sees: scheme and host only
	Listen         string   // host:port
	TLS            TLS
	Admin          Admin
	TrustedProxies []netip.Prefix
	InternalHosts  []string   // lower case, with the port where the Host header has one
	Providers      []Provider // at least one; the first is the default
	Session        Session
	Logout         Logout
	Login          Login
	Routes         []Route
}

// TLS is the certificate of the public listener; both empty when something in front ends TLS.
type TLS struct{ CertFile, KeyFile string }

// Admin is the listener for health, metrics and the administration of sessions.
type Admin struct {
	Listen    string // host:port, or unix: and the path of a socket; "" turns it off
	TokenFile string // the bearer token for sessions; "" for none, and then sessions on loopback or a socket only
}

// Provider is one OpenID Provider and us as its client. Of the fields after LoginParams each may be left empty.
type Provider struct {
	Name   string // letters a to z, digits and "-": it is a segment of the callback's path
	Issuer string

	ClientID          string
	ClientAuth        string // as in client registration: client_secret_basic ...
	ClientSecret      secret.String
	ClientKeyFile     string // private keys: a JWK, a JWK Set or PEM; PEM with ClientCertFile
	ClientCertFile    string // PEM, for mTLS
	AssertionAudience string // of client assertions: issuer or token_endpoint; default issuer

	Scopes            []string
	IDTokenSigningAlg string
	Userinfo          string // off, auto or required
	LoginParams       []string

	AuthorizationParams     map[string]string
	Resource                []string
	AuthorizationDetails    json.RawMessage // an array of RFC 9396 §2
	PushedRequests          string          // auto, required or off; default auto
	RequestObjectSigningAlg string
	ResponseMode            string // query, form_post, jwt, query.jwt or form_post.jwt; default query
	ResponseSigningAlg      string // default IDTokenSigningAlg
	UserinfoSigningAlg      string
	UntypedLogoutTokens     bool // take logout tokens without the typ of one

	IDTokenEncryption, UserinfoEncryption, ResponseEncryption rp.Encryption

	TrustedAudiences []string
	CAFile           string
}

// Session says how long sessions live and where.
type Session struct {
	Store         string // memory: or a [redisstore.URL], without credentials
	KeysFile      string
	IdleTimeout   time.Duration
	Lifetime      time.Duration
	RefreshBefore time.Duration
	SameSite      string   // strict or lax
	Claims        []string // that the browser may see
	PerUserLimit  int      // 0 is no limit
	MaxRequests   int      // of one session under way in this replica; 0 is no limit
	Cache         bool     // keep opened sessions in memory
	AllowMemory   bool
	Redis         Redis
}

// Redis is what does not belong into a store URL.
type Redis struct {
	Username                  string
	Password                  secret.String // from the store's URL or, as it was at loading, from PasswordFile
	PasswordFile              string        // to be read again at every new connection
	SentinelUsername          string
	SentinelPassword          secret.String // none: the Sentinels want none
	CAFile, CertFile, KeyFile string
}

// Logout says what happens at the OP when a user signs out here.
type Logout struct {
	RevokeTokens        bool
	IDTokenHint         bool
	PostLogoutReturnURL string
	Method              string   // how the browser goes to the OP: get or post; default get
	Frontchannel        bool     // the OP may end sessions through the browser
	ClearSiteData       []string // what the browser is told to clear, as in the header
}

// Login says who may start one.
type Login struct{ ThirdParty bool }

// Route is a path prefix and what stands behind it.
type Route struct {
	proxy.Route
	StaticDir string // the folder that Static reads
	CSRF      string // header, origin, navigation or none
	Login     string // none, or redirect: a navigation without a session starts a login
	Target    Target
	Require   Require
}
