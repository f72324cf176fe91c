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
