package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// standards.md §9 through the whole gateway: an OP's page may frame the answer, and nothing else of ours (FCL-03); a
// prefetch signs nobody out.
func TestFrontchannelLogout(t *testing.T) {
	t.Parallel()
	g := newReplica(t, func(_ *replica, c *Config) { c.Logout.Frontchannel = true }).ready()
	c := g.client().signIn()
	frame := "/bff/frontchannel-logout?" + url.Values{"iss": {g.op.Issuer()}, "sid": {g.sid()}}.Encode()
	if res := g.client().send("GET", frame, "Sec-Purpose: prefetch"); res.StatusCode != http.StatusNoContent {
		t.Errorf("a prefetch: %s", res.Status)
	}
	if res := c.send("GET", "/api/orders", csrf); res.StatusCode != http.StatusOK {
		t.Errorf("a call after a prefetch: %s %s", res.Status, res.body)
	}
	inFrame := []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Accept: text/html"}
	res := g.client().send("GET", frame, inFrame...)
	want := "default-src 'none'; frame-ancestors " + g.op.Issuer()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Security-Policy") != want || res.Header.Get("X-Frame-Options") != "" ||
		res.Header.Get("Cache-Control") != "no-store" || len(res.Header.Values("Content-Security-Policy")) != 1 {
		t.Errorf("in a frame: %s %v", res.Status, res.Header)
	}
	if res := c.send("GET", "/api/orders", csrf); res.code() != "session_ended" {
		t.Errorf("a call: %s %s", res.Status, res.body)
	}
	if !strings.Contains(g.log.String(), `"reason":"frontchannel_logout"`) {
		t.Error("the audit log does not say why the session has ended")
	}
	bad := g.client().send("GET", "/bff/frontchannel-logout?iss=x", inFrame...)
	if bad.StatusCode != http.StatusBadRequest || !strings.Contains(bad.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("without a sid: %s %v", bad.Status, bad.Header)
	}
}
