package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// plainToken is what a client sends that has no session but the token itself. It is about as long as the OP's.
var plainToken = "Authorization: Bearer " + strings.Repeat("x", 700)

const (
	clientID     = "bench"
	clientSecret = "the-secret-of-the-bench-at-its-op"
)

// provider is the issuer of an OP. It is on localhost and the parties are on 127.0.0.1, so that cookies do not mix.
type provider string

// startOP serves an OP, until the bench ends, that signs everybody in without asking, with tokens that outlive the bench.
func startOP(redirect string) (provider, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	issuer := "http://localhost:" + port
	handler, err := optest.New(optest.Config{
		Issuer:              issuer,
		Clients:             []optest.Client{{ID: clientID, Secret: clientSecret, RedirectURIs: []string{redirect}}},
		Users:               []optest.User{{Subject: "alice", Claims: map[string]any{"name": "Alice Anderson"}}},
		AccessTokenLifetime: 12 * time.Hour,
	})
	if err != nil {
		return "", err
	}
	go func() { _ = http.Serve(l, handler) }()
	return provider(issuer), nil
}

// knows asks the OP whether an Authorization field has a token of its own.
func (op provider) knows(authorization string) error {
	r, err := http.NewRequest(http.MethodGet, string(op)+"/userinfo", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", authorization)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the OP does not know the token that came to the upstream: %s", res.Status)
	}
	return nil
}

// login opens a page that sends the browser to the OP, and returns the cookies that it has in the end.
func login(page string) (field string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequest(http.MethodGet, page, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", "text/html") // mod_auth_openidc redirects nobody else
	res, err := (&http.Client{Jar: jar}).Do(r)
	if err != nil {
		return "", err
	}
	_ = res.Body.Close()
	origin, err := url.Parse(page)
	if err != nil {
		return "", err
	}
	var cookies []string
	for _, c := range jar.Cookies(origin) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if len(cookies) == 0 {
		return "", fmt.Errorf("the login ended at %s%s with %s and without a cookie",
			res.Request.URL.Host, res.Request.URL.Path, res.Status)
	}
	return "Cookie: " + strings.Join(cookies, "; "), nil
}
