//go:build !short

package gateway

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session/sessiontest"
)

func TestCheckRedis(t *testing.T) {
	op := startOP(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("right-horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := "  redis: {password_file: " + password + "}\n"
	redis := sessiontest.Redis(t, "--requirepass", "right-horse")
	for name, test := range map[string]struct {
		store, session string
		ok             bool
		want           string
	}{
		"right password": {"redis://:right-horse@" + redis.Addr, "", true, "ok   store: redis://" + redis.Addr},
		"password file":  {"redis://" + redis.Addr, inFile, true, "ok   store: redis://" + redis.Addr},
		"wrong password": {"redis://:wrong-horse@" + redis.Addr, "", false, "FAIL store: redis://" + redis.Addr + ": WRONGPASS"},
		"no password":    {"redis://" + redis.Addr, "", false, "FAIL store: redis://" + redis.Addr + ": NOAUTH"},
	} {
		t.Run(name, func(t *testing.T) {
			lines, ok := runCheck(t, checked{issuer: op.URL, store: test.store, session: test.session}.file(t), false)
			text := strings.Join(lines, "\n")
			found := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, test.want) })
			if ok != test.ok || !found || strings.Contains(text, "-horse") {
				t.Errorf("ok is %v, want %v and a line that begins with %s:\n%s", ok, test.ok, test.want, text)
			}
		})
	}
}

// TestCheckRedisAsItIs: a server that answers a ping and is good for nothing else, and one that speaks TLS to a client
// that does not, or the other way round.
func TestCheckRedisAsItIs(t *testing.T) {
	op := startOP(t)
	folder := t.TempDir()
	users := filepath.Join(folder, "users.acl")
	if err := os.WriteFile(users, []byte("user default on nopass ~other:* &* -@all +ping +hello +hmget +get +eval +evalsha +set\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := sessiontest.Redis(t, "--aclfile", users)
	replica := sessiontest.Redis(t, "--replicaof", "127.0.0.1", "1")
	certs := sessiontest.NewCerts(t)
	encrypted := sessiontest.RedisTLS(t, certs)
	withCA := "  redis: {ca_file: " + certs.CA + "}\n"
	for name, test := range map[string]struct{ store, session, want string }{
		"another prefix":        {elsewhere.URL, "", "; give the user the ACL rule of session/README.md"},
		"replica":               {replica.URL, "", "; name the primary in session.store, not a replica"},
		"TLS not asked for":     {"redis://" + encrypted.Addr, "", "; write rediss:// in session.store if that port is for TLS"},
		"TLS not there":         {"rediss://" + replica.Addr, "", "write redis:// in session.store if that port is not for TLS"},
		"no client certificate": {encrypted.URL, withCA, "; it may want a client certificate: name one in session.redis.cert_file and its key in key_file"},
	} {
		t.Run(name, func(t *testing.T) {
			lines, ok := runCheck(t, checked{issuer: op.URL, store: test.store, session: test.session}.file(t), false)
			if line := lines[len(lines)-1]; ok || !strings.HasPrefix(line, "FAIL store: ") || !strings.HasSuffix(line, test.want) {
				t.Errorf("ok is %v, got %s\nwant it to end with %q", ok, line, test.want)
			}
		})
	}
}

// TestCheckTopologies: a URL of each kind, right, and at something of another kind.
func TestCheckTopologies(t *testing.T) {
	op := startOP(t)
	servers := sessiontest.Sentinels(t, sessiontest.SentinelOptions{SentinelPassword: "right-horse"})
	cluster := sessiontest.Cluster(t, sessiontest.ClusterOptions{})
	folder := t.TempDir()
	for name, password := range map[string]string{"right": "right-horse", "wrong": "wrong-horse"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	right, wrong := "  redis: {sentinel_password_file: "+folder+"/right}\n", "  redis: {sentinel_password_file: "+folder+"/wrong}\n"
	sentinel, server, node := servers.Sentinels[0].Addr, servers.Servers[0].Addr, cluster.Nodes[0].Addr
	for name, test := range map[string]struct{ store, session, want string }{
		"Sentinels":                 {servers.URL, right, "ok   store: " + servers.URL},
		"Cluster":                   {cluster.URL, "", "ok   store: " + cluster.URL},
		"wrong Sentinel password":   {servers.URL, wrong, "WRONGPASS"},
		"no Sentinel password":      {servers.URL, "", "NOAUTH"},
		"name of no primary":        {"redis+sentinel://" + sentinel + "/other", right, "; correct the name after the hosts of session.store"},
		"a server for a Sentinel":   {"redis+sentinel://" + server + "/mymaster", "", "; session.store must name Sentinels, which listen on a port of their own"},
		"a server for a Cluster":    {"redis+cluster://" + server, "", "; that is no node of a Cluster: write redis:// in session.store"},
		"a node for a server":       {"redis://" + node, "", "; that is a node of a Cluster: write redis+cluster:// in session.store"},
		"a Cluster that is no more": {"redis+cluster://" + nobody(t), "", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			lines, ok := runCheck(t, checked{issuer: op.URL, store: test.store, session: test.session}.file(t), false)
			line := lines[len(lines)-1]
			if ok != strings.HasPrefix(test.want, "ok") || !strings.Contains(line, test.want) || strings.Contains(line, "-horse") {
				t.Errorf("ok is %v, got %s\nwant %q in it", ok, line, test.want)
			}
		})
	}
}
