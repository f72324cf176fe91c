package optest_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
)

const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

// form makes a form of pairs of name and value.
func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func exchangeForm(subject any, pairs ...string) url.Values {
	text, _ := subject.(string)
	v := form("grant_type", optest.GrantTokenExchange, "subject_token", text, "subject_token_type", accessTokenType)
	maps.Copy(v, form(pairs...))
	return v
}

func knowing(resources ...string) optest.Config {
	cfg := registered(func(c *optest.Client) { c.Scopes = append([]string{"orders"}, everything...) })
	cfg.Resources = resources
	return cfg
}

// RFC 6749, 4.4: a token for the client itself, and nothing beside it.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	cfg := knowing(resourceA, "orders-api")
	cfg.Now = func() time.Time { return now }
	p := newParty(t, cfg)
	response := p.ok(p.tokenRequest(form("grant_type", "client_credentials", "scope", "openid orders admin",
		"resource", resourceA, "audience", "orders-api")))
	token := response["access_token"]
	claims, _ := p.verified(token)
	delete(claims, "jti")
	if diff := cmp.Diff(map[string]any{
		"iss": p.op.Issuer(), "sub": "app", "client_id": "app", "aud": []any{resourceA, "orders-api"},
		"scope": "orders", "iat": 1.8e9, "exp": 1.8e9 + 300,
	}, claims); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}
	delete(response, "access_token")
	if diff := cmp.Diff(map[string]any{"token_type": "Bearer", "expires_in": 300.0, "scope": "orders"}, response); diff != "" {
		t.Errorf("token response (-want +got):\n%s", diff)
	}
	issued, ok := p.op.AccessToken(token.(string))
	if diff := cmp.Diff(optest.IssuedToken{
		Client: "app", Subject: "app", Audience: []string{resourceA, "orders-api"}, Scopes: []string{"orders"},
		Expires: now.Add(5 * time.Minute),
	}, issued); diff != "" || !ok {
		t.Errorf("issued (-want +got):\n%s", diff)
	}
	now = now.Add(6 * time.Minute)
	if _, ok := p.op.AccessToken(token.(string)); ok {
		t.Error("an expired token is good")
	}
}

func TestRefusedTargets(t *testing.T) {
	t.Parallel()
	p := newParty(t, knowing(resourceA))
	subject := p.login()["access_token"]
	for _, pair := range [][2]string{
		{"resource", resourceB}, {"resource", "/relative"}, {"audience", "another"},
	} {
		credentials := form("grant_type", "client_credentials", pair[0], pair[1])
		p.refused(p.tokenRequest(credentials), http.StatusBadRequest, "invalid_target")
		p.refused(p.tokenRequest(exchangeForm(subject, pair[0], pair[1])), http.StatusBadRequest, "invalid_target")
	}
}

// RFC 8693, 2: another token of the same user, which ends with the grant of the first.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	p := newParty(t, knowing())
	login := p.login()
	response := p.ok(p.tokenRequest(exchangeForm(login["access_token"], "audience", "orders-api", "scope", "orders admin",
		"requested_token_type", accessTokenType)))
	token := response["access_token"].(string)
	issued, ok := p.op.AccessToken(token)
	if !ok || issued.Subject != "alice" || !cmp.Equal(issued.Audience, []string{"orders-api"}) ||
		!cmp.Equal(issued.Scopes, []string{"orders"}) {
		t.Errorf("issued %+v", issued)
	}
	delete(response, "access_token")
	if diff := cmp.Diff(map[string]any{
		"issued_token_type": accessTokenType, "token_type": "Bearer", "expires_in": 300.0, "scope": "orders",
	}, response); diff != "" {
		t.Errorf("token response (-want +got):\n%s", diff)
	}
	same := p.ok(p.tokenRequest(exchangeForm(login["access_token"])))
	if same["scope"] != login["scope"] || p.audience(same) != p.op.Issuer() {
		t.Errorf("without scope and audience: %v", same)
	}
	p.op.RevokeGrants("alice")
	if _, ok := p.op.AccessToken(token); ok {
		t.Error("the token outlives the grant")
	}
	p.refused(p.tokenRequest(exchangeForm(login["access_token"])), http.StatusBadRequest, "invalid_request")
}

func TestRefusedTokenExchanges(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	login := p.login()
	for name, refused := range map[string]url.Values{
		"no subject token":         exchangeForm(nil),
		"an unknown subject token": exchangeForm("unknown"),
		"a refresh token":          exchangeForm(login["refresh_token"]),
		"another subject type":     exchangeForm(login["access_token"], "subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
		"another requested type":   exchangeForm(login["access_token"], "requested_token_type", "urn:ietf:params:oauth:token-type:jwt"),
		"an actor":                 exchangeForm(login["access_token"], "actor_token", "a"),
	} {
		t.Run(name, func(t *testing.T) { p.refused(p.tokenRequest(refused), http.StatusBadRequest, "invalid_request") })
	}
	ofAnother := exchangeForm(login["access_token"], "client_id", "post", "client_secret", secret)
	p.refused(p.post(p.op.EndpointURL(optest.TokenEndpoint), ofAnother, nil), http.StatusBadRequest, "invalid_request")
}
