package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cloakroom/cloakroom/cmd/internal/gateway"
)

const defaultListen = "127.0.0.1:8080"

// Options are what a person may choose.
type Options struct {
	// Listen is the loopback address of the first application, by default 127.0.0.1:8080. The second one gets the
	// port after it if that is free.
	Listen string
	Out    io.Writer // gets three lines: where to go, as whom to sign in, how to stop
}

// Run serves the demo until ctx ends. It returns nil then, and an error if anything could not start or broke down.
func Run(ctx context.Context, o Options) error {
	l, err := listen(o.Listen)
	if err != nil {
		return err
	}
	defer l.close()
	first, second := firstApp(l.first), secondApp(l.second)
	issuer := "http://" + l.op.Addr().String()
	op, err := newOP(issuer, first, second)
	if err != nil {
		return err
	}

	// Only what is wrong, so that the three lines stay in view.
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, l.op, op) })
	group.Go(func() error {
		keys, err := discoverKeys(ctx, http.DefaultClient, issuer, time.Now)
		if err != nil {
			return err
		}
		orders := newOrdersAPI(&verifier{issuer: issuer, audience: ordersAudience, keys: keys, now: time.Now})
		group.Go(func() error { return serve(ctx, l.api, apiHandler(orders, issuer, first, second)) })
		var gateways []*gateway.Gateway
		for _, app := range []*application{first, second} {
			g, err := gateway.New(app.config(issuer, l.api.Addr()), gateway.Options{Logger: log, Listener: app.listener})
			if err != nil {
				return err
			}
			group.Go(func() error { return g.Run(ctx) })
			gateways = append(gateways, g)
		}
		for _, g := range gateways {
			if err := g.WaitReady(ctx); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(o.Out, "open %s\nsign in as alice or bob, there is no password\nstop with Ctrl-C\n", first.url)
		return err
	})
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// listeners are opened before anything starts, so that each party knows the addresses of the others.
type listeners struct{ first, second, op, api net.Listener }

func listen(address string) (*listeners, error) {
	host, port, err := loopback(address)
	if err != nil {
		return nil, err
	}
	var l listeners
	if l.first, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err != nil {
		return nil, fmt.Errorf("%w; choose another address with -listen", err)
	}
	next := l.first.Addr().(*net.TCPAddr).Port + 1
	if l.second, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(next))); err != nil {
		l.second, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err == nil {
		l.op, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err == nil {
		l.api, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return &l, nil
}

// close closes what is open. Whoever serves a listener closes it too; twice does no harm.
func (l *listeners) close() {
	for _, one := range []net.Listener{l.first, l.second, l.op, l.api} {
		if one != nil {
			_ = one.Close()
		}
	}
}

// loopback refuses addresses that other machines can reach: the demo has no passwords.
func loopback(address string) (host string, port int, err error) {
	if address == "" {
		address = defaultListen
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("-listen %s: write host:port, such as %s", address, defaultListen)
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", 0, fmt.Errorf("-listen %s: the demo has no passwords and listens on loopback only, such as %s",
			address, defaultListen)
	}
	if port, err = strconv.Atoi(service); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("-listen %s: the port must be a number up to 65535", address)
	}
	return host, port, nil
}

// serve answers requests until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
