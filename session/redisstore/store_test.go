//go:build !short

package redisstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/secret"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// TestMain lets the client library's probes of a dead server be, which end up to a second after Close.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func open(t *testing.T, url string, opts redisstore.Options) *redisstore.Store {
	t.Helper()
	store, err := redisstore.Open(url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// aclRule is the rule for a user in session/README.md.
func aclRule(t *testing.T, user string) string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(readme)) {
		if rule := strings.TrimSpace(line); strings.HasPrefix(rule, "user "+user+" ") {
			return rule
		}
	}
	t.Fatal("session/README.md has no line that begins with: user " + user)
	return ""
}

// aclFile gives the user of the README's rule the password "first".
func aclFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.acl")
	write(t, file, strings.Replace(aclRule(t, "cloakroom"), ">PASSWORD", ">first", 1)+"\nuser default on >admin ~* &* +@all\n")
	return file
}

// TestStore is the whole contract, as a user who may do what the rule in the README allows, and no more (SES-10).
func TestStore(t *testing.T) {
	server := sessiontest.Redis(t, "--aclfile", aclFile(t))
	opts := redisstore.Options{Username: "cloakroom", Password: secret.New("first")}
	sessiontest.Run(t, func(t *testing.T) session.Store {
		opts := opts
		opts.Prefix = "cloakroom:" + t.Name() + ":"
		return open(t, server.URL, opts)
	})
	opts.Prefix = "elsewhere:"
	if err := open(t, server.URL, opts).Consume(t.Context(), "x", time.Minute); err == nil {
		t.Error("a key outside of the prefix is allowed")
	}
}

// TestTLSStore is the whole contract over TLS.
func TestTLSStore(t *testing.T) {
	certs := sessiontest.NewCerts(t)
	server := sessiontest.RedisTLS(t, certs, "--aclfile", aclFile(t))
	opts := secured(t, certs)
	sessiontest.Run(t, func(t *testing.T) session.Store {
		opts := opts
		opts.Prefix = "cloakroom:" + t.Name() + ":"
		return open(t, server.URL, opts)
	})
}

// TestTLS is SES-10 on the wire: both sides show a certificate, and the user a password.
func TestTLS(t *testing.T) {
	certs := sessiontest.NewCerts(t)
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	write(t, password, "first\n")
	server := sessiontest.RedisTLS(t, certs, "--aclfile", aclFile(t))
	opts := redisstore.Options{
		Username: "cloakroom", PasswordFile: password,
		CAFile: certs.CA, CertFile: certs.ClientCert, KeyFile: certs.ClientKey,
	}
	store := open(t, server.URL, opts)
	ping(t, store)
	if err := store.Consume(t.Context(), "x", time.Minute); err != nil {
		t.Errorf("Consume: %v", err)
	}

	refused := func(name string, opts redisstore.Options) {
		t.Helper()
		err := open(t, server.URL, opts).Ping(t.Context())
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "marker") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
	other := opts
	other.PasswordFile = filepath.Join(dir, "wrong")
	write(t, other.PasswordFile, "marker-wrong")
	refused("a wrong password", other)
	other = opts
	other.CAFile = ""
	refused("a server certificate that nobody vouches for", other)
	other = opts
	other.CertFile, other.KeyFile = "", ""
	refused("no client certificate", other)
	other = opts
	other.PasswordFile, other.Password = "", secret.New("marker-wrong")
	refused("a wrong password that is not in a file", other)
	server.URL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	refused("a server certificate for another host", opts)
}

// TestClientCertificateIsReadAgain: it can be renewed without a restart.
func TestClientCertificateIsReadAgain(t *testing.T) {
	certs, others := sessiontest.NewCerts(t), sessiontest.NewCerts(t)
	server := sessiontest.RedisTLS(t, certs)
	dir := t.TempDir()
	opts := redisstore.Options{
		CAFile: certs.CA, CertFile: filepath.Join(dir, "client.pem"), KeyFile: filepath.Join(dir, "client.key"),
	}
	use := func(certs sessiontest.Certs) {
		t.Helper()
		for to, from := range map[string]string{opts.CertFile: certs.ClientCert, opts.KeyFile: certs.ClientKey} {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			write(t, to, string(text))
		}
	}
	use(others)
	store := open(t, server.URL, opts)
	if err := store.Ping(t.Context()); err == nil {
		t.Error("the server takes a certificate that it does not know")
	}
	use(certs)
	ping(t, store)
}

