package redisstore_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session/redisstore"
)

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url  string
		opts redisstore.Options
		want string
	}{
		{"redis://:marker\x7f@127.0.0.1", redisstore.Options{}, "the store URL is malformed"},
		{"redis://127.0.0.1", redisstore.Options{CAFile: file}, "begins with rediss"},
		{"rediss://127.0.0.1", redisstore.Options{CAFile: file}, "holds no certificate"},
		{"rediss://127.0.0.1", redisstore.Options{CAFile: file + "x"}, "no such file"},
		{"rediss://127.0.0.1", redisstore.Options{CertFile: file}, "client certificate"},
		{"redis://127.0.0.1", redisstore.Options{PasswordFile: file + "x"}, "no such file"},
	} {
		store, err := redisstore.Open(test.url, test.opts)
		if err == nil {
			_ = store.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "marker") {
			t.Errorf("%q: error %v, want %q", test.url, err, test.want)
		}
	}
}

// TestOpenLogs: what the client library has to say is in the log, once.
func TestOpenLogs(t *testing.T) {
	var lines bytes.Buffer
	store, err := redisstore.Open("redis+sentinel://127.0.0.1:1/one", redisstore.Options{
		Logger: slog.New(slog.NewJSONHandler(&lines, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Ping(t.Context()); err == nil {
		t.Error("nobody is there and Ping says nothing")
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if got := strings.Count(lines.String(), "GetMasterAddrByName"); got != 1 {
		t.Errorf("it is there %d times:\n%s", got, lines.String())
	}
}

// TestOpenDoesNotConnect: a gateway starts while Redis is down.
func TestOpenDoesNotConnect(t *testing.T) {
	begin := time.Now()
	store, err := redisstore.Open("redis://127.0.0.1:1", redisstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 100*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if err := store.Ping(t.Context()); err == nil {
		t.Error("nobody is there and Ping says nothing")
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
