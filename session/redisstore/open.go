package redisstore

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cloakroom/cloakroom/session/secret"
)

// A call is decided within budget, attempts and pauses included; an attempt gives up before, so that one lost packet
// or dead connection does not cost the call.
const (
	budget         = 900 * time.Millisecond
	attemptTimeout = 500 * time.Millisecond
)

// Options are what does not belong into a URL. The zero value is fine.
type Options struct {
	Username     string        // of an ACL user; instead of the URL's
	Password     secret.String // instead of the URL's
	PasswordFile string        // read at every new connection, so that a password can be changed without a restart
	CAFile       string        // PEM, instead of the system's roots; rediss only
	CertFile     string        // PEM client certificate, with KeyFile; rediss only
	KeyFile      string
	Prefix       string // of all keys and of the channel; "cloakroom:" if empty
}

// Open makes a Store of redis://[user[:password]@]host[:port][/db] or, with TLS, rediss://... It reads the files but
// does not connect: that the server is down is for [Store.Ping] to find. Close it.
func Open(rawURL string, opts Options) (*Store, error) {
	clientOpts, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if clientOpts.TLSConfig, err = tlsConfig(clientOpts.TLSConfig, opts); err != nil {
		return nil, err
	}
	if opts.Username != "" {
		clientOpts.Username = opts.Username
	}
	if !opts.Password.IsZero() {
		clientOpts.Password = opts.Password.Reveal()
	}
	if opts.PasswordFile != "" {
		if _, err := readPassword(opts.PasswordFile); err != nil {
			return nil, err
		}
		username := clientOpts.Username
		clientOpts.CredentialsProviderContext = func(context.Context) (string, string, error) {
			password, err := readPassword(opts.PasswordFile)
			return username, password, err
		}
	}

	clientOpts.ContextTimeoutEnabled = true
	clientOpts.MaxRetries = -1 // retries are ours: some calls must not be repeated (RED-01)
	clientOpts.DialerRetries = 1
	clientOpts.DialTimeout = attemptTimeout
	clientOpts.ReadTimeout = attemptTimeout
	clientOpts.WriteTimeout = attemptTimeout
	clientOpts.PoolTimeout = attemptTimeout
	clientOpts.DisableIdentity = true // CLIENT is not among the commands that the ACL user needs
	clientOpts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	quiet()

	prefix := opts.Prefix
	if prefix == "" {
		prefix = "cloakroom:"
	}
	s := &Store{client: redis.NewClient(clientOpts), prefix: prefix}
	s.listen()
	return s, nil
}

// parseURL reads less than redis.ParseURL does: no options in the query, which could turn checks off. Its errors do
// not repeat the URL, which may hold a password.
func parseURL(rawURL string) (*redis.Options, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("the store URL is malformed")
	}
	opts := &redis.Options{}
	switch u.Scheme {
	case "redis":
	case "rediss":
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	default:
		return nil, errors.New("the store URL must begin with redis:// or rediss://")
	}
	if u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the store URL must be redis://[user[:password]@]host[:port][/db] and nothing more")
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	opts.Addr = net.JoinHostPort(u.Hostname(), port)
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		if opts.DB, err = strconv.Atoi(db); err != nil || opts.DB < 0 {
			return nil, errors.New("the path of the store URL must be the number of a database")
		}
	}
	if u.User != nil {
		opts.Username = u.User.Username()
		opts.Password, _ = u.User.Password()
	}
	return opts, nil
}

// tlsConfig adds the files to the configuration of a rediss URL, which is nil for a redis URL.
func tlsConfig(config *tls.Config, opts Options) (*tls.Config, error) {
	if config == nil {
		if opts.CAFile != "" || opts.CertFile != "" || opts.KeyFile != "" {
			return nil, errors.New("certificates need a store URL that begins with rediss://")
		}
		return nil, nil
	}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(0) // a pool that fills again shakes hands once
	if opts.CAFile != "" {
		pem, err := os.ReadFile(opts.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", opts.CAFile)
		}
	}
	if opts.CertFile != "" || opts.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(opts.CertFile, opts.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate for Redis: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func readPassword(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return string(bytes.TrimRight(text, "\r\n")), nil
}

// quiet turns the client library's own log off. It is one for the whole process, without levels or fields, and what it
// says about calls comes back as their errors.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

// Printf implements the logger of go-redis.
func (silence) Printf(context.Context, string, ...any) {}