// TestPasswordFileIsReadAgain: a password can be changed without a restart.
func TestPasswordFileIsReadAgain(t *testing.T) {
	server := sessiontest.Redis(t, "--requirepass", "first")
	password := filepath.Join(t.TempDir(), "password")
	write(t, password, "first")
	store := open(t, server.URL, redisstore.Options{PasswordFile: password})
	ping(t, store)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr, Password: "first"})
	defer admin.Close()
	if err := admin.ConfigSet(t.Context(), "requirepass", "second").Err(); err != nil {
		t.Fatal(err)
	}
	write(t, password, "second")
	if err := admin.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	ping(t, store)

	write(t, password, "") // as it is while it is being written
	if err := admin.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	if err := store.Ping(t.Context()); err == nil {
		t.Error("no password is needed")
	}
	write(t, password, "second")
	ping(t, store)
}

// TestServerComesBack: calls fail fast while it is away, and work when it is there again; watchers look then.
func TestServerComesBack(t *testing.T) {
	server := sessiontest.Redis(t)
	store := open(t, server.URL, redisstore.Options{})
	ping(t, store)
	server.Stop()
	begin := time.Now()
	if err := store.Ping(t.Context()); err == nil {
		t.Error("the server is stopped and answers")
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v to notice", took)
	}
	changed, stop := store.Watch("some session")
	defer stop()
	server.Start()
	ping(t, store)
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("the watcher was not told that it may have missed something")
	}
}

// TestDeleteIsRepeated: one attempt without an answer does not cost the logout.
func TestDeleteIsRepeated(t *testing.T) {
	t.Parallel()
	server := sessiontest.Redis(t)
	store := open(t, server.URL, redisstore.Options{})
	rec := session.Record{ID: "id", Version: 1, Sealed: []byte("x"), Issuer: "i", Subject: "s"}
	terms := session.Terms{Keep: time.Hour, KeepActivity: time.Hour, Due: time.Now()}
	if err := store.Create(t.Context(), rec, terms); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	defer time.AfterFunc(650*time.Millisecond, server.Resume).Stop()
	if _, err := store.Delete(t.Context(), rec.ID, session.ReasonLogout); err != nil {
		t.Error(err)
	}
	_, _, err := store.Load(t.Context(), rec.ID)
	if gone, ok := errors.AsType[*session.Gone](err); !ok || gone.Reason != session.ReasonLogout {
		t.Errorf("the session is still there: %v", err)
	}
}

// TestTimesToLive: the record's is set once, at creation; a tombstone stays for an hour.
func TestTimesToLive(t *testing.T) {
	server := sessiontest.Redis(t)
	store := open(t, server.URL, redisstore.Options{})
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	want := func(key string, want time.Duration) {
		t.Helper()
		if got := client.PTTL(t.Context(), key).Val(); got > want || got < want-time.Minute {
			t.Errorf("%s stays for %v, want %v", key, got, want)
		}
	}
	rec := session.Record{ID: "id", Version: 1, Sealed: []byte("x"), Issuer: "i", Subject: "s", SID: "sid"}
	terms := session.Terms{Keep: 12 * time.Hour, KeepActivity: time.Hour, Due: time.Now()}
	if err := store.Create(t.Context(), rec, terms); err != nil {
		t.Fatal(err)
	}
	rec.Version = 2
	if err := store.Update(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	want("cloakroom:rec:{id}", 12*time.Hour)
	want("cloakroom:act:{id}", time.Hour)
	want("cloakroom:"+string(session.SubjectIndex("i", "s")), 12*time.Hour)
	want("cloakroom:"+string(session.SIDIndex("i", "sid")), 12*time.Hour)
	if _, err := store.Delete(t.Context(), "id", session.ReasonLogout); err != nil {
		t.Fatal(err)
	}
	want("cloakroom:dead:{id}", session.TombstoneLife)
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) != 1 {
		t.Errorf("left behind: %v", keys)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func ping(t *testing.T, store session.Store) {
	t.Helper()
	if err := store.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}
