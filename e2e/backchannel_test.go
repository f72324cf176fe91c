package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// atOnce is the longest that a replica may take to hear of what was done at another one.
const atOnce = time.Second

// house is an application behind three replicas with one Redis, and its OP.
type house struct {
	t        *testing.T
	op       *optest.Server
	replicas []*gateway

	mu  sync.Mutex
	sid any // of the last ID token
}

func startHouse(t *testing.T) *house {
	t.Helper()
	c := newConfig(t, startAPI(t))
	c.useRedis(t, startRedis(t))
	h := &house{t: t, op: c.startOP(t, optest.Config{})}
	h.op.Fault(optest.EditIDToken("noted", func(token *optest.JWT) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sid = token.Claims["sid"]
	}))
	h.replicas = []*gateway{serve(t, c), serve(t, c.replica(t)), serve(t, c.replica(t))}
	return h
}

// guest is a browser with a session.
type guest struct {
	user, sid string   // of the OP
	cookie    option   // with the ticket
	at        []*agent // without cookies, one for each replica: what they are answered changes nothing
}

// admit signs a user in in a new browser.
func (h *house) admit(user string, through *gateway) *guest {
	h.t.Helper()
	h.op.SignIn(user)
	a := newAgent(through)
	a.login()
	h.mu.Lock()
	defer h.mu.Unlock()
	g := &guest{user: user, sid: fmt.Sprint(h.sid), cookie: sessionCookieOf(a)}
	for _, replica := range h.replicas {
		g.at = append(g.at, a.via(replica).stranger())
	}
	return g
}

// out reports whether a call through a replica says that the session has ended, which it does cleanly (BCL-29).
func (g *guest) out(t *testing.T, replica int) bool {
	t.Helper()
	res := g.at[replica].fetch("GET", "/api/echo", g.cookie)
	if res.StatusCode == http.StatusOK {
		return false
	}
	res.wantProblem(t, http.StatusUnauthorized, "session_ended")
	if gone := res.Cookies(); len(gone) != 1 || gone[0].MaxAge >= 0 || gone[0].Name != sessionCookie(g.at[0].origin) {
		t.Errorf("the answer to a session that has ended sets the cookies %v", gone)
	}
	session := g.at[replica].fetch("GET", "/bff/session", g.cookie).json(t)
	if session["authenticated"] != false || session["reason"] != "ended" {
		t.Errorf("the session that has ended says %v", session)
	}
	return true
}

// wantOut wants some of the guests out on every replica and all others in, and returns how long that took.
func (h *house) wantOut(t *testing.T, guests []*guest, out func(*guest) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for i, g := range guests {
		for replica := range h.replicas {
			if out(g) {
				eventually(t, atOnce, fmt.Sprintf("the end of %s's session %d on replica %d", g.user, i, replica),
					func() bool { return g.out(t, replica) })
			}
		}
	}
	took := time.Since(began)
	for i, g := range guests {
		for replica := range h.replicas {
			if !out(g) && g.out(t, replica) {
				t.Errorf("%s's session %d has ended on replica %d", g.user, i, replica)
			}
		}
	}
	return took
}

// deliver sends a logout token to a replica, as an OP does: no cookie, no header of ours (BCL-02).
func deliver(to *agent, token string) *answer {
	to.t.Helper()
	return to.do("POST", "/bff/backchannel-logout", header("Content-Type", "application/x-www-form-urlencoded"),
		body(url.Values{"logout_token": {token}}.Encode()))
}

// wantDone checks the answer to a logout that was carried out (BCL-20, BCL-21, BCL-23).
func (r *answer) wantDone(t *testing.T) {
	t.Helper()
	r.want(t, http.StatusOK)
	if r.body != "" || r.Header.Get("Cache-Control") != "no-store" || len(r.Cookies()) != 0 {
		t.Errorf("a logout was answered with %v %q", r.Header, r.body)
	}
}

// TestBackchannelMatrix: two users with three browsers each, and logout tokens of all kinds to each of three replicas.
// Exactly those whom the token names are out, on every replica, and nobody else (BCL-18, BCL-20, BCL-28).
func TestBackchannelMatrix(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	var guests []*guest
	for i := range 6 {
		guests = append(guests, h.admit([]string{"alice", "bob"}[i%2], h.replicas[i%3]))
	}
	nobody := func(*guest) bool { return false }
	var slowest time.Duration
	for _, test := range []struct {
		name    string
		subject func(*guest) string
		sid     func(*guest) string
		all     bool // sessions of the user
		none    bool
	}{
		{name: "sid", sid: (*guest).session},
		{name: "sub", subject: (*guest).subject, all: true},
		{name: "sid and sub", sid: (*guest).session, subject: (*guest).subject},
		{name: "sid and another's sub", sid: (*guest).session, subject: (*guest).another, none: true},
		{name: "unknown sid", sid: (*guest).unknown, none: true},
		{name: "sub and unknown sid", sid: (*guest).unknown, subject: (*guest).subject, none: true},
		{name: "unknown sub", subject: (*guest).unknown, none: true},
	} {
		for to := range h.replicas {
			t.Run(fmt.Sprintf("%s to replica %d", test.name, to), func(t *testing.T) {
				h.wantOut(t, guests, nobody) // and every replica has every session in its cache
				named := guests[to]
				var subject, sid string
				if test.subject != nil {
					subject = test.subject(named)
				}
				if test.sid != nil {
					sid = test.sid(named)
				}
				token, err := h.op.LogoutToken("app", subject, sid)
				if err != nil {
					t.Fatal(err)
				}
				endpoint := named.at[to]
				deliver(endpoint, token).wantDone(t)
				out := func(g *guest) bool { return !test.none && (g == named || test.all && g.user == named.user) }
				slowest = max(slowest, h.wantOut(t, guests, out))

				// The OP may send it again, for want of an answer, and have more tokens for the same session (BCL-12).
				again, err := h.op.LogoutToken("app", subject, sid)
				if err != nil {
					t.Fatal(err)
				}
				deliver(named.at[(to+1)%3], token).wantDone(t)
				deliver(endpoint, again).wantDone(t)
				h.wantOut(t, guests, out)

				if test.all {
					awaitNextSecond() // in which an ID token is newer than the logout token
				}
				for i, g := range guests {
					if out(g) {
						guests[i] = h.admit(g.user, h.replicas[i%3])
					}
				}
			})
		}
	}
	t.Logf("every replica knew of every end after %v at most", slowest.Round(time.Millisecond))
	h.wantOut(t, guests, nobody)

	ends := 0
	for _, g := range h.replicas {
		for line := range strings.Lines(g.stderr.String()) {
			if strings.Contains(line, `"event":"ended"`) && strings.Contains(line, `"reason":"backchannel_logout"`) {
				ends++
			}
		}
	}
	if want := 3*1 + 3*3 + 3*1; ends != want {
		t.Errorf("the audit logs have %d ends by back-channel logout, want %d", ends, want)
	}
}

