package optest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			cfg := config()
			cfg.SigningAlg, cfg.Audience = alg, []string{"https://api.example"}
			cfg.AccessTokenLifetime, cfg.IDTokenLifetime = 2*time.Minute, time.Minute
			cfg.Now = func() time.Time { return now }
			p := newParty(t, cfg)
			response := p.login()

			if response["token_type"] != "Bearer" || response["expires_in"] != 120.0 ||
				response["scope"] != strings.Join(everything, " ") {
				t.Errorf("token response: %v", response)
			}
			idToken, header := p.verified(response["id_token"])
			if header["alg"] != alg || header["typ"] != "JWT" {
				t.Errorf("ID token header: %v", header)
			}
			for _, random := range []string{"sid", "at_hash"} {
				if idToken[random] == "" || idToken[random] == nil {
					t.Errorf("no %s", random)
				}
				delete(idToken, random)
			}
			if diff := cmp.Diff(map[string]any{
				"iss": p.op.Issuer(), "sub": "alice", "aud": "app", "nonce": "nonce-1", "acr": "pwd", "amr": []any{"pwd"},
				"iat": 1.8e9, "auth_time": 1.8e9, "exp": 1.8e9 + 60,
			}, idToken); diff != "" {
				t.Errorf("ID token (-want +got):\n%s", diff)
			}
			accessToken, header := p.verified(response["access_token"])
			if header["typ"] != "at+jwt" || accessToken["jti"] == "" {
				t.Errorf("access token: %v %v", header, accessToken)
			}
			delete(accessToken, "jti")
			if diff := cmp.Diff(map[string]any{
				"iss": p.op.Issuer(), "sub": "alice", "aud": "https://api.example", "client_id": "app", "acr": "pwd",
				"scope": strings.Join(everything, " "), "iat": 1.8e9, "auth_time": 1.8e9, "exp": 1.8e9 + 120,
			}, accessToken); diff != "" {
				t.Errorf("access token (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWithoutOfflineAccess(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	if token, ok := p.login("scope", "openid")["refresh_token"]; ok {
		t.Errorf("refresh token %v", token)
	}
	if token, ok := p.login("scope", "email")["id_token"]; ok {
		t.Errorf("ID token without openid: %v", token)
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	secretPost := func(id, secret string) func(url.Values) {
		return func(v url.Values) { v.Set("client_id", id); v.Set("client_secret", secret) }
	}
	none := func(url.Values) {}
	for name, test := range map[string]struct {
		form   func(url.Values)
		header func(*http.Request)
		code   string
	}{
		"basic":                  {none, basic("app", secret), "invalid_grant"},
		"basic with client_id":   {func(v url.Values) { v.Set("client_id", "app") }, basic("app", secret), "invalid_grant"},
		"post":                   {secretPost("post", secret), nil, "invalid_grant"},
		"none":                   {none, nil, "invalid_client"},
		"only client_id":         {func(v url.Values) { v.Set("client_id", "post") }, nil, "invalid_client"},
		"basic, wrong secret":    {none, basic("app", "wrong"), "invalid_client"},
		"basic, unknown client":  {none, basic("other", secret), "invalid_client"},
		"basic, not encoded":     {none, func(r *http.Request) { r.SetBasicAuth("app", secret) }, "invalid_client"},
		"basic, other client_id": {func(v url.Values) { v.Set("client_id", "post") }, basic("app", secret), "invalid_client"},
		"post, wrong secret":     {secretPost("post", "wrong"), nil, "invalid_client"},
		"post by a basic client": {secretPost("app", secret), nil, "invalid_client"},
		"basic by a post client": {none, basic("post", secret), "invalid_client"},
		"both":                   {secretPost("app", secret), basic("app", secret), "invalid_request"},
		"bearer":                 {none, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			form := codeForm("no-such-code")
			test.form(form)
			a := p.post(p.op.EndpointURL(optest.TokenEndpoint), form, test.header)
			status := http.StatusBadRequest
			if test.code == "invalid_client" {
				status = http.StatusUnauthorized
			}
			p.refused(a, status, test.code)
		})
	}
}

