package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// startCluster starts two replicas on one Redis, with an OP that rotates refresh tokens, ends a grant at the reuse of
// one and gives access tokens that live for lifetime.
func startCluster(t *testing.T, lifetime time.Duration) (*optest.Server, *upstream, []*gateway) {
	t.Helper()
	api := startAPI(t)
	c := newConfig(t, api)
	c.useRedis(t, startRedis(t))
	c.Session = "refresh_before: 0s"
	op := c.startOP(t, optest.Config{AccessTokenLifetime: lifetime})
	return op, api, []*gateway{serve(t, c), serve(t, c.replica(t))}
}

func countRefreshes(op *optest.Server) int { return op.CountGrants("refresh_token") }

// awaitExpiry waits until the access token that an agent's calls carry has expired.
func awaitExpiry(t *testing.T, lifetime time.Duration) {
	t.Helper()
	<-time.After(lifetime + 100*time.Millisecond)
}

// TestOneRefreshPerCluster sends 100 parallel API calls through two replicas at the moment when the access token has
// expired: one refresh at the OP, no 401, no 5xx (RFR-20, RFR-21).
func TestOneRefreshPerCluster(t *testing.T) {
	t.Parallel()
	const lifetime = 2 * time.Second
	op, api, replicas := startCluster(t, lifetime)
	browsers := []*agent{newAgent(replicas[0])}
	browsers = append(browsers, browsers[0].via(replicas[1]))
	browsers[0].login()
	browsers[0].fetch("GET", "/api/echo").want(t, http.StatusOK)
	if n := countRefreshes(op); n != 0 {
		t.Fatalf("%d refreshes while the first token was good", n)
	}

	awaitExpiry(t, lifetime)
	op.Fault(optest.OnRefresh(optest.SlowToken(500 * time.Millisecond))) // so that all 100 meet it
	op.Fault(optest.OnRefresh(optest.TokenMember("expires_in", 300)))    // and the new one outlives them
	var group sync.WaitGroup
	gate := make(chan struct{})
	results := make([]string, 100)
	for i := range results {
		group.Go(func() {
			<-gate
			res, err := browsers[i%2].try(t.Context(), "GET", fmt.Sprintf("/api/echo?call=%d", i), asFetch)
			if err != nil {
				results[i] = err.Error()
			} else {
				results[i] = res.Status
			}
		})
	}
	close(gate)
	group.Wait()
	for i, result := range results {
		if result != "200 OK" {
			t.Errorf("call %d: %s", i, result)
		}
	}
	if n := countRefreshes(op); n != 1 {
		t.Errorf("%d refreshes at the OP, want 1", n)
	}
	if n := len(api.tokens()); n != 2 {
		t.Errorf("the API has seen %d access tokens, want the old and the new one", n)
	}
	for i, browser := range browsers {
		if browser.session()["authenticated"] != true {
			t.Errorf("replica %d says that nobody is signed in", i)
		}
	}
}

// TestClientGoneDuringRefresh: a browser that goes away during a slow refresh loses nothing; the next call uses what the
// refresh brought (RFR-24).
func TestClientGoneDuringRefresh(t *testing.T) {
	t.Parallel()
	const lifetime = time.Second
	op, _, replicas := startCluster(t, lifetime)
	browser := newAgent(replicas[0])
	browser.login()
	awaitExpiry(t, lifetime)

	release := make(chan struct{})
	op.Fault(optest.OnRefresh(optest.Hold(optest.TokenEndpoint, release)))
	op.Fault(optest.OnRefresh(optest.TokenMember("expires_in", 300)))
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := browser.try(ctx, "GET", "/api/echo", asFetch)
		gone <- err
	}()
	eventually(t, 10*time.Second, "the refresh at the OP", func() bool { return countRefreshes(op) == 1 })
	leave()
	if err := <-gone; err == nil {
		t.Fatal("the call was answered although the OP holds the refresh")
	}
	close(release)

	for _, replica := range replicas {
		browser.via(replica).fetch("GET", "/api/echo").want(t, http.StatusOK)
	}
	if n := countRefreshes(op); n != 1 {
		t.Errorf("%d refreshes at the OP, want the one whose browser went away", n)
	}
}

// TestRevokedGrant: when alice's grants are revoked at the OP, the next refresh ends her session and takes the cookie
// away, on every replica (RFR-28).
func TestRevokedGrant(t *testing.T) {
	t.Parallel()
	const lifetime = time.Second
	op, api, replicas := startCluster(t, lifetime)
	browser := newAgent(replicas[0])
	browser.login()
	browser.fetch("GET", "/api/echo").want(t, http.StatusOK)
	other := browser.via(replicas[1])
	ticket := browser.cookie(sessionCookie(browser.origin))

	op.RevokeGrants("alice")
	awaitExpiry(t, lifetime)
	before := len(api.received())
	res := browser.fetch("GET", "/api/echo")
	res.wantProblem(t, http.StatusUnauthorized, "session_ended")
	if len(api.received()) != before {
		t.Error("the call of an ended session has reached the API")
	}
	if browser.cookie(sessionCookie(browser.origin)) != "" {
		t.Error("the session cookie is still there")
	}

	res = other.stranger().fetch("GET", "/api/echo", header("Cookie", sessionCookie(other.origin)+"="+ticket))
	res.wantProblem(t, http.StatusUnauthorized, "session_ended")
	if session := browser.session(); session["authenticated"] != false || session["login_url"] != "/bff/login" {
		t.Errorf("the session says %v", session)
	}
	browser.login() // a clean start
}
