package gateway

import (
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session/secret"
)

// issue 2, 8: what has to be registered is said at start, to the letter.
func TestGatewayAnnouncesItsAddresses(t *testing.T) {
	g := newReplica(t, func(_ *replica, c *Config) {
		c.Login.ThirdParty = true
		p := &c.Providers[0]
		p.ClientAuth, p.ClientSecret, p.ClientKeyFile = "private_key_jwt", secret.String{}, clientKeys(t)
	})
	poll(t, "the announcement", func() bool { return strings.Contains(g.log.String(), "backchannel") })
	for _, want := range []string{
		`"token_endpoint_auth_method":"private_key_jwt"`, `"id_token_signed_response_alg":"RS256"`,
		`"jwks_uri":"` + g.url + `/bff/jwks.json"`, `"initiate_login_uri":"` + g.url + `/bff/login/initiate"`,
		`"redirect_uri":"` + g.url + `/bff/callback"`,
		`"post_logout_redirect_uri":"` + g.url + `/bff/logout/callback"`,
		`"backchannel_logout_uri":"` + g.url + `/bff/backchannel-logout"`,
	} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// BCL-26, FCL-02: what the OP calls is absolute, https, without a fragment, on the origin of the redirect URI; the
// front-channel address is said only where it is served (FCL-06).
func TestAddressesForTheOP(t *testing.T) {
	for _, front := range []bool{false, true} {
		g := newReplica(t, func(_ *replica, c *Config) {
			c.PublicURL = parseURL(t, "https://app.example.com:8443")
			c.Session.AllowMemory, c.Logout.Frontchannel = true, front
		})
		var said map[string]any
		poll(t, "the announcement", func() bool {
			for line := range strings.Lines(g.log.String()) {
				if strings.Contains(line, "register this") {
					decode(t, line, &said)
				}
			}
			return said != nil
		})
		redirect := parseURL(t, said["redirect_uri"].(string))
		for name, served := range map[string]bool{"backchannel_logout_uri": true, "frontchannel_logout_uri": front} {
			text, ok := said[name].(string)
			if ok != served {
				t.Errorf("front-channel %v: %s is %q", front, name, text)
			}
			u := parseURL(t, text)
			if served && (u.Scheme != "https" || u.Host != redirect.Host || u.Fragment != "" || !strings.HasPrefix(u.Path, "/bff/")) {
				t.Errorf("%s is %s, the redirect URI %s", name, u, redirect)
			}
		}
		if required := said["frontchannel_logout_session_required"]; (required == true) != front {
			t.Errorf("front-channel %v: session required %v", front, required)
		}
	}
}

// FCL-06: front-channel logout is off by default.
func TestFrontchannelIsOffByDefault(t *testing.T) {
	if parseGood(t, "good-minimal.yaml").Logout.Frontchannel {
		t.Error("it is on")
	}
}
