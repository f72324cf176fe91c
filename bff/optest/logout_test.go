package optest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func (p *party) logout(parameters ...string) answer {
	p.Helper()
	v := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		v.Set(parameters[i], parameters[i+1])
	}
	return p.get(p.op.EndpointURL(optest.EndSessionEndpoint) + "?" + v.Encode())
}

// sid logs in without a page and returns the sid of the browser's session at the OP.
func (p *party) sid() any {
	p.Helper()
	claims, _ := p.verified(p.login()["id_token"])
	return claims["sid"]
}

func TestLogoutWithHint(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	hint := p.login()["id_token"].(string)
	sid := p.sid()
	a := p.logout("id_token_hint", hint, "client_id", "app", "post_logout_redirect_uri", byeURL, "state", "s 1")
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || got != byeURL+"?state=s+1" {
		t.Errorf("%s, Location %q", a.Status, got)
	}
	if p.sid() == sid {
		t.Error("the session goes on")
	}
}

func TestLogoutByPOST(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	hint := p.login()["id_token"].(string)
	a := p.post(p.op.EndpointURL(optest.EndSessionEndpoint), url.Values{"id_token_hint": {hint}}, nil)
	p.showsPage(a, "Signed out")
}

// Any site can send the browser here: without a hint for this session the user decides.
func TestLogoutAsks(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	oldHint := p.login()["id_token"].(string)
	p.op.EndSessions("alice")
	sid := p.sid()
	for name, parameters := range map[string][]string{
		"nothing":                     nil,
		"client_id":                   {"client_id", "app", "post_logout_redirect_uri", byeURL},
		"a hint from another session": {"id_token_hint", oldHint},
	} {
		t.Run(name, func(t *testing.T) {
			ask := p.logout(parameters...)
			p.showsPage(ask, "Sign out")
			still := p.press(ask, "Stay")
			p.showsPage(still, "Signed in")
			if !strings.Contains(still.body, "as Alice") || p.sid() != sid {
				t.Error("the session is gone")
			}
		})
	}
	a := p.press(p.logout("client_id", "app", "post_logout_redirect_uri", byeURL), "Sign out")
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != byeURL {
		t.Errorf("%s, Location %q", a.Status, a.Header.Get("Location"))
	}
	if p.sid() == sid {
		t.Error("the session goes on")
	}
}

func TestRefusedLogouts(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	tokens := p.login()
	sid := p.sid()
	hint := tokens["id_token"].(string)
	for name, parameters := range map[string][]string{
		"redirect not registered": {"id_token_hint", hint, "post_logout_redirect_uri", byeURL + "/"},
		"redirect without client": {"post_logout_redirect_uri", byeURL},
		"hint of another client":  {"id_token_hint", hint, "client_id", "post"},
		"unknown client":          {"client_id", "other"},
		"forged hint":             {"id_token_hint", hint[:len(hint)-6] + "AAAAAA"},
		"no hint but text":        {"id_token_hint", "hint"},
		"access token as hint":    {"id_token_hint", tokens["access_token"].(string)},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.logout(parameters...)
			if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" {
				t.Errorf("%s, Location %q", a.Status, a.Header.Get("Location"))
			}
		})
	}
	if p.sid() != sid {
		t.Error("a refused logout ended the session")
	}
}

func TestLogoutWithoutSession(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	a := p.logout("client_id", "app", "post_logout_redirect_uri", byeURL)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != byeURL {
		t.Errorf("%s, Location %q", a.Status, a.Header.Get("Location"))
	}
	p.showsPage(p.logout(), "Signed out")
}
