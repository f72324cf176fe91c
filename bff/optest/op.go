package optest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Config is what an OP is made of. Only Clients and Users are usually given; New also needs the Issuer.
type Config struct {
	// Issuer is the OP's identifier: an http or https URL without query and fragment. Start fills it in when it is
	// empty, and puts its own origin in front of it when it begins with a slash ("/tenant").
	Issuer  string
	Clients []Client
	Users   []User

	AccessTokenLifetime time.Duration // default 5 minutes
	IDTokenLifetime     time.Duration // default 5 minutes
	Audience            []string      // aud of access tokens; default the issuer
	ACRValues           []string      // supported acr values, the default one first; default "pwd", "mfa"

	// SigningAlg signs access tokens and, unless a client is registered for another algorithm, what clients read:
	// RS256 (the default), RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA. A key for one further algorithm
	// is always published.
	SigningAlg string
	// OpaqueAccessTokens makes access tokens random strings in place of JWTs.
	OpaqueAccessTokens bool

	// Resources are the protected resources that access tokens can be asked for, by resource (RFC 8707) or audience
	// (RFC 8693); empty: any.
	Resources []string

	// RequirePushedRequests refuses authorization requests that were not pushed (RFC 9126, 5).
	RequirePushedRequests bool

	// KeepRefreshTokens turns rotation off: a refresh token stays good and refresh responses contain none.
	KeepRefreshTokens bool

	// Pages asks the person at the browser. When nil, AutoUser is signed in without a page and consent is implied.
	Pages Pages

	// AutoUser is the subject who is signed in when Pages is nil; default the first of Users.
	AutoUser string

	// CertificateOrigin is a second origin of the same handler ("https://host:port"), whose TLS asks for client
	// certificates; the metadata name its endpoints as mtls_endpoint_aliases (RFC 8705, 5). StartTLS fills it in.
	CertificateOrigin string
	// ClientCAs stand behind the certificates of tls_client_auth; nil accepts none.
	ClientCAs *x509.CertPool

	// HTTPClient sends the OP's own requests to clients: for their JWKSURI and for back-channel logout. The default
	// follows no redirects and gives up after 5 seconds.
	HTTPClient *http.Client

	// Now is the OP's clock; default time.Now.
	Now func() time.Time
}

// OP is an OpenID Provider. Its methods may be called from several goroutines, also while it serves.
type OP struct {
	issuer   string
	prefix   string // the path of the issuer, without a trailing slash
	origin   string
	audience []string
	acr      []string
	alg      string

	accessTokenLifetime time.Duration
	idTokenLifetime     time.Duration
	keepRefreshTokens   bool
	opaqueAccessTokens  bool
	requirePushed       bool
	resources           []string

	certificateOrigin string
	clientCAs         *x509.CertPool
	http              *http.Client

	pages Pages
	auto  bool // no pages: AutoUser is signed in
	now   func() time.Time
	mux   *http.ServeMux

	mu            sync.Mutex // guards everything below
	clients       map[string]Client
	users         []User
	autoUser      string
	keys          []*key                       // of each algorithm the newest first
	fetchedKeys   map[string][]jose.JSONWebKey // of clients, by their jwks_uri
	pushed        map[string]*pushedRequest
	requestJTIs   map[requestJTI]bool
	sessions      map[string]*session
	interactions  map[string]*interaction
	consents      map[consent]bool
	codes         map[string]*code
	accessTokens  map[string]*accessToken
	refreshTokens map[string]*refreshToken
	assertions    map[assertionID]bool // that were used
	grants        []*grant
	faults        []Fault
	requests      []Request
	deliveries    []LogoutDelivery
}

// New makes an OP. It returns an error when the configuration contradicts itself.
func New(cfg Config) (*OP, error) {
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" ||
		(issuer.Scheme != "http" && issuer.Scheme != "https") {
		return nil, fmt.Errorf("optest: issuer %q is not an http or https URL without query and fragment", cfg.Issuer)
	}
	op := &OP{
		issuer:              cfg.Issuer,
		prefix:              strings.TrimSuffix(issuer.Path, "/"),
		origin:              issuer.Scheme + "://" + issuer.Host,
		audience:            cfg.Audience,
		acr:                 cfg.ACRValues,
		alg:                 cfg.SigningAlg,
		accessTokenLifetime: cfg.AccessTokenLifetime,
		idTokenLifetime:     cfg.IDTokenLifetime,
		keepRefreshTokens:   cfg.KeepRefreshTokens,
		opaqueAccessTokens:  cfg.OpaqueAccessTokens,
		requirePushed:       cfg.RequirePushedRequests,
		resources:           cfg.Resources,
		certificateOrigin:   cfg.CertificateOrigin,
		clientCAs:           cfg.ClientCAs,
		http:                cfg.HTTPClient,
		pages:               cfg.Pages,
		autoUser:            cfg.AutoUser,
		now:                 cfg.Now,
		clients:             map[string]Client{},
		sessions:            map[string]*session{},
		interactions:        map[string]*interaction{},
		consents:            map[consent]bool{},
		codes:               map[string]*code{},
		accessTokens:        map[string]*accessToken{},
		refreshTokens:       map[string]*refreshToken{},
		pushed:              map[string]*pushedRequest{},
		requestJTIs:         map[requestJTI]bool{},
		assertions:          map[assertionID]bool{},
		fetchedKeys:         map[string][]jose.JSONWebKey{},
	}
	op.setDefaults()
	if op.keys, err = newKeys(op.alg, otherAlg(op.alg)); err != nil {
		return nil, err
	}
	for _, c := range cfg.Clients {
		err = errors.Join(err, op.AddClient(c))
	}
	for _, u := range cfg.Users {
		err = errors.Join(err, op.AddUser(u))
	}
	if op.autoUser == "" && len(op.users) > 0 {
		op.autoUser = op.users[0].Subject
	}
	if _, ok := op.user(op.autoUser); op.autoUser != "" && !ok {
		err = errors.Join(err, fmt.Errorf("optest: AutoUser %q is not among Users", op.autoUser))
	}
	if err != nil {
		op.releaseKeys()
		return nil, err
	}
	op.mux = op.routes()
	return op, nil
}