func (g *guest) session() string { return g.sid }
func (g *guest) subject() string { return g.user }
func (g *guest) unknown() string { return "unknown" }
func (g *guest) another() string { return map[string]string{"alice": "bob", "bob": "alice"}[g.user] }

// awaitNextSecond is for dates that have no fractions: those in tokens, and deadlines as pages are told them.
func awaitNextSecond() {
	now := time.Now()
	<-time.After(now.Truncate(time.Second).Add(time.Second + 10*time.Millisecond).Sub(now))
}

// TestBackchannelFromOP: the OP itself signs a user out everywhere, then one browser of another user.
func TestBackchannelFromOP(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	client := h.replicas[0].config.client()
	client.BackchannelLogoutURI = h.replicas[0].config.backchannelURI()
	if err := h.op.AddClient(client); err != nil {
		t.Fatal(err)
	}
	guests := []*guest{
		h.admit("alice", h.replicas[0]), h.admit("alice", h.replicas[1]),
		h.admit("bob", h.replicas[1]), h.admit("bob", h.replicas[2]),
	}
	h.op.ForgetRequests()
	deliveries := h.op.EndSessions("alice")
	deliveries = append(deliveries, h.op.EndSession(guests[2].sid)...)
	if len(deliveries) != 3 {
		t.Fatalf("the OP has sent %d logout tokens, want 3", len(deliveries))
	}
	for _, d := range deliveries {
		if d.Err != nil || d.Status != http.StatusOK || d.Body != "" {
			t.Errorf("a logout token was answered with %d %q, %v", d.Status, d.Body, d.Err)
		}
	}
	h.wantOut(t, guests, func(g *guest) bool { return g != guests[3] })
	// The keys were there since the logins.
	if n := h.op.Count(optest.JWKSEndpoint); n != 0 {
		t.Errorf("%d requests for keys, want 0", n)
	}
}

// TestBackchannelWins: a logout that arrives while the OP is answering a login, or a refresh, ends that session before it
// is there, whichever replica got it (BCL-25, RFR-24).
func TestBackchannelWins(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"sub", "sid"} {
		for _, during := range []string{"login", "refresh"} {
			t.Run(during+", by "+by, func(t *testing.T) {
				t.Parallel()
				h := startHouse(t)
				outside := newAgent(h.replicas[1])
				var once sync.Once
				logout := func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
					answer := httptest.NewRecorder()
					honest.ServeHTTP(answer, r)
					once.Do(func() {
						h.mu.Lock()
						subject, sid := "alice", fmt.Sprint(h.sid)
						h.mu.Unlock()
						if by == "sid" {
							subject = ""
						} else {
							sid = ""
						}
						token, err := h.op.LogoutToken("app", subject, sid)
						if err != nil {
							t.Error(err)
						}
						deliver(outside, token).wantDone(t)
					})
					maps.Copy(w.Header(), answer.Header())
					w.WriteHeader(answer.Code)
					_, _ = w.Write(answer.Body.Bytes())
				}
				fault := optest.Reply("logout meanwhile", optest.TokenEndpoint, logout)
				a := newAgent(h.replicas[0])
				if during == "login" {
					h.op.Fault(fault)
					a.navigate("/bff/login")
				} else {
					h.op.Fault(optest.TokenMember("expires_in", 1))
					a.login()
					awaitExpiry(t, time.Second)
					h.op.Fault(optest.OnRefresh(fault))
					a.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
				}
				for i, g := range h.replicas {
					if session := a.via(g).session(); session["authenticated"] != false {
						t.Errorf("on replica %d the session says %v", i, session)
					}
				}
			})
		}
	}
}

// TestBackchannelStoreDown: while the store does not answer the OP hears of a failure, and its next try ends the session
// (BCL-22).
func TestBackchannelStoreDown(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	c := newConfig(t, startAPI(t))
	c.useRedis(t, redis)
	op := c.startOP(t, optest.Config{})
	g := serve(t, c)
	a := newAgent(g)
	a.login()
	token, err := op.LogoutToken("app", "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	redis.Pause()
	failed := deliver(newAgent(g), token)
	failed.wantProblem(t, http.StatusServiceUnavailable, "store_unavailable")
	redis.Resume()
	eventually(t, startTime, "the store", func() bool {
		return deliver(newAgent(g), token).StatusCode == http.StatusOK
	})
	a.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
}
