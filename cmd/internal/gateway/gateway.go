package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/redisstore"
)

// After the signal to stop, requests in flight may go on for drainTime. Refreshes behind them have settleTime more: a
// refresh token that has rotated must be stored.
const (
	drainTime  = 25 * time.Second
	settleTime = 10 * time.Second
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
	now    func() time.Time
	drain  time.Duration

	origin   string // of the application, as browsers write it
	urls     bff.URLs
	bff      *bff.Handler
	sessions *session.Manager
	proxy    *proxy.Proxy
	routes   *proxy.Table

	listener net.Listener
	metrics  *metrics
	tracing  *tracing
	audit    *audit
	health   *health
	closers  []func() error
}

// New builds a gateway. It reads the key ring, certificates and the static folders, and asks nothing of the network:
// a provider or a store that is down does not keep a gateway from starting.
func New(cfg *Config, o Options) (*Gateway, error) {
	g := &Gateway{config: cfg, log: o.Logger, now: o.Now, listener: o.Listener, origin: originOf(cfg.PublicURL)}
	if g.log == nil {
		g.log = NewLogger(os.Stderr)
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
	providers, err := g.newProviders()
	if err != nil {
		return nil, err
	}
	ring, err := keyRing(cfg.Session)
	if err != nil {
		return nil, err
	}
	store := o.store
	if store == nil {
		if store, err = g.newStore(); err != nil {
			return nil, err
		}
	}
	g.sessions = session.NewManager(&observedStore{Store: store, tracing: g.tracing, metrics: g.metrics}, ring, session.Options{
		IdleTimeout:   cfg.Session.IdleTimeout,
		Lifetime:      cfg.Session.Lifetime,
		RefreshBefore: cfg.Session.RefreshBefore,
		RevokeTokens:  cfg.Logout.RevokeTokens,
		Refresher:     bff.NewRefresher(providers),
		Now:           g.now,
		Logger:        g.log,
		OnEvent:       g.audit.session,
	})
	g.bff = bff.New(bff.Options{
		URLs:                g.urls,
		Providers:           providers,
		Sessions:            g.sessions,
		Keys:                ring,
		SameSite:            sameSite(cfg.Session.SameSite),
		Claims:              cfg.Session.Claims,
		PostLogoutReturnURL: cfg.Logout.PostLogoutReturnURL,
		IDTokenHint:         cfg.Logout.IDTokenHint,
		Now:                 g.now,
		Logger:              g.log,
		OnLoginFailed:       g.audit.loginFailed,
	})
	if err := g.newProxy(); err != nil {
		return nil, err
	}
	g.health = &health{sessions: g.sessions, providers: providers}
	return g, nil
}

func (g *Gateway) newProviders() (bff.Providers, error) {
	var providers bff.Providers
	for i, p := range g.config.Providers {
		config, err := p.clientConfig(g.urls, i == 0)
		if err != nil {
			return nil, err
		}
		config.HTTPClient.Transport = g.tracing.transport("op", g.metrics.transport(p.Name, config.HTTPClient.Transport), false)
		config.Logger = g.log.With("provider", p.Name)
		config.Now = g.now
		client, err := rp.New(config)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", p.Name, err)
		}
		providers = append(providers, bff.Provider{Name: p.Name, Client: client, LoginParams: p.LoginParams})
	}
	return providers, nil
}

