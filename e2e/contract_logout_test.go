package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// endSessionQuery checks that an answer goes on to the OP's end-session endpoint and returns the parameters
// (RP-Initiated Logout §2).
func (r *answer) endSessionQuery(t *testing.T, c *config, op *optest.Server) url.Values {
	t.Helper()
	r.want(t, http.StatusSeeOther)
	endpoint, rawQuery, _ := strings.Cut(r.Header.Get("Location"), "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil || endpoint != op.EndpointURL(optest.EndSessionEndpoint) {
		t.Fatalf("it goes to %s: %v", r.Header.Get("Location"), err)
	}
	if query.Get("post_logout_redirect_uri") != c.Origin+"/bff/logout/callback" ||
		query.Get("client_id") != c.ClientID || query.Get("state") == "" {
		t.Errorf("the logout request is %v", query)
	}
	return query
}

// TestLogoutByPost is contract.md "Endpoints", POST /bff/logout and what follows it.
func TestLogoutByPost(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, nil)
	a := newAgent(g)
	a.login()
	ticket := a.cookie(sessionCookie(a.origin))
	res := a.fetch("POST", "/bff/logout?returnUrl=/goodbye")
	res.want(t, http.StatusOK)
	redirectTo, _ := res.json(t)["redirect_to"].(string)
	if !strings.HasPrefix(redirectTo, "/bff/logout?sid=") || len(res.json(t)) != 1 {
		t.Fatalf("the answer is %s; an address at the OP would show scripts the ID token", res.body)
	}
	if a.cookie(sessionCookie(a.origin)) != "" {
		t.Error("the session cookie is still there")
	}
	stolen := newAgent(g).fetch("GET", "/api/echo", header("Cookie", sessionCookie(a.origin)+"="+ticket))
	stolen.wantProblem(t, http.StatusUnauthorized, "session_ended")

	away := a.do("GET", redirectTo, asNavigation("same-origin"))
	if query := away.endSessionQuery(t, g.config, op); query.Get("id_token_hint") == "" {
		t.Error("there is no id_token_hint")
	}
	_, back, site := a.step(away.Header.Get("Location"), "cross-site")
	landed := a.do("GET", back.String(), asNavigation(site))
	landed.want(t, http.StatusSeeOther)
	if landed.Header.Get("Location") != "/goodbye" {
		t.Errorf("the logout ends at %s", landed.Header.Get("Location"))
	}
	if op.Count(optest.RevocationEndpoint) != 1 {
		t.Errorf("%d revocations at the OP, want 1", op.Count(optest.RevocationEndpoint))
	}
	again := a.fetch("POST", "/bff/logout") // signing out twice is no error (RPL-09)
	again.want(t, http.StatusOK)
	a.fetch("POST", "/bff/logout?returnUrl=//evil.test").wantProblem(t, http.StatusBadRequest, "bad_return_url")
}

// TestLogoutWithoutOP: signing out works here when the OP does not answer (RPL-01, RPL-10).
func TestLogoutWithoutOP(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, nil)
	a := newAgent(g)
	a.login()
	op.Close()
	a.fetch("POST", "/bff/logout").want(t, http.StatusOK)
	if a.session()["authenticated"] != false {
		t.Error("still signed in")
	}
}

// TestLogoutURL is contract.md "Endpoints", GET /bff/logout.
func TestLogoutURL(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, nil)
	t.Run("to the OP and back", func(t *testing.T) {
		a := newAgent(g)
		a.login()
		res := a.do("GET", a.session()["logout_url"].(string)+"&returnUrl=/goodbye", asNavigation("same-origin"))
		hint := res.endSessionQuery(t, g.config, op).Get("id_token_hint")
		if hint == "" || a.session()["authenticated"] != false {
			t.Errorf("hint %q, session %v", hint, a.session())
		}
		_, back, site := a.step(res.Header.Get("Location"), "cross-site")
		if landed := a.do("GET", back.String(), asNavigation(site)); landed.Header.Get("Location") != "/goodbye" {
			t.Errorf("the logout ends at %s", landed.Header.Get("Location"))
		}
	})
	t.Run("wrong sid", func(t *testing.T) {
		a, other := newAgent(g), newAgent(g)
		a.login()
		other.login()
		others := other.session()["logout_url"].(string)
		for _, address := range []string{"/bff/logout", "/bff/logout?sid=", "/bff/logout?sid=wrong", others} {
			a.do("GET", address, asNavigation("same-origin")).wantPage(t, http.StatusBadRequest, "bad_request")
		}
		if a.session()["authenticated"] != true {
			t.Error("a wrong sid has ended the session")
		}
	})
	t.Run("bad returnUrl", func(t *testing.T) {
		a := newAgent(g)
		a.login()
		address := a.session()["logout_url"].(string) + "&returnUrl=https://evil.test"
		a.do("GET", address, asNavigation("same-origin")).wantPage(t, http.StatusBadRequest, "bad_return_url")
		if a.session()["authenticated"] != true {
			t.Error("the session has ended")
		}
	})
	t.Run("without a session", func(t *testing.T) {
		newAgent(g).do("GET", "/bff/logout", asNavigation("same-origin")).endSessionQuery(t, g.config, op)
		for _, site := range []string{"cross-site", "same-site", "none"} {
			res := newAgent(g).do("GET", "/bff/logout?sid=x", asNavigation(site))
			res.want(t, http.StatusSeeOther)
			if location := res.Header.Get("Location"); location != "/bff/landing" {
				t.Errorf("%s: it goes to %s", site, location)
			}
		}
	})
	t.Run("wrong state", func(t *testing.T) {
		a := newAgent(g)
		a.login()
		a.do("GET", a.session()["logout_url"].(string)+"&returnUrl=/goodbye", asNavigation("same-origin"))
		for _, state := range []string{"wrong", ""} {
			res := a.do("GET", "/bff/logout/callback?state="+state, asNavigation("cross-site"))
			res.want(t, http.StatusSeeOther)
			if res.Header.Get("Location") != "/" {
				t.Errorf("with the state %q it goes to %s", state, res.Header.Get("Location"))
			}
		}
	})
}
