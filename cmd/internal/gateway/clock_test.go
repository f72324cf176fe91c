//go:build !short

package gateway

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

const offBy = 45 * time.Second // the leeway is a minute

// everyClock runs a test with three replicas, the last of which has a clock that is slow, or fast. The others and the OP
// have the right time. ID tokens live so short that the fast clock sees none that has not expired.
func everyClock(t *testing.T, change func(c *Config), test func(t *testing.T, f *threesome)) {
	for name, off := range map[string]time.Duration{"slow": -offBy, "fast": offBy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newThreesome(t, off, change))
		})
	}
}

// threesome are three replicas of one application, with one Redis.
type threesome struct {
	t        *testing.T
	replicas [3]*replica
	op       *optest.Server
}

func newThreesome(t *testing.T, off time.Duration, change func(c *Config)) *threesome {
	t.Helper()
	f := &threesome{t: t}
	store, keys := sessiontest.Redis(t).URL, filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(session.GenerateKey(time.Now())), 0o600); err != nil {
		t.Fatal(err)
	}
	var first *Config
	for i := range f.replicas {
		f.replicas[i] = newReplica(t, func(g *replica, c *Config) {
			c.Session.Store, c.Session.KeysFile = store, keys
			if change != nil {
				change(c)
			}
			if first == nil {
				first, f.op = c, g.op
				g.op.Fault(optest.EditIDToken("lives for ten seconds", func(token *optest.JWT) {
					token.Claims["exp"] = g.now().Add(10 * time.Second).Unix()
				}))
				return
			}
			c.PublicURL, c.Providers, c.Routes = first.PublicURL, first.Providers, first.Routes
			if i == len(f.replicas)-1 {
				g.options.Now = func() time.Time { return f.now().Add(off) }
			} else {
				g.options.Now = f.now
			}
		}).ready()
	}
	return f
}

// now is the right time, and pass moves all clocks on.
func (f *threesome) now() time.Time       { return f.replicas[0].now() }
func (f *threesome) pass(d time.Duration) { f.replicas[0].ahead.Add(int64(d)) }

func (f *threesome) send(c *client, replica int, method, path string, headers ...string) response {
	f.t.Helper()
	at := &client{f.replicas[replica], c.http}
	return at.send(method, path, append(headers, "Host: "+f.replicas[0].config.PublicURL.Host)...)
}

// signIn begins a login at one replica and ends it at another. It returns the session cookie.
func (f *threesome) signIn(begin, end int) string {
	f.t.Helper()
	c := f.replicas[0].client()
	callback := f.op.Visit(f.send(c, begin, "GET", "/bff/login").Header.Get("Location"))
	res := f.send(c, end, "GET", callback.RequestURI())
	if res.Header.Get("Location") != "/bff/landing" {
		f.t.Fatalf("a login that begins at replica %d and ends at %d: %s, %s", begin, end, res.Status, res.Header.Get("Location"))
	}
	name := "cloakroom-" + f.replicas[0].config.PublicURL.Port()
	i := slices.IndexFunc(res.Cookies(), func(set *http.Cookie) bool { return set.Name == name })
	if i < 0 {
		f.t.Fatalf("there is no cookie %s in %v", name, res.Cookies())
	}
	return name + "=" + res.Cookies()[i].Value
}

// get is a call that a page sends with a session cookie. It returns the status, and the code of a refusal.
func (f *threesome) get(replica int, path, cookie string) string {
	f.t.Helper()
	res := f.send(&client{http: http.DefaultClient}, replica, "GET", path, csrf, "Cookie: "+cookie)
	return strings.TrimSpace(http.StatusText(res.StatusCode) + " " + res.code())
}

// want asks every replica.
func (f *threesome) want(what, cookie, outcome string) {
	f.t.Helper()
	for i := range f.replicas {
		if got := f.get(i, "/api/x", cookie); got != outcome {
			f.t.Errorf("%s, replica %d: %s, want %s", what, i, got, outcome)
		}
	}
}

// Wherever a login begins and ends, its flow has not expired, and its ID token neither that nor been issued in the future
// (IDT-10, IDT-11).
func TestClocksAtLogin(t *testing.T) {
	t.Parallel()
	everyClock(t, nil, func(t *testing.T, f *threesome) {
		for begin := range f.replicas {
			for end := range f.replicas {
				f.want("signed in", f.signIn(begin, end), "OK")
			}
		}
	})
}

// A token is refreshed once in its life, whichever replica has dated it, and none comes to the API after its end, not even
// where the replica that is off has refreshed it and then gets no more requests (RFR-20, RFR-27).
func TestClocksAtRefresh(t *testing.T) {
	t.Parallel()
	const (
		lifetime, step = 5 * time.Minute, 5 * time.Second // what the OP says; how often a page calls
		earliest       = lifetime - time.Minute - offBy   // after which another one is due
	)
	everyClock(t, nil, func(t *testing.T, f *threesome) {
		cookies := []string{f.signIn(0, 0), f.signIn(2, 2)}
		// Time flies here: while the answer to a refresh is under way, half a minute may pass.
		f.op.Fault(optest.EditIDToken("lives as long as the access token", func(token *optest.JWT) {
			token.Claims["exp"] = f.now().Add(lifetime).Unix()
		}))
		began, before := f.now(), f.op.CountGrants("refresh_token")
		for _, replicas := range [][]int{{0, 1, 2}, {2}, {0, 1}, {2}, {1}} {
			for since := f.now(); f.now().Sub(since) < lifetime; f.pass(step) {
				for _, cookie := range cookies {
					for _, i := range replicas {
						poll(t, "a token that lives until the next call", func() bool { return f.tokenLeft(i, cookie) > step+time.Second })
					}
				}
			}
		}
		took := f.now().Sub(began)
		n := f.op.CountGrants("refresh_token") - before
		t.Logf("%d refreshes of %d sessions in %v", n, len(cookies), took)
		if least, most := len(cookies)*int(took/lifetime), len(cookies)*int(took/earliest+1); n < least || n > most {
			t.Errorf("%d refreshes, want %d to %d", n, least, most)
		}
	})
}

