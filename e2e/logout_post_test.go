package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestLogoutByForm: with logout.method: post Chromium carries the logout to the OP in a form, and the ID token is in no
// address that it asks for (RPL-07).
func TestLogoutByForm(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, func(c *config) { c.Logout = "method: post" })
	origin := g.config.Origin
	b := startBrowser(t)
	seen := &requests{}
	seen.follow(b)

	signOut := func() {
		loggedOut := fetchIn(b, "POST", "/bff/logout?returnUrl=/%3Fsigned-out")
		redirectTo, _ := loggedOut.Body["redirect_to"].(string)
		if loggedOut.Status != http.StatusOK || redirectTo == "" {
			t.Fatalf("POST /bff/logout: %d %v", loggedOut.Status, loggedOut.Body)
		}
		evaluate[any](b, "void setTimeout(() => location.assign("+quote(redirectTo)+"))")
	}
	// The second time by the link.
	for i, leave := range []func(){signOut, func() {
		logoutURL := fetchIn(b, "GET", "/bff/session").Body["logout_url"].(string)
		evaluate[any](b, "void setTimeout(() => location.assign("+quote(logoutURL+"&returnUrl=/%3Fsigned-out")+"))")
	}} {
		op.ForgetRequests()
		b.open(origin + "/bff/login")
		b.awaitPage(origin + "/")
		leave()
		b.awaitPage(origin + "/?signed-out")
		requests := op.Requests(optest.EndSessionEndpoint)
		if len(requests) != 1 || requests[0].Method != http.MethodPost || requests[0].Form.Get("id_token_hint") == "" ||
			requests[0].Form.Get("state") == "" || len(requests[0].Query) != 0 {
			t.Errorf("logout %d came to the OP as %+v", i, requests)
		}
		if session := fetchIn(b, "GET", "/bff/session"); session.Body["authenticated"] != false {
			t.Errorf("after logout %d the session says %v", i, session.Body)
		}
	}
	posted := 0
	for _, one := range seen.all() {
		if strings.Contains(one.URL, "id_token") || strings.Contains(one.URL, "eyJ") {
			t.Errorf("there is an ID token in %s %s", one.Method, one.URL)
		}
		if one.URL == op.EndpointURL(optest.EndSessionEndpoint) && one.Method == http.MethodPost {
			posted++
		}
	}
	if posted != 2 {
		t.Errorf("the browser has posted %d times to the OP, want 2", posted)
	}
}