func (op *OP) setDefaults() {
	if len(op.audience) == 0 {
		op.audience = []string{op.issuer}
	}
	if len(op.acr) == 0 {
		op.acr = []string{"pwd", "mfa"}
	}
	if op.alg == "" {
		op.alg = "RS256"
	}
	if op.accessTokenLifetime == 0 {
		op.accessTokenLifetime = 5 * time.Minute
	}
	if op.idTokenLifetime == 0 {
		op.idTokenLifetime = 5 * time.Minute
	}
	if op.pages == nil {
		op.pages, op.auto = PlainPages{}, true
	}
	if op.clientCAs == nil {
		op.clientCAs = x509.NewCertPool()
	}
	if op.http == nil {
		op.http = defaultHTTPClient
	}
	if op.now == nil {
		op.now = time.Now
	}
}

// Issuer returns the OP's identifier.
func (op *OP) Issuer() string { return op.issuer }

// SignIn names the user whom an OP without pages signs in from now on. With "" nobody is: every authorization request
// ends with login_required.
func (op *OP) SignIn(subject string) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.autoUser = subject
}

// An Endpoint is one of the OP's, by its path below the issuer.
type Endpoint string

// The endpoints. MetadataEndpoint also stands for the place that RFC 8414 gives the same document, and
// InteractionEndpoint for all URLs to which pages post their forms.
const (
	MetadataEndpoint      Endpoint = "/.well-known/openid-configuration"
	JWKSEndpoint          Endpoint = "/jwks"
	AuthorizationEndpoint Endpoint = "/authorize"
	TokenEndpoint         Endpoint = "/token"
	UserInfoEndpoint      Endpoint = "/userinfo"
	RevocationEndpoint    Endpoint = "/revoke"
	EndSessionEndpoint    Endpoint = "/logout"
	InteractionEndpoint   Endpoint = "/interaction"
	PushedEndpoint        Endpoint = "/par" // RFC 9126
)

// oauthMetadataPath is where RFC 8414, 3.1 puts the metadata: before the issuer's path, not behind it.
const oauthMetadataPath = "/.well-known/oauth-authorization-server"

// EndpointURL returns the address of an endpoint.
func (op *OP) EndpointURL(e Endpoint) string { return op.origin + op.prefix + string(e) }

func (op *OP) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(methods string, e Endpoint, h http.HandlerFunc) {
		for method := range strings.SplitSeq(methods, " ") {
			mux.Handle(method+" "+op.prefix+string(e), h)
		}
	}
	handle("GET", MetadataEndpoint, op.serveMetadata)
	mux.HandleFunc("GET "+oauthMetadataPath+op.prefix, op.serveMetadata)
	handle("GET", JWKSEndpoint, op.serveJWKS)
	handle("GET POST", AuthorizationEndpoint, op.page(op.authorize))
	handle("POST", InteractionEndpoint+"/{id}", op.page(op.interact))
	handle("POST", PushedEndpoint, op.api(op.push))
	handle("POST", TokenEndpoint, op.api(op.token))
	handle("GET POST", UserInfoEndpoint, op.api(op.userInfo))
	handle("POST", RevocationEndpoint, op.api(op.revoke))
	handle("GET POST", EndSessionEndpoint, op.page(op.endSession))
	return mux
}

// endpoint names the endpoint that a request path belongs to.
func (op *OP) endpoint(path string) Endpoint {
	if path == oauthMetadataPath+op.prefix {
		return MetadataEndpoint
	}
	e := Endpoint(strings.TrimPrefix(path, op.prefix))
	if strings.HasPrefix(string(e), string(InteractionEndpoint+"/")) {
		return InteractionEndpoint
	}
	return e
}

// maxForm bounds the forms that the OP reads.
const maxForm = 1 << 20

// ServeHTTP records the request and answers it, through the faults that concern its endpoint.
func (op *OP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	e := op.endpoint(r.URL.Path)
	op.record(e, r)

	var h http.Handler = op.mux
	for _, f := range slices.Backward(op.activeFaults(r)) {
		if f.reply != nil && f.endpoint == e {
			h = f.wrap(h)
		}
	}
	h.ServeHTTP(w, r)
}
