package e2e_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestChainedOPs: the application's OP is itself a client of another OP. One login passes through both, one logout ends
// the session at both and comes back to the application, and the next login asks again at the far end.
func TestChainedOPs(t *testing.T) {
	t.Parallel()
	proves(t, panva, chainedLogin)
	api := startAPI(t)
	c := newConfig(t, api)

	// The near OP is a client of the far one under an address that it only gets when it starts: hence a fixed port.
	port := freePort(t)
	near := "http://" + loopback(port)
	far := config{ClientID: "near", Secret: "secretOfTheNearOP"}
	farOP := startLuikyv(t, &far, metadata{
		"redirect_uris":                []string{near + "/upstream/callback"},
		"post_logout_redirect_uris":    []string{near + "/upstream/logged-out"},
		"id_token_signed_response_alg": "PS256",
	})
	upstream, err := json.Marshal(metadata{"issuer": far.Issuer, "client_id": far.ClientID, "client_secret": far.Secret})
	if err != nil {
		t.Fatal(err)
	}
	startPanva(t, c, nil, "PORT="+strconv.Itoa(port), "UPSTREAM="+string(upstream))
	c.Provider = `
scopes: [openid, profile, email, offline_access, "orders:read"]
authorization_params: {prompt: consent}
`
	a := newAgent(serve(t, c))

	answers := a.signIn(person{"login": "alice"})
	wantVisited(t, answers, near+"/auth", far.Issuer+"/authorize", near+"/upstream/callback", a.origin+"/bff/callback")
	user, _ := a.session()["user"].(map[string]any)
	if user["sub"] != "alice" || user["name"] != "alice of panva" {
		t.Errorf("the session says %v", user)
	}
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)

	answers = a.signOut(nil)
	wantVisited(t, answers,
		near+"/session/end", far.Issuer+"/logout", near+"/upstream/logged-out", a.origin+"/bff/logout/callback")
	farOP.want("ended session")

	answers = a.navigate("/bff/login")
	wantVisited(t, answers, near+"/auth", far.Issuer+"/authorize")
	if page := answers[len(answers)-1]; !strings.Contains(page.body, "Sign in at luikyv") {
		t.Errorf("the far OP does not ask again: %s shows %s", page.Request.URL, page.body)
	}
	if a.session()["authenticated"] != false {
		t.Error("somebody is signed in")
	}
}

// wantVisited checks that a navigation has led through addresses that begin so, in this order.
func wantVisited(t *testing.T, answers []*answer, prefixes ...string) {
	t.Helper()
	rest := prefixes
	for _, one := range answers {
		if len(rest) > 0 && strings.HasPrefix(one.Request.URL.String(), rest[0]) {
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		t.Errorf("the navigation did not lead to %s, or not in this order", rest[0])
	}
}
