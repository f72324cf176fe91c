package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	panvaResource = "https://orders.e2e.test" // of op/panva/server.mjs
	panvaLifetime = 2 * time.Second           // of its access tokens
)

// TestPanva is a visit to an application whose OP nobody here wrote, with sessions in Redis: login, API calls, expiry and
// refresh with rotation, logout at the OP and back.
func TestPanva(t *testing.T) {
	t.Parallel()
	api := startAPI(t)
	c := newConfig(t, api)
	c.useRedis(t, startRedis(t))
	startPanva(t, c, nil)
	// oidc-provider grants offline_access only where the user was asked (OpenID Connect Core §11).
	c.Provider = `
scopes: [openid, profile, email, offline_access, "orders:read"]
authorization_params: {prompt: consent}
`
	c.Session = "refresh_before: 1s"
	gateway := serve(t, c)
	b := startBrowser(t)

	b.open(c.Origin + "/bff/login?returnUrl=/?page=2%23row")
	b.see("input[name=login]")
	b.screenshot("1-sign-in")
	evaluate[any](b, `void (document.querySelector("input[name=login]").value = "alice")`)
	b.click("button")
	b.await(`document.title === "Allow access?"`)
	b.screenshot("2-consent")
	b.click("button")
	b.awaitPage(c.Origin + "/?page=2#row")

	session := fetchIn(b, "GET", "/bff/session")
	user, _ := session.Body["user"].(map[string]any)
	if user["sub"] != "alice" || user["name"] != "alice of panva" || user["email"] != "alice@panva.test" {
		t.Fatalf("the session says %v", session.Body)
	}

	// Every call succeeds, before and after each expiry, and brings a token that is good for this API.
	deadline := time.Now().Add(time.Minute)
	for len(api.tokens()) < 3 && time.Now().Before(deadline) {
		if got := fetchIn(b, "GET", "/api/echo"); got.Status != 200 || got.Body["has_token"] != true {
			t.Fatalf("an API call was answered with %d %v", got.Status, got.Body)
		}
	}
	tokens := api.tokens()
	if len(tokens) < 3 {
		t.Fatalf("the API has seen %d access tokens in a minute, want 3, each good for %s", len(tokens), panvaLifetime)
	}
	keys := oidc.NewRemoteKeySet(t.Context(), c.Issuer+"/jwks")
	for _, token := range tokens {
		payload, err := keys.VerifySignature(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct{ Iss, Sub, Aud, Scope string }
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		if claims.Iss != c.Issuer || claims.Sub != "alice" || claims.Aud != panvaResource || claims.Scope != "orders:read" {
			t.Errorf("the API got a token with %+v", claims)
		}
	}
	if refreshed := strings.Count(gateway.stderr.String(), `"event":"refreshed"`); refreshed < 2 {
		t.Errorf("the audit log has %d refreshes, want at least 2", refreshed)
	}

	// Logout at the OP, which asks, and back.
	loggedOut := fetchIn(b, "POST", "/bff/logout")
	redirectTo, _ := loggedOut.Body["redirect_to"].(string)
	if loggedOut.Status != 200 || redirectTo == "" {
		t.Fatalf("POST /bff/logout: %d %v", loggedOut.Status, loggedOut.Body)
	}
	evaluate[any](b, "void setTimeout(() => location.assign("+quote(redirectTo)+"))")
	b.await("location.origin === " + quote(c.Issuer))
	b.screenshot("3-logout-at-the-op")
	b.click(`button[name=logout][value=yes]`)
	b.awaitPage(c.Origin + "/")
	if session := fetchIn(b, "GET", "/bff/session"); session.Body["authenticated"] != false {
		t.Errorf("after the logout the session says %v", session.Body)
	}
	if i := slices.IndexFunc(b.cookies(), isOwnCookie); i >= 0 {
		t.Errorf("after the logout the cookie %s is left", b.cookies()[i].Name)
	}
	b.open(c.Origin + "/bff/login")
	b.see("input[name=login]") // the session at the OP has ended too
}
