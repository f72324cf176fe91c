package attack_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/secret"
)

// FuzzDifferential is the differential run without processes: package proxy in front of net/http, nobody asked for a
// session.
func FuzzDifferential(f *testing.F) {
	for _, target := range corpus(f) {
		f.Add(target)
	}
	g := newGenerator(1, 1)
	for range 2000 {
		f.Add(g.target())
	}
	var routes []*proxy.Route
	for first, rule := range policy {
		routes = append(routes, &proxy.Route{
			Path: "/" + first + "/", Token: proxy.TokenNone, StripPrefix: "/"+first != rule.base,
			Upstream: &url.URL{Scheme: "http", Host: "upstream", Path: strings.TrimSuffix(rule.base, "/"+first)},
		})
	}
	table, err := proxy.NewTable(routes)
	if err != nil {
		f.Fatal(err)
	}
	p, err := proxy.New(proxy.Options{
		Routes: routes, PublicURL: &url.URL{Scheme: "https", Host: host},
		OwnCookie: func(string) bool { return false }, Transport: inProcess{goUpstream()},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(message("GET "+target+" HTTP/1.1", "Host: "+host))))
		if err != nil || r.RequestURI != target || proxy.Canonical(r) != nil {
			return
		}
		i := table.Match(r.URL.Path)
		if i < 0 {
			return
		}
		w := httptest.NewRecorder()
		if err := p.Serve(w, r, routes[i], nil, secret.String{}); err != nil {
			t.Fatal(err)
		}
		location, raw := w.Header().Get("X-Location"), w.Header().Get("X-Raw")
		if why := judge(target, routes[i].Path, location, raw, true); why != "" {
			t.Errorf("%q: %s", target, why)
		}
	})
}

// inProcess carries a request to a handler, as the bytes that would go over a connection.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		return nil, err
	}
	r, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}
