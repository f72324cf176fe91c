package gateway

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/problem"
)

// What a claim must be: a value of the same kind, or an array that has it.
func TestRequiredClaims(t *testing.T) {
	for _, test := range []struct {
		claim string
		value any
		want  bool
	}{
		{`"sales"`, "sales", true},
		{`"Sales"`, "sales", false},
		{`"sa\u006ces"`, "sales", true},
		{`["hr","sales"]`, "sales", true},
		{`["hr",["sales"]]`, "sales", false},
		{`{"sales":"sales"}`, "sales", false},
		{`"sales hr"`, "sales", false},
		{`3`, json.Number("3"), true},
		{`[1,3]`, json.Number("3"), true},
		{`3.0`, json.Number("3"), false},
		{`"3"`, json.Number("3"), false},
		{`3`, "3", false},
		{`true`, true, true},
		{`"true"`, true, false},
		{`false`, true, false},
		{`null`, "null", false},
		{`[]`, "", false},
		{``, "", false},
	} {
		if got := matches(json.RawMessage(test.claim), []any{"another", test.value}); got != test.want {
			t.Errorf("claim %s, value %#v: %v", test.claim, test.value, got)
		}
	}
}

// A session that lacks what the route requires: 403 before anything else is done for the request. Nothing reaches the
// upstream, no token is got or refreshed.
func TestRequire(t *testing.T) {
	scope, claim := Require{Scopes: []string{"openid", "profile"}}, Require{Claims: map[string][]any{"name": {"Alice", "Bob"}}}
	both := Require{Scopes: scope.Scopes, Claims: claim.Claims}
	for name, test := range map[string]struct {
		token   proxy.TokenPolicy
		require Require
		status  int
	}{
		"scopes":                   {proxy.TokenUser, scope, 200},
		"a scope is missing":       {proxy.TokenUser, Require{Scopes: []string{"openid", "admin"}}, 403},
		"a claim":                  {proxy.TokenUser, claim, 200},
		"another value":            {proxy.TokenUser, Require{Claims: map[string][]any{"name": {"Bob"}}}, 403},
		"a claim is missing":       {proxy.TokenUser, Require{Claims: map[string][]any{"name": {"Alice"}, "role": {"admin"}}}, 403},
		"scopes, not the claim":    {proxy.TokenUser, Require{Scopes: scope.Scopes, Claims: map[string][]any{"name": {"Bob"}}}, 403},
		"user_or_none":             {proxy.TokenUserOrNone, both, 200},
		"user_or_none, missing":    {proxy.TokenUserOrNone, Require{Scopes: []string{"admin"}}, 403},
		"exchange":                 {proxy.TokenExchange, both, 200},
		"exchange, missing":        {proxy.TokenExchange, Require{Scopes: []string{"admin"}}, 403},
		"gateway's token":          {proxy.TokenClient, both, 200},
		"gateway's token, missing": {proxy.TokenClient, Require{Scopes: []string{"admin"}}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			g := newReplica(t, func(_ *replica, c *Config) {
				c.Routes[0].Token, c.Routes[0].Require = test.token, test.require
				if test.token == proxy.TokenExchange || test.token == proxy.TokenClient {
					c.Routes[0].Target.Audience = "orders"
				}
			}).ready()
			c := g.client().signIn()
			before := len(g.op.Requests(optest.TokenEndpoint))
			g.ahead.Add(int64(time.Hour / 6)) // the access token has expired
			res := c.send("GET", "/api/x", csrf)
			if res.StatusCode != test.status {
				t.Fatalf("%s %s", res.Status, res.body)
			}
			if test.status == 403 {
				if res.code() != string(problem.Forbidden) || g.calls() != 0 || len(g.op.Requests(optest.TokenEndpoint)) != before {
					t.Errorf("%s, %d upstream calls, %d token requests", res.body, g.calls(), len(g.op.Requests(optest.TokenEndpoint))-before)
				}
			}
			if n := g.op.CountGrants("refresh_token"); test.token == proxy.TokenClient && n != 0 {
				t.Errorf("%d refreshes for a token that does not go up", n)
			}
			if res := g.client().send("GET", "/api/x", csrf); res.StatusCode != 401 || res.code() != string(problem.Unauthenticated) {
				t.Errorf("anonymous: %s %s", res.Status, res.body)
			}
		})
	}
}