// clientConfig is the relying party's part of a provider's configuration.
func (p Provider) clientConfig(urls bff.URLs, first bool) (rp.Config, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // PX-18: no proxy that the configuration does not name
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if p.CAFile != "" {
		pem, err := os.ReadFile(p.CAFile)
		if err != nil {
			return rp.Config{}, fmt.Errorf("provider %s: ca_file: %w", p.Name, err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return rp.Config{}, fmt.Errorf("provider %s: ca_file: %s holds no certificate in PEM form", p.Name, p.CAFile)
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	return rp.Config{
		Issuer:                p.Issuer,
		ClientID:              p.ClientID,
		ClientAuth:            rp.ClientAuth(p.ClientAuth),
		ClientSecret:          p.ClientSecret,
		RedirectURI:           urls.Callback(p.Name, first),
		PostLogoutRedirectURI: urls.LogoutCallback(),
		Scopes:                p.Scopes,
		SigningAlg:            p.IDTokenSigningAlg,
		TrustedAudiences:      p.TrustedAudiences,
		Userinfo:              rp.UserinfoMode(p.Userinfo),
		AuthorizationParams:   p.AuthorizationParams,
		HTTPClient:            &http.Client{Transport: transport},
	}, nil
}

// keyRing reads the key ring. Sessions in memory end with the process, and so may their keys.
func keyRing(s Session) (*session.KeyRing, error) {
	if s.KeysFile == "" {
		return session.NewKeyRing(), nil
	}
	text, err := os.ReadFile(s.KeysFile)
	if err != nil {
		return nil, fmt.Errorf("session.keys_file: %w; write the output of `cloakroom keygen session` into that file", err)
	}
	ring, err := session.ParseKeyRing(text)
	if err != nil {
		return nil, fmt.Errorf("session.keys_file: %s: %w", s.KeysFile, err)
	}
	return ring, nil
}

func (g *Gateway) newStore() (session.Store, error) {
	if g.config.Session.Store == "memory:" {
		return memstore.New(), nil
	}
	store, err := openRedis(g.config.Session)
	if err != nil {
		return nil, err
	}
	g.closers = append(g.closers, store.Close)
	return store, nil
}

func openRedis(s Session) (*redisstore.Store, error) {
	store, err := redisstore.Open(s.Store, redisstore.Options{
		Username:     s.Redis.Username,
		Password:     s.Redis.Password,
		PasswordFile: s.Redis.PasswordFile,
		CAFile:       s.Redis.CAFile,
		CertFile:     s.Redis.CertFile,
		KeyFile:      s.Redis.KeyFile,
	})
	if err != nil {
		return nil, fmt.Errorf("session.store: %w", err)
	}
	return store, nil
}

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
		TrustedProxies: g.config.TrustedProxies,
		Transport:      g.tracing.transport("upstream", proxy.NewTransport(), true),
		Logger:         g.log,
	})
	return err
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

// Run serves until ctx ends, then drains: it takes no new connections and lets requests and refreshes in flight finish.
// A request that is not over in time, an event stream most likely, is cut off; that is no error.
func (g *Gateway) Run(ctx context.Context) error {
	public, err := g.listen()
	if err != nil {
		return err
	}
	servers := []*http.Server{g.newServer(g.Handler())}
	listeners := []net.Listener{public}
	if address := g.config.Admin.Listen; address != "" {
		admin, err := net.Listen("tcp", address)
		if err != nil {
			return errors.Join(fmt.Errorf("admin.listen: %w", err), public.Close())
		}
		servers, listeners = append(servers, g.newServer(g.adminHandler())), append(listeners, admin)
	}
	g.announce(listeners)

	var group errgroup.Group
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	for _, p := range g.health.providers {
		group.Go(func() error { return ignoreCanceled(p.Client.Run(work)) })
	}
	group.Go(func() error { return ignoreCanceled(g.sessions.Run(work)) })

	serving, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	for i, server := range servers {
		group.Go(func() error {
			err := server.Serve(listeners[i])
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			failed(err)
			return err
		})
	}
	<-serving.Done()

	g.log.Info("stopping; requests in flight go on", "at_most", g.drain.String())
	g.health.draining.Store(true)
	drain, cancelDrain := context.WithTimeout(context.WithoutCancel(ctx), g.drain)
	defer cancelDrain()
	var errs []error
	if err := servers[0].Shutdown(drain); errors.Is(err, context.DeadlineExceeded) {
		g.log.Warn("requests were still in flight and are cut off")
		errs = append(errs, servers[0].Close())
	} else {
		errs = append(errs, err)
	}
	settle, cancelSettle := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancelSettle()
	errs = append(errs, g.sessions.Close(settle))
	for _, server := range servers[1:] { // health and metrics answer until the end
		errs = append(errs, server.Close())
	}
	stopWork()
	errs = append(errs, group.Wait(), g.tracing.shutdown(settle))
	for _, closeIt := range g.closers {
		errs = append(errs, closeIt())
	}
	return errors.Join(errs...)
}

// WaitReady returns once the store answers and a provider is known, which Run sees to. The error is that of ctx.
func (g *Gateway) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, ready := g.health.check(ctx); ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (g *Gateway) listen() (net.Listener, error) {
	listener := g.listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", g.config.Listen); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	if g.config.TLS.CertFile == "" {
		return listener, nil
	}
	certificate, err := tls.LoadX509KeyPair(g.config.TLS.CertFile, g.config.TLS.KeyFile)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tls: %w", err), listener.Close())
	}
	return tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}), nil
}

// newServer bounds what a slow or hostile client can hold (PX-17, PX-34). Bodies have no deadline here: uploads and
// event streams may last.
func (g *Gateway) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// Or net/http would answer OPTIONS * by itself, before any check of ours.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
	}
}

// announce says where the gateway is, and what has to be registered at each provider, to the letter.
func (g *Gateway) announce(listeners []net.Listener) {
	g.log.Info("serving", "public_url", g.origin, "listen", listeners[0].Addr().String())
	if len(listeners) > 1 {
		g.log.Info("serving health and metrics", "listen", listeners[1].Addr().String())
	}
	for i, p := range g.config.Providers {
		g.log.Info("register these addresses at the provider", "provider", p.Name, "issuer", p.Issuer, "client_id", p.ClientID,
			"redirect_uri", g.urls.Callback(p.Name, i == 0),
			"post_logout_redirect_uri", g.urls.LogoutCallback(),
			"backchannel_logout_uri", g.urls.BackchannelLogout(), "note", "back-channel logout is not served by this version yet")
	}
}
