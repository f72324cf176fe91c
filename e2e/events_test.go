package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// want waits for the next event and wants it to be this change, with who is signed in, and to have come at once.
func (s *stream) want(change, cause string) map[string]any {
	s.t.Helper()
	e, ok := s.next()
	if !ok {
		s.t.Fatalf("the stream has ended before the event %s", change)
	}
	data := e.json(s.t)
	got, _ := data["cause"].(string)
	if e.name != "session" || e.id == "" || data["change"] != change || got != cause ||
		data["authenticated"] != (change != "ended") {
		s.t.Errorf("an event %+v, want %s %s", e, change, cause)
	}
	return data
}

// wantEnd wants the stream to close.
func (s *stream) wantEnd() {
	s.t.Helper()
	if e, ok := s.next(); ok {
		s.t.Errorf("after the end of the session there is the event %+v", e)
	}
}

// TestEvents: a page that listens at one replica hears within a second of what is done at another one, why a session has
// ended too, on every way by which it may have come to the gateway.
func TestEvents(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name     string
		tls      bool
		nginx    bool
		protocol string
	}{
		{name: "directly", protocol: "HTTP/1.1"},
		{name: "HTTP/2", tls: true, protocol: "HTTP/2.0"},
		{name: "through nginx", nginx: true, protocol: "HTTP/1.1"},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			c := newConfig(t, startAPI(t))
			if way.tls {
				c.useTLS(t)
			}
			c.useRedis(t, startRedis(t))
			op := c.startOP(t, optest.Config{})
			here, there := serve(t, c), serve(t, c.replica(t))
			if way.nginx {
				here = behindNginx(t, here)
			}
			a := newAgent(here)
			other := a.via(there)
			if way.tls {
				a.useHTTP2()
			}
			wantSilence(t, a)

			a.login()
			s := a.listen("/bff/events")
			if s.res.StatusCode != http.StatusOK || s.res.Proto != way.protocol ||
				s.res.Header.Get("Content-Type") != "text/event-stream" || s.res.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("the stream begins with %s %s %v", s.res.Proto, s.res.Status, s.res.Header)
			}
			now := s.want("current", "")
			if user, _ := now["user"].(map[string]any); user["name"] != "Alice Anderson" || now["logout_url"] == "" {
				t.Errorf("the first event says %v", now)
			}

			<-time.After(1100 * time.Millisecond) // what is left is told in seconds
			other.fetch("POST", "/bff/session/extend").want(t, http.StatusOK)
			s.want("extended", "")

			op.Fault(optest.UserInfoClaim("name", "Alice Archer")) // she has married
			other.fetch("POST", "/bff/session/refresh").want(t, http.StatusOK)
			for name := ""; name != "Alice Archer"; { // the new tokens are stored before claims are asked for
				user, _ := s.want("refreshed", "")["user"].(map[string]any)
				name, _ = user["name"].(string)
			}

			// Cut off, as by a proxy that has no patience, and back again with what it has heard.
			s.close()
			again := a.listen("/bff/events", header("Last-Event-ID", "2"))
			again.want("current", "")
			other.fetch("POST", "/bff/logout").want(t, http.StatusOK)
			if ended := again.want("ended", "logout"); ended["reason"] != "ended" || ended["login_url"] == "" {
				t.Errorf("the last event says %v", ended)
			}
			again.wantEnd()
			wantSilence(t, a)

			// The end came while nobody was listening.
			a.login()
			cookie := sessionCookieOf(a)
			s = a.listen("/bff/events")
			s.want("current", "")
			s.close()
			token, err := op.LogoutToken("app", "alice", "")
			if err != nil {
				t.Fatal(err)
			}
			deliver(newAgent(there), token).wantDone(t)
			late := a.stranger().listen("/bff/events", cookie, header("Last-Event-ID", "1"))
			late.want("ended", "backchannel_logout")
			late.wantEnd()
			wantSilence(t, a.stranger(), cookie, header("Last-Event-ID", "end"))
		})
	}
}

// wantSilence wants the answer after which a browser does not ask for the stream again.
func wantSilence(t *testing.T, a *agent, options ...option) {
	t.Helper()
	if s := a.listen("/bff/events", options...); s.res.StatusCode != http.StatusNoContent {
		t.Errorf("nobody is signed in, and the stream is answered with %s", s.res.Status)
	}
}

// sessionCookieOf is the agent's session cookie for requests of strangers.
func sessionCookieOf(a *agent) option {
	name := sessionCookie(a.origin)
	if strings.HasPrefix(a.origin, "https:") {
		name = "__Host-Http-cloakroom"
	}
	return header("Cookie", name+"="+a.cookie(name))
}

// useHTTP2 makes the agent speak HTTP/2, as browsers do with TLS.
func (a *agent) useHTTP2() {
	a.client.Transport.(recorder).next.(*http.Transport).ForceAttemptHTTP2 = true
}

// TestEventsAreNoActivity: a session that only listens ends when it is idle, is told so, and other sites cannot listen
// (RFR-33, CSR-08).
func TestEventsAreNoActivity(t *testing.T) {
	t.Parallel()
	g, _, _ := startApplication(t, func(c *config) { c.Session = "idle_timeout: 2s\nlifetime: 1m" })
	a := newAgent(g)
	a.login()
	cookie := sessionCookieOf(a)
	for _, site := range []string{"cross-site", "same-site", "none", ""} {
		s := a.listen("/bff/events", header("Sec-Fetch-Site", site))
		if s.res.StatusCode != http.StatusForbidden {
			t.Errorf("with Sec-Fetch-Site %q the stream is answered with %s", site, s.res.Status)
		}
	}
	began := time.Now()
	s := a.listen("/bff/events")
	s.want("current", "")
	var e event
	eventually(t, 10*time.Second, "the end of a session that only listens", func() bool {
		select {
		case e = <-s.events:
			return true
		default: // polling, too
			a.stranger().listen("/bff/events", cookie).close()
			return false
		}
	})
	if data := e.json(t); data["change"] != "ended" || data["cause"] != "idle" || data["reason"] != "idle" {
		t.Errorf("the session ended with %v", data)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("with an idle timeout of 2 s it took %v", took)
	}
	s.wantEnd()
}