func TestRefusedCodes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	cfg := config()
	cfg.Now = func() time.Time { return now }
	p := newParty(t, cfg)
	change := func(name, value string) func(url.Values) { return func(v url.Values) { v.Set(name, value) } }
	for name, edit := range map[string]func(url.Values){
		"unknown":            change("code", "other"),
		"other redirect URI": change("redirect_uri", byeURL),
		"no redirect URI":    change("redirect_uri", ""),
		"other verifier":     change("code_verifier", verifier+"x"),
		"no verifier":        change("code_verifier", ""),
		"expired":            func(url.Values) { now = now.Add(61 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			form := codeForm(p.callback(p.authorize()).Get("code"))
			edit(form)
			p.refused(p.tokenRequest(form), http.StatusBadRequest, "invalid_grant")
		})
	}
	t.Run("other client", func(t *testing.T) {
		form := codeForm(p.callback(p.authorize()).Get("code"))
		form.Set("client_id", "post")
		form.Set("client_secret", secret)
		p.refused(p.post(p.op.EndpointURL(optest.TokenEndpoint), form, nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("twice", func(t *testing.T) {
		form := codeForm(p.callback(p.authorize()).Get("code"))
		tokens := p.ok(p.tokenRequest(form))
		p.refused(p.tokenRequest(form), http.StatusBadRequest, "invalid_grant")
		p.refused(p.tokenRequest(refreshForm(tokens["refresh_token"])), http.StatusBadRequest, "invalid_grant")
	})
}

func TestRefusedTokenRequests(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.refused(p.tokenRequest(url.Values{"grant_type": {"password"}}), http.StatusBadRequest, "unsupported_grant_type")
	p.refused(p.tokenRequest(refreshForm("unknown")), http.StatusBadRequest, "invalid_grant")
	p.refused(p.tokenRequest(url.Values{"grant_type": {"refresh_token"}, "code": {"a", "b"}}),
		http.StatusBadRequest, "invalid_request")
	if a := p.get(p.op.EndpointURL(optest.TokenEndpoint)); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", a.Status)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	login := p.login()
	refreshed := p.ok(p.tokenRequest(refreshForm(login["refresh_token"])))
	for _, token := range []string{"refresh_token", "access_token", "id_token"} {
		if refreshed[token] == nil || refreshed[token] == login[token] {
			t.Errorf("%s is not new", token)
		}
	}
	first, _ := p.verified(login["id_token"])
	second, _ := p.verified(refreshed["id_token"])
	if _, ok := second["nonce"]; ok {
		t.Error("a nonce on refresh")
	}
	for _, same := range []string{"iss", "sub", "aud", "auth_time", "sid", "acr"} {
		if !cmp.Equal(first[same], second[same]) {
			t.Errorf("%s: %v, then %v", same, first[same], second[same])
		}
	}
	narrow := refreshForm(refreshed["refresh_token"])
	narrow.Set("scope", "openid admin")
	p.refused(p.tokenRequest(narrow), http.StatusBadRequest, "invalid_scope")
	narrow.Set("scope", "openid email")
	if got := p.ok(p.tokenRequest(narrow))["scope"]; got != "openid email" {
		t.Errorf("scope %q", got)
	}
	if n := p.op.CountGrants("refresh_token"); n != 3 {
		t.Errorf("CountGrants: %d, want 3", n)
	}
}

// RFC 9700, 4.14.2: who uses a rotated token takes everybody down.
func TestReuseRevokesTheFamily(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	other := p.login()
	first := p.login()
	second := p.ok(p.tokenRequest(refreshForm(first["refresh_token"])))
	third := p.ok(p.tokenRequest(refreshForm(second["refresh_token"])))
	p.refused(p.tokenRequest(refreshForm(first["refresh_token"])), http.StatusBadRequest, "invalid_grant")
	p.refused(p.tokenRequest(refreshForm(third["refresh_token"])), http.StatusBadRequest, "invalid_grant")
	p.refused(p.userInfo(third["access_token"]), http.StatusUnauthorized, "invalid_token")
	p.ok(p.tokenRequest(refreshForm(other["refresh_token"])))
}

func TestRefreshTokenOfAnotherClient(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	form := refreshForm(p.login()["refresh_token"])
	form.Set("client_id", "post")
	form.Set("client_secret", secret)
	p.refused(p.post(p.op.EndpointURL(optest.TokenEndpoint), form, nil), http.StatusBadRequest, "invalid_grant")
}

func TestKeepRefreshTokens(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.KeepRefreshTokens = true
	p := newParty(t, cfg)
	form := refreshForm(p.login()["refresh_token"])
	for range 2 {
		if _, ok := p.ok(p.tokenRequest(form))["refresh_token"]; ok {
			t.Error("a new refresh token")
		}
	}
}

func TestRevokeGrants(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	tokens := p.login()
	p.op.RevokeGrants("bob")
	tokens = p.ok(p.tokenRequest(refreshForm(tokens["refresh_token"])))
	p.op.RevokeGrants("alice")
	p.refused(p.tokenRequest(refreshForm(tokens["refresh_token"])), http.StatusBadRequest, "invalid_grant")
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	revoke := func(token any, header func(*http.Request)) answer {
		return p.post(p.op.EndpointURL(optest.RevocationEndpoint), url.Values{"token": {token.(string)}}, header)
	}
	app := basic("app", secret)

	tokens := p.login()
	if a := revoke(tokens["access_token"], app); a.StatusCode != http.StatusOK {
		t.Errorf("access token: %s", a.Status)
	}
	p.refused(p.userInfo(tokens["access_token"]), http.StatusUnauthorized, "invalid_token")
	tokens = p.ok(p.tokenRequest(refreshForm(tokens["refresh_token"])))

	if a := revoke(tokens["refresh_token"], app); a.StatusCode != http.StatusOK {
		t.Errorf("refresh token: %s", a.Status)
	}
	p.refused(p.tokenRequest(refreshForm(tokens["refresh_token"])), http.StatusBadRequest, "invalid_grant")
	p.refused(p.userInfo(tokens["access_token"]), http.StatusUnauthorized, "invalid_token")

	if a := revoke("unknown", app); a.StatusCode != http.StatusOK {
		t.Errorf("unknown token: %s, want 200 (RFC 7009, 2.2)", a.Status)
	}
	p.refused(revoke("", app), http.StatusBadRequest, "invalid_request")
	p.refused(revoke("unknown", nil), http.StatusUnauthorized, "invalid_client")
}

func TestRevocationByAnotherClient(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	tokens := p.login()
	for _, token := range []string{"access_token", "refresh_token"} {
		p.post(p.op.EndpointURL(optest.RevocationEndpoint), url.Values{
			"token": {tokens[token].(string)}, "client_id": {"post"}, "client_secret": {secret},
		}, nil)
	}
	p.ok(p.userInfo(tokens["access_token"]))
	p.ok(p.tokenRequest(refreshForm(tokens["refresh_token"])))
}

func TestUserInfo(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	cfg := config()
	cfg.Now = func() time.Time { return now }
	p := newParty(t, cfg)
	all := p.login()["access_token"]
	if diff := cmp.Diff(map[string]any{"sub": "alice", "name": "Alice", "email": "alice@example.com", "team": "red"},
		p.ok(p.userInfo(all))); diff != "" {
		t.Errorf("all scopes (-want +got):\n%s", diff)
	}
	few := p.login("scope", "openid email")["access_token"]
	if diff := cmp.Diff(map[string]any{"sub": "alice", "email": "alice@example.com", "team": "red"},
		p.ok(p.userInfo(few))); diff != "" {
		t.Errorf("openid email (-want +got):\n%s", diff)
	}
	p.refused(p.userInfo("unknown"), http.StatusUnauthorized, "invalid_token")
	p.refused(p.userInfo(p.login("scope", "email")["access_token"]), http.StatusForbidden, "insufficient_scope")
	now = now.Add(6 * time.Minute)
	p.refused(p.userInfo(all), http.StatusUnauthorized, "invalid_token")
}
