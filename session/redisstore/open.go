package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cloakroom/cloakroom/session/secret"
)

// A call is decided within budget, attempts, redirects and pauses included; an attempt gives up before, so that one
// lost packet or dead connection does not cost the call.
const (
	budget         = 900 * time.Millisecond
	attemptTimeout = 500 * time.Millisecond
)

const (
	// maxRedirects is how often an attempt follows a Cluster that has moved a slot (MOVED, ASK), or asks again.
	maxRedirects = 3
	// topologyAge is how old the picture of a Cluster gets before a call has it renewed, in the background. A dead
	// primary says nothing that would: this much, and the budget, is added to the time a Cluster needs to replace it.
	topologyAge = time.Second
)

// Options are what does not belong into a URL. The zero value is fine. Files are read when a store is opened, to find
// mistakes, and, but for CAFile and SentinelPassword, again at every new connection, so that they can be changed
// without a restart.
type Options struct {
	Username         string        // of an ACL user; instead of the URL's
	Password         secret.String // instead of the URL's
	PasswordFile     string        // instead of Password
	SentinelUsername string        // of an ACL user of the Sentinels, which is not the servers'
	SentinelPassword secret.String // none: Sentinels are asked without
	CAFile           string        // PEM, instead of the system's roots; TLS only
	CertFile         string        // PEM client certificate, with KeyFile; TLS only
	KeyFile          string
	Prefix           string       // of all keys and of the channel; "cloakroom:" if empty
	Logger           *slog.Logger // also for what the client library has to say; nil: discarded
}

// Open makes a Store of a [URL]. It reads the files but does not connect: that the server is down is for [Store.Ping]
// to find. Close it.
func Open(rawURL string, opts Options) (*Store, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the store URL %w", err)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := newClient(u, opts)
	if err != nil {
		return nil, err
	}
	s := &Store{client: client, prefix: opts.Prefix, feeds: feeds{log: opts.Logger}}
	if s.prefix == "" {
		s.prefix = "cloakroom:"
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stopListening = cancel
	s.listening.Go(func() { s.listen(ctx) })
	return s, nil
}

func newClient(u *URL, opts Options) (redis.UniversalClient, error) {
	config, err := tlsConfig(u, opts)
	if err != nil {
		return nil, err
	}
	all := &redis.UniversalOptions{
		Addrs: u.Hosts, MasterName: u.Primary, DB: u.Database, TLSConfig: config,
		Username: u.Username, Password: u.Password.Reveal(),
		SentinelUsername: opts.SentinelUsername, SentinelPassword: opts.SentinelPassword.Reveal(),

		ContextTimeoutEnabled: true,
		MaxRetries:            -1, // retries are ours: some calls must not be repeated (RED-01)
		MaxRedirects:          maxRedirects,
		DialerRetries:         1,
		DialTimeout:           attemptTimeout,
		ReadTimeout:           attemptTimeout,
		WriteTimeout:          attemptTimeout,
		PoolTimeout:           attemptTimeout,

		Protocol:                 2,    // with 3, each call looks for pushed messages first; only the feed gets any
		DisableIdentity:          true, // CLIENT SETINFO is not among the commands that the ACL user needs
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if opts.Username != "" {
		all.Username = opts.Username
	}
	if !opts.Password.IsZero() {
		all.Password = opts.Password.Reveal()
	}
	if opts.PasswordFile != "" {
		if _, err := readPassword(opts.PasswordFile); err != nil {
			return nil, err
		}
		username := all.Username
		all.CredentialsProviderContext = func(context.Context) (string, string, error) {
			password, err := readPassword(opts.PasswordFile)
			return username, password, err
		}
	}
	logTo(opts.Logger)

	switch u.plainScheme() {
	case sentinelScheme:
		all.OnConnect = refuseReplica
		return redis.NewFailoverClient(all.Failover()), nil
	case clusterScheme:
		cluster := all.Cluster()
		cluster.ClusterStateReloadInterval = topologyAge
		cluster.DisableRoutingPolicies = true // they would need COMMAND; every call of ours names a key
		return redis.NewClusterClient(cluster), nil
	default:
		return redis.NewClient(all.Simple()), nil
	}
}

// refuseReplica keeps reads on the primary (RED-03): a Sentinel that has missed a failover still names the old one,
// which serves what it had. Sentinels, which have no role, are connected to in the same way.
func refuseReplica(ctx context.Context, conn *redis.Conn) error {
	hello := redis.NewMapStringInterfaceCmd(ctx, "hello") // without a version it changes nothing
	if err := conn.Process(ctx, hello); err != nil {
		return err
	}
	if hello.Val()["role"] == "replica" {
		return errors.New("the server that the Sentinels named is not the primary any more")
	}
	return nil
}

// readPassword refuses an empty file, as it is for a moment while it is written: without a password the client library
// would not sign in, and keep the connection.
func readPassword(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 {
		return "", fmt.Errorf("%s is empty; write the password into it", file)
	}
	return string(text), nil
}
