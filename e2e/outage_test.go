package e2e_test

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestOPDownAtStart: the gateway starts without its OP, says so, refuses logins, and recovers by itself when the OP
// appears (pain 10).
func TestOPDownAtStart(t *testing.T) {
	t.Parallel()
	c := newConfig(t, startAPI(t))
	address := loopback(freePort(t))
	c.Issuer = "http://" + address
	g := launch(t, c)

	var ready struct {
		Status, Store string
		Providers     map[string]string
	}
	if err := json.Unmarshal([]byte(g.await("/readyz", http.StatusServiceUnavailable)), &ready); err != nil {
		t.Fatal(err)
	}
	if ready.Status != "unavailable" || ready.Store != "ok" || ready.Providers["default"] != "unavailable" {
		t.Errorf("/readyz says %+v", ready)
	}
	a := newAgent(g)
	a.fetch("GET", "/bff/login").wantProblem(t, http.StatusServiceUnavailable, "provider_unavailable")
	page := a.do("GET", "/bff/login", asNavigation("same-origin"))
	page.wantPage(t, http.StatusServiceUnavailable, "provider_unavailable")
	if page.Header.Get("Retry-After") == "" || len(page.setCookies()) != 0 {
		t.Errorf("the page has the header %v", page.Header)
	}
	if a.session()["authenticated"] != false {
		t.Error("somebody is signed in")
	}

	op := newFlakyOP(t, c, address)
	op.up()
	g.await("/readyz", http.StatusOK)
	a.login()
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)

	// Down again: who is signed in stays so while the access token is good, and keeps the metadata for logins to come.
	op.down()
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)
	if a.session()["authenticated"] != true {
		t.Error("signed out by an OP that is down")
	}
}

// flakyOP is an OP whose address is sometimes nobody's.
type flakyOP struct {
	t       *testing.T
	address string
	op      *optest.OP
	server  *http.Server
}

func newFlakyOP(t *testing.T, c *config, address string) *flakyOP {
	t.Helper()
	c.Issuer = "http://" + address
	op, err := optest.New(optest.Config{
		Issuer: c.Issuer, Clients: []optest.Client{c.client()}, Users: []optest.User{{Subject: "alice"}},
		AccessTokenLifetime: flakyLifetime,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &flakyOP{t: t, address: address, op: op}
}

const flakyLifetime = 3 * time.Second // of access tokens

func (f *flakyOP) up() {
	f.t.Helper()
	l, err := net.Listen("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	server := &http.Server{Handler: f.op, ReadHeaderTimeout: time.Minute}
	f.server = server
	f.t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }() // until Close
}

func (f *flakyOP) down() {
	f.t.Helper()
	if err := f.server.Close(); err != nil {
		f.t.Fatal(err)
	}
}

// TestOPDownAtRefresh: an expired access token that cannot be renewed is 503, and the session stays (RFR-28).
func TestOPDownAtRefresh(t *testing.T) {
	t.Parallel()
	c := newConfig(t, startAPI(t))
	c.Session = "refresh_before: 0s"
	op := newFlakyOP(t, c, loopback(freePort(t)))
	op.up()
	a := newAgent(serve(t, c))
	a.login()
	op.down()
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)
	awaitExpiry(t, flakyLifetime)
	res := a.fetch("GET", "/api/echo")
	res.wantProblem(t, http.StatusServiceUnavailable, "refresh_unavailable")
	if len(res.Cookies()) != 0 || a.session()["authenticated"] != true {
		t.Errorf("cookies %v, session %v", res.Cookies(), a.session())
	}
	op.up()
	eventually(t, 20*time.Second, "a refresh", func() bool {
		return a.fetch("GET", "/api/echo").StatusCode == http.StatusOK
	})
}

// TestRedisDown: without the store nobody is let in and nobody is signed out: 503, cookies untouched, and all is well
// when it is back (pain 3).
func TestRedisDown(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	c := newConfig(t, startAPI(t))
	c.useRedis(t, redis)
	op := c.startOP(t, optest.Config{})
	g := serve(t, c)
	a := newAgent(g)
	a.login()
	ticket := a.cookie(sessionCookie(a.origin))
	callback := toCallback(a, "/bff/login")
	redis.Stop()

	if body := g.await("/readyz", http.StatusServiceUnavailable); !strings.Contains(body, `"store":"unavailable"`) {
		t.Errorf("/readyz says %s", body)
	}
	for _, request := range []string{
		"GET /api/echo", "GET /bff/session", "GET /bff/user", "POST /bff/session/extend", "POST /bff/logout",
	} {
		method, path, _ := strings.Cut(request, " ")
		began := time.Now()
		res := a.fetch(method, path)
		res.wantProblem(t, http.StatusServiceUnavailable, "store_unavailable")
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s took %s", request, took)
		}
		if len(res.Cookies()) != 0 {
			t.Errorf("%s touches the cookies: %v", request, res.Cookies())
		}
	}
	page := a.do("GET", "/", asNavigation("same-origin")) // needs no session
	page.want(t, http.StatusOK)

	// A login that comes back now fails, with the code unspent (FLOW-06).
	exchanges := op.CountGrants("authorization_code")
	a.do("GET", callback, asNavigation("cross-site")).want(t, http.StatusSeeOther)
	a.do("GET", "/bff/error", asNavigation("cross-site")).wantPage(t, http.StatusServiceUnavailable, "store_unavailable")
	if op.CountGrants("authorization_code") != exchanges {
		t.Error("the code was spent")
	}
	if a.cookie(sessionCookie(a.origin)) != ticket {
		t.Error("the session cookie has changed")
	}

	redis.Start()
	g.await("/readyz", http.StatusOK)
	if reason := a.session()["reason"]; reason != "none" { // this Redis has forgotten everything
		t.Errorf("the reason is %v", reason)
	}
	a.login()
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)
}

// TestRedisHangs: a store that takes connections and never answers is no better than one that is gone.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	c := newConfig(t, startAPI(t))
	c.useRedis(t, redis)
	c.startOP(t, optest.Config{})
	g := serve(t, c)
	a := newAgent(g)
	a.login()
	redis.Pause()
	began := time.Now()
	a.fetch("GET", "/api/echo").wantProblem(t, http.StatusServiceUnavailable, "store_unavailable")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the answer took %s", took)
	}
	redis.Resume()
	eventually(t, startTime, "the session, as it was", func() bool {
		return a.fetch("GET", "/api/echo").StatusCode == http.StatusOK
	})
}
