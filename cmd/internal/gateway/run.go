package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// After the signal to stop, requests in flight may go on for drainTime. Refreshes behind them have settleTime more: a
// refresh token that has rotated must be stored.
const (
	drainTime  = 25 * time.Second
	settleTime = 10 * time.Second
)

// Run serves until ctx ends, then drains: it takes no new connections and lets requests and refreshes in flight finish.
// A request that is not over in time, an event stream most likely, is cut off; that is no error.
func (g *Gateway) Run(ctx context.Context) error {
	public, err := g.listen()
	if err != nil {
		return err
	}
	servers := []*http.Server{g.newServer(g.Handler())}
	listeners := []net.Listener{public}
	if g.config.Admin.Listen != "" {
		admin, err := g.config.Admin.listen()
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
	group.Go(func() error { return ignoreCanceled(g.keys.Run(work)) })

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
	close(g.draining)
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
		if listener, err = listenTCP(g.config.Listen, stallTime); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	if g.tls == nil {
		return listener, nil
	}
	return tls.NewListener(listener, g.tls), nil
}

// config reads the certificate of the public listener. It is nil without one.
func (t TLS) config() (*tls.Config, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	certificate, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("%w; name a certificate in tls.cert_file and its own private key in tls.key_file, both PEM", err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}, nil
}

// maxStreams is how many requests of one HTTP/2 connection may be under way. A client that resets them and sends others,
// time and again, has no more handlers than that at work for it, and is cut off (CVE-2023-44487).
const maxStreams = 250

// newServer bounds what a slow or hostile client can hold (PX-17, PX-34). Bodies have no deadline here: uploads and
// event streams may last; limitBody and limitAnswer see to the others.
func (g *Gateway) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		// Or net/http would answer OPTIONS * by itself, before any check of ours.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
	}
}

// announce says where the gateway is, and what has to be registered at each provider, to the letter.
func (g *Gateway) announce(listeners []net.Listener) {
	g.log.Info("serving", "public_url", g.origin, "listen", listeners[0].Addr().String())
	if len(listeners) > 1 {
		g.log.Info("serving health and metrics", "listen", listeners[1].Addr().String(), "sessions_by", g.admin.access.way)
	}
	for i, p := range g.config.Providers {
		attrs := []any{
			"provider", p.Name, "issuer", p.Issuer, "client_id", p.ClientID,
			"redirect_uri", g.urls.Callback(p.Name, i == 0),
			"post_logout_redirect_uri", g.urls.LogoutCallback(),
			"backchannel_logout_uri", g.urls.BackchannelLogout(),
			"token_endpoint_auth_method", p.ClientAuth, "id_token_signed_response_alg", p.IDTokenSigningAlg,
		}
		if user, _ := p.keyUser(); user != "" {
			attrs = append(attrs, "jwks_uri", g.urls.JWKS(p.Name, len(g.config.Providers) == 1))
		}
		if g.config.Login.ThirdParty {
			attrs = append(attrs, "initiate_login_uri", g.urls.InitiateLogin())
		}
		if g.config.Logout.Frontchannel {
			attrs = append(attrs, "frontchannel_logout_uri", g.urls.FrontchannelLogout(), "frontchannel_logout_session_required", true)
		}
		g.log.Info("register this at the provider", attrs...)
	}
}
