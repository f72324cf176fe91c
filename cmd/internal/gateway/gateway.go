package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session"
)

// Options are what a program gives a gateway beside its configuration. The zero value is good.
type Options struct {
	Logger   *slog.Logger // default: JSON lines to standard error
	Listener net.Listener // instead of Config.Listen
	Now      func() time.Time
	Tracer   *sdktrace.TracerProvider // default: the collector that the environment names, or none
	Drain    time.Duration            // for requests in flight after the end of Run's context; default: 25 s

	store session.Store // in tests, instead of Config.Session.Store
}

// Gateway is one replica. Two in a test are two values.
type Gateway struct {
	config *Config
	log    *slog.Logger
	access *slog.Logger // a line for each request
	now    func() time.Time
	drain  time.Duration

	origin   string // of the application, as browsers write it
	urls     bff.URLs
	bff      *bff.Handler
	sessions *session.Manager
	keys     *session.KeyRing
	proxy    *proxy.Proxy
	routes   *proxy.Table

	clientTokens map[*proxy.Route]*clientToken // of the routes with token: client

	listener net.Listener
	tls      *tls.Config // nil when something in front ends TLS
	metrics  *metrics
	tracing  *tracing
	audit    *audit
	health   *health
	admin    *admin
	draining chan struct{} // closed when requests in flight have to come to their end
	closers  []func() error
}

// New builds a gateway. It reads the key ring and certificates, and asks nothing of the network: a provider or a store
// that is down does not keep a gateway from starting.
func New(cfg *Config, o Options) (*Gateway, error) {
	if err := cfg.Validate(); err != nil { // again for a file, and for the first time for what a program filled in
		return nil, err
	}
	g := &Gateway{
		config: cfg, log: o.Logger, now: o.Now, listener: o.Listener, origin: originOf(cfg.PublicURL),
		draining: make(chan struct{}),
	}
	if g.log == nil {
		g.log = NewLogger(os.Stderr)
		if !isTerminal(os.Stderr) {
			lines := &batch{w: os.Stderr}
			g.access = NewLogger(lines)
			g.closers = append(g.closers, lines.Close)
		}
	}
	if g.access == nil {
		g.access = g.log
	}
	if g.now == nil {
		g.now = time.Now
	}
	g.drain = cmp.Or(o.Drain, drainTime)
	g.urls = bff.URLs{Public: cfg.PublicURL, BasePath: cfg.BasePath}
	g.metrics = newMetrics()
	g.audit = &audit{log: g.log, metrics: g.metrics}

	var err error
	if g.tracing, err = newTracing(o.Tracer, os.LookupEnv); err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	if g.tls, err = cfg.TLS.config(); err != nil {
		return nil, err
	}
	providers, err := g.newProviders()
	if err != nil {
		return nil, err
	}
	if g.keys, err = keyRing(cfg.Session, g.log); err != nil {
		return nil, err
	}
	access, err := newAdminAccess(cfg.Admin)
	if err != nil {
		return nil, err
	}
	store := o.store
	if store == nil {
		if store, err = g.newStore(); err != nil {
			return nil, err
		}
	}
	g.sessions = session.NewManager(&observedStore{Store: store, tracing: g.tracing, metrics: g.metrics}, g.keys, session.Options{
		IdleTimeout:   cfg.Session.IdleTimeout,
		Lifetime:      cfg.Session.Lifetime,
		RefreshBefore: cfg.Session.RefreshBefore,
		RevokeTokens:  cfg.Logout.RevokeTokens,
		PerUserLimit:  cfg.Session.PerUserLimit,
		MaxRequests:   cfg.Session.MaxRequests,
		CacheSize:     cachedSessions,
		Uncached:      !cfg.Session.Cache,
		Refresher:     bff.NewRefresher(providers),
		Now:           g.now,
		Logger:        g.log,
		OnEvent:       g.audit.session,
	})
	g.bff = bff.New(bff.Options{
		URLs:                g.urls,
		Providers:           providers,
		Sessions:            g.sessions,
		Keys:                g.keys,
		SameSite:            sameSite(cfg.Session.SameSite),
		Claims:              cfg.Session.Claims,
		PostLogoutReturnURL: cfg.Logout.PostLogoutReturnURL,
		ThirdPartyLogin:     cfg.Login.ThirdParty,
		IDTokenHint:         cfg.Logout.IDTokenHint,
		PostToProvider:      cfg.Logout.Method == "post",
		Frontchannel:        cfg.Logout.Frontchannel,
		ClearSiteData:       cfg.Logout.ClearSiteData,
		Now:                 g.now,
		Logger:              g.log,
		AdmitPush:           admitPush(g.now),
		AdmitLogoutToken:    newLogoutTokens(g.now).admit,
		Draining:            g.draining,

		OnLoginFailed:        g.audit.loginFailed,
		OnLogoutTokenRefused: g.audit.logoutTokenRefused,
	})
	g.newClientTokens(providers)
	if err := g.newProxy(); err != nil {
		return nil, err
	}
	g.health = &health{sessions: g.sessions, providers: providers, draining: g.draining}
	g.admin = &admin{sessions: g.sessions, config: cfg, access: access, audit: g.audit}
	return g, nil
}

// cachedSessions is how many opened sessions a replica keeps in memory, at a few kilobytes each.
const cachedSessions = 50_000

// keyRing reads the key ring. Sessions in memory end with the process, and so may their keys.
func keyRing(s Session, log *slog.Logger) (*session.KeyRing, error) {
	if s.KeysFile == "" {
		return session.NewKeyRing(), nil
	}
	ring, err := session.OpenKeyRing(s.KeysFile, log)
	if errors.Is(err, fs.ErrNotExist) { // where there is a file, a new ring in its place would sign everybody out
		return nil, fmt.Errorf("session.keys_file: %w; write the output of `cloakroom keygen session` into that file", err)
	}
	if err != nil {
		return nil, fmt.Errorf("session.keys_file: %w", err)
	}
	return ring, nil
}

// ReloadKeys reads the key ring again at once. Run does so by itself, within seconds, when its file has changed.
func (g *Gateway) ReloadKeys() { g.keys.Reload() }

func (g *Gateway) newProxy() error {
	routes := proxyRoutes(g.config.Routes)
	var err error
	if g.routes, err = proxy.NewTable(routes); err != nil {
		return err
	}
	g.proxy, err = proxy.New(proxy.Options{
		Routes:         routes,
		PublicURL:      g.config.PublicURL,
		OwnCookie:      g.bff.OwnCookie,
		SessionCookie:  g.bff.SessionCookie(),
		TrustedProxies: g.config.TrustedProxies,
		Transport:      g.tracing.transport("upstream", proxy.NewTransport(), true),
		Bind:           g.bind,
		Renew:          g.renewToken,
		Draining:       g.draining,
		Logger:         g.log,
	})
	return err
}

func (g *Gateway) bind(s *session.Session, end context.CancelCauseFunc) (proxy.Bond, error) {
	bond, err := g.sessions.Bind(s, end)
	if err != nil {
		return nil, err // and not a nil *Bond
	}
	return bond, nil
}

func proxyRoutes(routes []Route) []*proxy.Route {
	list := make([]*proxy.Route, len(routes))
	for i := range routes {
		list[i] = &routes[i].Route
	}
	return list
}

func sameSite(name string) http.SameSite {
	if name == "lax" {
		return http.SameSiteLaxMode
	}
	return http.SameSiteStrictMode
}
