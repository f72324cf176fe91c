package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session"
)

// SES-07 through the whole gateway: what guards the list of sessions, and what it says to nobody.
func TestSessionsEndpoints(t *testing.T) {
	t.Parallel()
	g := newReplica(t, nil).ready()
	c := g.client().signIn()
	id := string(session.NewTicket().ID())
	for _, request := range [][2]string{{"GET", "/bff/sessions"}, {"DELETE", "/bff/sessions"}, {"DELETE", "/bff/sessions/" + id}} {
		method, path := request[0], request[1]
		if res := c.send(method, path); res.StatusCode != http.StatusForbidden || res.code() != "csrf_header_missing" {
			t.Errorf("%s %s without the header: %s %s", method, path, res.Status, res.body)
		}
		if res := c.send(method, path, csrf, "Sec-Fetch-Site: cross-site"); res.code() != "cross_site_request" {
			t.Errorf("%s %s from elsewhere: %s %s", method, path, res.Status, res.body)
		}
		res := g.client().send(method, path, csrf)
		if res.StatusCode != http.StatusUnauthorized || res.code() != "unauthenticated" || !strings.Contains(res.body, "/bff/login") {
			t.Errorf("%s %s by nobody: %s %s", method, path, res.Status, res.body)
		}
	}
	list := c.send("GET", "/bff/sessions", csrf)
	if list.StatusCode != http.StatusOK || list.Header.Get("Cache-Control") != "no-store" || strings.Count(list.body, `"current":true`) != 1 ||
		strings.Contains(list.body, "127.0.0.1") {
		t.Errorf("the list: %s %s", list.Status, list.body)
	}
	if res := c.send("DELETE", "/bff/sessions/"+id, csrf); res.StatusCode != http.StatusNotFound || res.code() != "not_found" {
		t.Errorf("a session that is not there: %s %s", res.Status, res.body)
	}
	if res := c.send("PATCH", "/bff/sessions", csrf); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "DELETE, GET" {
		t.Errorf("another method: %s %v", res.Status, res.Header)
	}
	if res := c.send("DELETE", "/bff/sessions", csrf); res.StatusCode != http.StatusOK || strings.TrimSpace(res.body) != `{"ended":1}` {
		t.Errorf("everywhere: %s %s", res.Status, res.body)
	}
	if !strings.Contains(g.log.String(), `"reason":"ended_by_user"`) {
		t.Error("the audit log does not say why the session has ended")
	}
	if res := c.send("GET", "/api/orders", csrf); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a call: %s %s", res.Status, res.body)
	}
}
