package optest_test

import (
	"net/http"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// UIN-03: a client that is registered for signed userinfo gets a JWT, others JSON.
func TestSignedUserInfo(t *testing.T) {
	t.Parallel()
	p := newParty(t, registered(func(c *optest.Client) { c.UserInfoAlg = "ES384" }))
	a := p.userInfo(p.login()["access_token"])
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/jwt" {
		t.Fatalf("%s %v", a.Status, a.Header)
	}
	claims, header := p.verified(a.body)
	if header["alg"] != "ES384" || claims["iss"] != p.op.Issuer() || claims["aud"] != "app" || claims["sub"] != "alice" ||
		claims["name"] != "Alice" {
		t.Errorf("header %v, claims %v", header, claims)
	}
	if a := newParty(t, config()); a.ok(a.userInfo(a.login()["access_token"]))["sub"] != "alice" {
		t.Error("no JSON without registration")
	}
}
