package gateway

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// wantSignedOut checks that the client is told so cleanly: a reason, and no cookie any more.
func (c *client) wantSignedOut() {
	c.g.t.Helper()
	res := c.send("GET", "/api/x", csrf)
	if res.StatusCode != 401 || res.code() != "session_ended" || !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
		c.g.t.Errorf("%s %s, Set-Cookie %q", res.Status, res.body, res.Header.Get("Set-Cookie"))
	}
	if res := c.send("GET", "/api/x", csrf); res.StatusCode != 401 || res.code() != "unauthenticated" {
		c.g.t.Errorf("with what is left in the browser: %s %s", res.Status, res.body)
	}
}

func (c *client) wantSignedIn(when string) {
	c.g.t.Helper()
	if res := c.send("GET", "/api/x", csrf); res.StatusCode != 200 {
		c.g.t.Errorf("%s: %s %s", when, res.Status, res.body)
	}
}

// CK-17, pain 18: the key ring is rotated while people are signed in and others are signing in. Nobody notices, until
// the old key is removed; then its sessions end cleanly.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	put := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	older, newer := session.GenerateKey(now.Add(-time.Hour)), session.GenerateKey(now)
	put(older)
	g := newReplica(t, func(_ *replica, c *Config) { c.Session.KeysFile = file }).ready()

	signedIn := g.client().signIn()
	signingIn, late := g.client(), g.client()
	callback := g.op.Visit(signingIn.send("GET", "/bff/login").Header.Get("Location"))
	lateCallback := g.op.Visit(late.send("GET", "/bff/login").Header.Get("Location"))

	put(older, newer)
	g.ReloadKeys()
	signedIn.wantSignedIn("the new key is appended")
	put(newer, older)
	poll(t, "Run to see the change", func() bool { return strings.Contains(g.log.String(), `"seals":"`+newer[:20]) })
	signedIn.wantSignedIn("the new key is in front")
	if res := signingIn.send("GET", callback.String()); res.Header.Get("Location") != "/bff/landing" {
		t.Errorf("the login under way: %s %s", res.Status, res.Header.Get("Location"))
	}
	signingIn.wantSignedIn("signed in across the rotation")

	put(newer)
	g.ReloadKeys()
	signedIn.wantSignedOut()
	signingIn.wantSignedIn("its session is under the new key")
	if res := late.send("GET", lateCallback.String()); res.Header.Get("Location") != "/bff/error" {
		t.Errorf("a login under the old key: %s %s", res.Status, res.Header.Get("Location"))
	}
	late.signIn().wantSignedIn("tried again")
	signedIn.signIn().wantSignedIn("signed in again")
	if log := g.log.String(); !strings.Contains(log, `"reason":"key_retired"`) {
		t.Error("the audit log does not say why the session ended")
	}
}

// SES-03: a login beyond session.per_user_limit ends the user's oldest session.
func TestPerUserLimit(t *testing.T) {
	t.Parallel()
	g := newReplica(t, func(_ *replica, c *Config) { c.Session.PerUserLimit = 2 }).ready()
	first, second := g.client().signIn(), g.client().signIn()
	first.wantSignedIn("two sessions")
	third := g.client().signIn()
	if res := first.send("GET", "/bff/session", csrf); !strings.Contains(res.body, `"reason":"ended"`) {
		t.Errorf("%s %s", res.Status, res.body)
	}
	second.wantSignedIn("the second")
	third.wantSignedIn("the newest")
	if log := g.log.String(); !strings.Contains(log, `"reason":"user_limit"`) {
		t.Error("the audit log does not say why the session ended")
	}
	g.client().signIn()
	second.wantSignedOut()
}

// Only where there is no file is a new ring the right advice: in the place of one that cannot be read it would sign
// everybody out.
func TestKeyRingAdvice(t *testing.T) {
	for path, advised := range map[string]bool{filepath.Join(t.TempDir(), "none"): true, t.TempDir(): false} {
		_, err := keyRing(Session{KeysFile: path}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "session.keys_file") || strings.Contains(err.Error(), "keygen") != advised {
			t.Errorf("%s: %v", path, err)
		}
	}
}
