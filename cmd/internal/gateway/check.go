package gateway

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
)

// checkTimeout bounds the question to one provider or to the store.
const checkTimeout = 20 * time.Second

// Check is the command `cloakroom check`: it tries everything that a gateway with this configuration file depends on,
// and writes a line for each, beginning with ok or FAIL. Offline it asks nothing of the network. It reports whether
// all is well.
func Check(ctx context.Context, file string, w io.Writer, offline bool) bool {
	c := &checklist{w: w, ok: true}
	config, err := Load(file)
	if wrong, bad := errors.AsType[Errors](err); bad {
		for _, one := range wrong {
			c.note("configuration", "", one)
		}
		return false
	}
	c.note("configuration", file, nil)
	c.keyRing(config.Session)
	c.certificate(config.TLS)
	for _, route := range config.Routes {
		c.folder(route)
	}
	c.routes(config.Routes, config.PublicURL)
	urls := bff.URLs{Public: config.PublicURL, BasePath: config.BasePath}
	clients := make([]*rp.Client, len(config.Providers))
	for i := range config.Providers {
		clients[i] = c.provider(ctx, &config.Providers[i], urls, i == 0, offline)
	}
	if err := config.refuseCopiedKeys(clients); err != nil {
		c.note("client keys", "", err)
	}
	c.store(ctx, config.Session, offline)
	return c.ok
}

// checklist writes the lines and remembers whether any of them is a FAIL.
type checklist struct {
	w  io.Writer
	ok bool
}

// note writes one line: what is well, or what is wrong and what to do.
func (c *checklist) note(what, good string, err error) {
	if err == nil {
		fmt.Fprintf(c.w, "ok   %s: %s\n", what, good)
		return
	}
	c.ok = false
	fmt.Fprintf(c.w, "FAIL %s: %s\n", what, strings.ReplaceAll(err.Error(), "\n", "; "))
}

func (c *checklist) keyRing(s Session) {
	_, err := keyRing(s, slog.New(slog.DiscardHandler))
	good := s.KeysFile
	if good == "" {
		good = "a new key at each start, as sessions are in memory"
	}
	c.note("session keys", good, err)
}

func (c *checklist) certificate(t TLS) {
	if t.CertFile == "" {
		return
	}
	_, err := t.config()
	c.note("TLS certificate", t.CertFile, err)
}

// folder finds the front-end that was not built yet. That the folder exists is part of loading the configuration.
func (c *checklist) folder(route Route) {
	if route.Static == nil {
		return
	}
	files, err := fs.ReadDir(route.Static, ".")
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s is empty; build the front-end first", route.StaticDir)
	}
	c.note("route "+route.Path, route.StaticDir, err)
}

// routes builds what serve will build of them.
func (c *checklist) routes(routes []Route, public *url.URL) {
	list := proxyRoutes(routes)
	_, err := proxy.NewTable(list)
	if err == nil {
		_, err = proxy.New(proxy.Options{Routes: list, PublicURL: public, OwnCookie: func(string) bool { return false }})
	}
	c.note("routes", fmt.Sprintf("%d", len(routes)), err)
}

func (c *checklist) store(ctx context.Context, s Session, offline bool) {
	if s.Store == "memory:" {
		c.note("store", "memory:", nil)
		return
	}
	store, err := openRedis(s, slog.New(slog.DiscardHandler))
	if err != nil {
		c.note("store", "", err)
		return
	}
	defer store.Close()
	if offline {
		c.note("store", "not asked, because of -offline", nil)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err = tryStore(ctx, store); err != nil {
		err = fmt.Errorf("%s: %w%s", s.Store, err, storeHint(s, err))
	}
	c.note("store", s.Store, err)
}

// tryStore asks for more than a ping, which needs hardly any permission: it looks for a session that does not
// exist, and writes one key that is gone after a second.
func tryStore(ctx context.Context, store session.Store) error {
	if err := store.Ping(ctx); err != nil {
		return err
	}
	name := "check-" + rand.Text()
	if _, _, err := store.Load(ctx, session.ID(name)); storeFailed(err) {
		return err
	}
	return store.Consume(ctx, name, time.Second)
}

// storeHint says what to do about a store that does not answer as it should.
func storeHint(s Session, err error) string {
	scheme, _, _ := strings.Cut(s.Store, "://")
	kind, encrypted := strings.CutPrefix(scheme, "rediss")
	if !encrypted {
		kind = strings.TrimPrefix(scheme, "redis")
	}
	switch text := err.Error(); {
	case strings.HasPrefix(text, "NOPERM"):
		return "; give the user the ACL rule of session/README.md"
	case strings.HasPrefix(text, "READONLY"):
		return "; name the primary in session.store, not a replica"
	case strings.HasPrefix(text, "MOVED"):
		return "; that is a node of a Cluster: write " + scheme + "+cluster:// in session.store"
	case errors.Is(err, redisstore.ErrNoPrimary):
		return "; correct the name after the hosts of session.store"
	case strings.Contains(text, "cluster support disabled"):
		return "; that is no node of a Cluster: write " + strings.TrimSuffix(scheme, kind) + ":// in session.store"
	case strings.Contains(text, "ERR unknown command") && kind == "+sentinel":
		return "; session.store must name Sentinels, which listen on a port of their own"
	case strings.HasPrefix(text, "ERR unknown command"):
		return "; write " + scheme + "+sentinel:// in session.store if that is a Sentinel"
	case isCutOff(err) && !encrypted:
		return "; write rediss" + kind + ":// in session.store if that port is for TLS"
	case errors.Is(err, context.DeadlineExceeded) && encrypted:
		return "; start it, let this machine reach it, or write redis" + kind +
			":// in session.store if that port is not for TLS"
	}
	alert, ok := errors.AsType[*net.OpError](err)
	if ok && alert.Op == "remote error" || isCutOff(err) { // as crypto/tls calls an alert, which may come too late to be seen
		return "; it may want a client certificate: name one in session.redis.cert_file and its key in key_file"
	}
	return hint(err, "correct session.store or session.redis")
}

// isCutOff reports whether a server that was there has closed the connection at our first words.
func isCutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// hint says what to do about a failed connection, which errors do not, or else what is given.
func hint(err error, otherwise string) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "; name the certificate of its CA in ca_file"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "; write the host name that is in its certificate"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "; correct the host name, or make it known to the resolver of this machine"
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return "; start it, correct the address, or let this machine reach it"
	}
	return "; " + otherwise
}