// tokenLeft calls the API and returns how long the access token lives with which the call has come there.
func (f *threesome) tokenLeft(replica int, cookie string) time.Duration {
	f.t.Helper()
	if got := f.get(replica, "/api/x", cookie); got != "OK" {
		f.t.Fatalf("replica %d: %s", replica, got)
	}
	api := f.replicas[0] // whose upstream is everybody's
	api.mu.Lock()
	defer api.mu.Unlock()
	token := api.received[len(api.received)-1].Header.Get("Authorization")
	var claims struct{ Exp int64 }
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		f.t.Fatal("the API has got no JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	left := time.Unix(claims.Exp, 0).Sub(f.now())
	if left < 0 {
		f.t.Errorf("replica %d has sent a token to the API that had expired %v ago", replica, -left)
	}
	return left
}

// Deadlines are where they belong, but for what the clock is off (SES-01, SES-02).
func TestClocksAtDeadlines(t *testing.T) {
	t.Parallel()
	const idle, lifetime, around = 20 * time.Minute, time.Hour, time.Minute
	set := func(c *Config) { c.Session.IdleTimeout, c.Session.Lifetime = idle, lifetime }
	everyClock(t, set, func(t *testing.T, f *threesome) {
		var unused, used []string
		for i := range f.replicas {
			unused, used = append(unused, f.signIn(i, i)), append(used, f.signIn(i, i))
		}
		f.pass(idle - around)
		for i := range f.replicas { // polling is no activity
			for _, cookie := range unused {
				if got := f.get(i, "/bff/user?slide=false", cookie); got != "OK" {
					t.Errorf("replica %d, a minute before the idle deadline: %s", i, got)
				}
			}
			f.want("used before the idle deadline", used[i], "OK")
		}
		f.pass(2 * around)
		for i := range f.replicas {
			f.want("idle", unused[i], "Unauthorized session_expired")
			f.want("used since", used[i], "OK")
		}
		for range 2 {
			f.pass(idle - 2*around)
			for _, cookie := range used {
				f.want("in use", cookie, "OK")
			}
		}
		f.pass(around) // an hour but two minutes
		for _, cookie := range used {
			f.want("before the absolute deadline", cookie, "OK")
		}
		f.pass(3 * around)
		for _, cookie := range used {
			f.want("after the absolute deadline", cookie, "Unauthorized session_expired")
		}
	})
}

// The newest logins stay, whichever replicas they came to (SES-03).
func TestClocksAtUserLimit(t *testing.T) {
	t.Parallel()
	const limit = 2
	set := func(c *Config) { c.Session.PerUserLimit = limit }
	everyClock(t, set, func(t *testing.T, f *threesome) {
		var cookies []string
		for _, i := range []int{2, 0, 2, 1, 0, 2, 2, 0} {
			cookies = append(cookies, f.signIn(i, i))
			f.pass(time.Second)
			for _, cookie := range cookies[max(0, len(cookies)-limit):] {
				f.want("one of the newest", cookie, "OK")
			}
			for _, cookie := range cookies[:max(0, len(cookies)-limit)] {
				f.want("an old one", cookie, "Unauthorized session_ended")
			}
		}
	})
}

// A logout token is good at every replica, and ends what there was before it on all of them: not a login that follows,
// also when it comes again (BCL-07, BCL-08, BCL-11, BCL-25).
func TestClocksAtBackchannelLogout(t *testing.T) {
	t.Parallel()
	everyClock(t, nil, func(t *testing.T, f *threesome) {
		deliver := func(replica int, token string) response {
			c := &client{f.replicas[replica], http.DefaultClient}
			body := strings.NewReader(url.Values{"logout_token": {token}}.Encode())
			req, err := http.NewRequestWithContext(t.Context(), "POST", c.g.url+"/bff/backchannel-logout", body)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = f.replicas[0].config.PublicURL.Host
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return c.do(req)
		}
		for told := range f.replicas {
			var before []string
			for i := range f.replicas {
				before = append(before, f.signIn(i, i))
			}
			f.pass(2 * time.Second) // tokens are dated in seconds
			token, err := f.op.LogoutToken("app", "alice", "")
			if err != nil {
				t.Fatal(err)
			}
			if res := deliver(told, token); res.StatusCode != http.StatusOK {
				t.Fatalf("a logout token at replica %d: %s %s", told, res.Status, res.body)
			}
			for _, cookie := range before {
				f.wantSoon("logged out by the OP", cookie, "Unauthorized session_ended")
			}
			f.pass(2 * time.Second)
			for i := range f.replicas {
				cookie := f.signIn(i, i)
				if res := deliver(i, token); res.StatusCode != http.StatusOK {
					t.Errorf("the same logout token again, at replica %d: %s %s", i, res.Status, res.body)
				}
				f.want("signed in since", cookie, "OK")
			}
		}
	})
}

// wantSoon is want, once the others have heard of it.
func (f *threesome) wantSoon(what, cookie, outcome string) {
	f.t.Helper()
	poll(f.t, "every replica to answer "+outcome, func() bool {
		return !slices.ContainsFunc([]int{0, 1, 2}, func(i int) bool { return f.get(i, "/api/x", cookie) != outcome })
	})
	f.want(what, cookie, outcome)
}
