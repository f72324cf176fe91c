package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
)

// startHearing starts two replicas on one Redis whose OP knows where to send logout tokens: to the first one.
func startHearing(t *testing.T, c *config) []*gateway {
	t.Helper()
	c.useRedis(t, startRedis(t))
	return []*gateway{serve(t, c), serve(t, c.replica(t))}
}

func (c *config) backchannelURI() string { return c.Origin + "/bff/backchannel-logout" }

// TestPanvaBackchannel: alice signs out at oidc-provider, in one of two browsers, and no application has asked for it.
// The OP tells the gateway which session it was where the client is registered for that, else only whose.
func TestPanvaBackchannel(t *testing.T) {
	t.Parallel()
	for _, withSID := range []bool{true, false} {
		t.Run(fmt.Sprintf("sid=%t", withSID), func(t *testing.T) {
			t.Parallel()
			proves(t, panva, backchannel)
			c := newConfig(t, startAPI(t))
			c.Provider = panvaProvider
			op := startPanva(t, c, metadata{
				"backchannel_logout_uri": c.backchannelURI(), "backchannel_logout_session_required": withSID,
			})
			replicas := startHearing(t, c)
			alice := person{"login": "alice", "logout": "yes"}
			one, two, bob := newAgent(replicas[0]), newAgent(replicas[1]), newAgent(replicas[1])
			one.signIn(alice)
			two.signIn(alice)
			bob.signIn(person{"login": "bob"})

			one.walk(c.Issuer+"/session/end", alice) // the OP's own page
			op.want("logout token taken sub=alice")
			one.wantEnded(replicas[1])
			if withSID {
				two.fetch("GET", "/api/echo").want(t, http.StatusOK)
			} else {
				two.wantEnded(replicas[0])
			}
			bob.fetch("GET", "/api/echo").want(t, http.StatusOK)
		})
	}
}

// TestZitadelBackchannel: an application's logout in one browser makes zitadel/oidc tell the gateway to end all sessions
// of the user. Its logout tokens are of the type JWT, which has to be allowed (BCL-16).
func TestZitadelBackchannel(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{true, false} {
		t.Run(fmt.Sprintf("untyped_logout_tokens=%t", allowed), func(t *testing.T) {
			t.Parallel()
			proves(t, zitadel, backchannel)
			c := newConfig(t, startAPI(t))
			c.Provider = fmt.Sprintf("untyped_logout_tokens: %t", allowed)
			op := startZitadel(t, c, metadata{"backchannel_logout_uri": c.backchannelURI()})
			replicas := startHearing(t, c)
			alice := person{"username": "test-user@127.0.0.1", "password": "verysecure"}
			one, two := newAgent(replicas[0]), newAgent(replicas[1])
			one.signIn(alice)
			two.signIn(alice)

			one.signOut(alice)
			if allowed {
				op.want("logout token answered 200")
				two.wantEnded(replicas[0])
			} else {
				op.want("logout token answered 400")
				two.fetch("GET", "/api/echo").want(t, http.StatusOK)
			}
		})
	}
}

// wantEnded wants the session to be over on a replica, at the latest in a second, and its cookie to be deleted (BCL-29).
func (a *agent) wantEnded(through *gateway) {
	a.t.Helper()
	a = a.via(through)
	var last *answer
	eventually(a.t, atOnce, "the end of a session", func() bool {
		last = a.fetch("GET", "/api/echo")
		return last.StatusCode != http.StatusOK
	})
	last.wantProblem(a.t, http.StatusUnauthorized, "session_ended")
	if a.cookie(sessionCookie(a.origin)) != "" {
		a.t.Error("the session cookie is still there")
	}
}
