package optest_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// Front-Channel Logout 1.0, 2 and 3: the page loads the URI of each client, with iss and sid, and goes on by itself.
func TestFrontchannelLogout(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Clients[0].FrontchannelLogoutURI = "http://localhost:7777/bff/frontchannel?app=1"
	p := newParty(t, cfg)
	metadata := p.ok(p.get(p.op.EndpointURL(optest.MetadataEndpoint)))
	for _, name := range []string{
		"frontchannel_logout_supported", "frontchannel_logout_session_supported",
		"backchannel_logout_supported", "backchannel_logout_session_supported",
	} {
		if metadata[name] != true {
			t.Errorf("metadata have not %s", name)
		}
	}
	for _, test := range []struct{ redirect, refresh string }{
		{"", ""},
		{byeURL, "2; url=" + byeURL + "?state=s"},
	} {
		tokens := p.login()
		hint := tokens["id_token"].(string)
		claims, _ := p.verified(hint)
		parameters := []string{"id_token_hint", hint, "state", "s"}
		if test.redirect != "" {
			parameters = append(parameters, "post_logout_redirect_uri", test.redirect)
		}
		a := p.logout(parameters...)
		query := url.Values{"iss": {p.op.Issuer()}, "sid": {claims["sid"].(string)}}
		frame := fmt.Sprintf(`<iframe src="%s" `, html.EscapeString(cfg.Clients[0].FrontchannelLogoutURI+"&"+query.Encode()))
		if a.StatusCode != http.StatusOK || !strings.Contains(a.body, frame) {
			t.Errorf("%s, no %s in %s", a.Status, frame, a.body)
		}
		if got := a.Header.Get("Refresh"); got != test.refresh {
			t.Errorf("Refresh: %q, want %q", got, test.refresh)
		}
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.HasSuffix(policy, "; frame-src http://localhost:7777") {
			t.Errorf("Content-Security-Policy: %s", policy)
		}
	}
	a := p.logout()
	if strings.Contains(a.body, "iframe") || strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-src") {
		t.Errorf("frames without a session: %s", a.body)
	}
}
