package proxy

import (
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

func TestNewErrors(t *testing.T) {
	valid := func() *Route {
		return &Route{Path: "/api", Upstream: &url.URL{Scheme: "https", Host: "orders.example"}, Token: TokenUser}
	}
	plain := func(host string) *url.URL { return &url.URL{Scheme: "http", Host: host} }
	for want, edit := range map[string]func(*Route){
		"":                                       func(*Route) {},
		"needs an upstream or a static folder":   func(rt *Route) { rt.Upstream = nil },
		"and not both":                           func(rt *Route) { rt.Static = fstest.MapFS{} },
		"must be http, https or h2c":             func(rt *Route) { rt.Upstream.Scheme = "unix" },
		"has no host":                            func(rt *Route) { rt.Upstream.Host = ":80" },
		"must be scheme, host and path only":     func(rt *Route) { rt.Upstream.RawQuery = "a=b" },
		"scheme, host and path only":             func(rt *Route) { rt.Upstream.User = url.User("a") },
		"the path contains a dot segment":        func(rt *Route) { rt.Upstream.Path = "/v1/../x" },
		"unencrypted to another host":            func(rt *Route) { rt.Upstream = plain("orders") },
		"use https or allow_plaintext":           func(rt *Route) { rt.Upstream = plain("10.0.0.5:80") },
		`unknown token policy ""`:                func(rt *Route) { rt.Token = "" },
		`unknown token policy "users"`:           func(rt *Route) { rt.Token = "users" },
		"must not be negative":                   func(rt *Route) { rt.Timeout = -time.Second },
		"max_body and times must not be":         func(rt *Route) { rt.MaxBody = -1 },
		"times must not be negative":             func(rt *Route) { rt.IdleTimeout = -1 },
		"and times must not be negative":         func(rt *Route) { rt.MaxDuration = -1 },
		`method "TRACE" cannot be proxied`:       func(rt *Route) { rt.Methods = []string{"GET", "TRACE"} },
		`method "CONNECT" cannot be proxied`:     func(rt *Route) { rt.Methods = []string{"CONNECT"} },
		`method "get" cannot be proxied`:         func(rt *Route) { rt.Methods = []string{"get"} },
		`method "A B" cannot be proxied`:         func(rt *Route) { rt.Methods = []string{"A B"} },
		`"X A" is not a header name`:             func(rt *Route) { rt.Headers = map[string]string{"X A": "1"} },
		"control characters":                     func(rt *Route) { rt.Headers = map[string]string{"X-A": "1\r\nX-B: 2"} },
		"X_A: write it with '-'":                 func(rt *Route) { rt.Identity = map[string]string{"X_A": "sub"} },
		"host: the proxy sets":                   func(rt *Route) { rt.Headers = map[string]string{"host": "a"} },
		"Cookie: the proxy sets":                 func(rt *Route) { rt.Identity = map[string]string{"Cookie": "sub"} },
		"Authorization: the proxy sets":          func(rt *Route) { rt.Headers = map[string]string{"Authorization": "Basic x"} },
		"X-Forwarded-For: the proxy sets":        func(rt *Route) { rt.Headers = map[string]string{"X-Forwarded-For": "1"} },
		"Transfer-Encoding: the proxy sets":      func(rt *Route) { rt.Headers = map[string]string{"Transfer-Encoding": "x"} },
		"Proxy-Authorization: the proxy sets or": func(rt *Route) { rt.Headers = map[string]string{"Proxy-Authorization": "x"} },
	} {
		rt := valid()
		edit(rt)
		_, err := New(Options{Routes: []*Route{rt}, PublicURL: mustParse(t, publicURL), OwnCookie: isOwnCookie})
		switch {
		case want == "" && err != nil:
			t.Errorf("a good route: %v", err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), `route "/api": `)):
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := New(Options{PublicURL: mustParse(t, publicURL)}); err == nil {
		t.Error("New without OwnCookie")
	}
}

// TestPlaintext is PX-19.
func TestPlaintext(t *testing.T) {
	for _, c := range []struct {
		upstream string
		token    TokenPolicy
		allow    bool
		ok       bool
	}{
		{"http://127.0.0.1:9000", TokenUser, false, true},
		{"http://[::1]:9000", TokenUser, false, true},
		{"http://localhost:9000", TokenUserOrNone, false, true},
		{"http://orders:9000", TokenNone, false, true},
		{"http://orders:9000", TokenUser, true, true},
		{"https://orders:9000", TokenUser, false, true},
		{"http://orders:9000", TokenUser, false, false},
		{"http://localhost.example.com", TokenUserOrNone, false, false},
		{"http://127.0.0.1.example.com", TokenUser, false, false},
	} {
		rt := &Route{Path: "/", Upstream: mustParse(t, c.upstream), Token: c.token, AllowPlaintext: c.allow}
		if err := rt.validate(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestRouteAuthorization: an upstream without user tokens may have a credential of its own.
func TestRouteAuthorization(t *testing.T) {
	g := newGateway(t, nil, &Route{
		Path: "/", Upstream: newEcho(t), Token: TokenNone, Headers: map[string]string{"Authorization": "Basic eDp5"},
	})
	got := readEcho(t, g.get(t, "/", "Authorization: Bearer evil")).Header["Authorization"]
	if len(got) != 1 || got[0] != "Basic eDp5" {
		t.Errorf("%q", got)
	}
}

func TestServeForeignRoute(t *testing.T) {
	p, err := New(Options{PublicURL: mustParse(t, publicURL), OwnCookie: isOwnCookie})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := p.Serve(nil, nil, &Route{}, nil, secret.String{}).(*problem.Error); !ok || got.Code != problem.Internal {
		t.Errorf("%v", got)
	}
}
