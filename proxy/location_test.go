package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session/problem"
)

// TestPublicLocation is PX-33. "" means refused.
func TestPublicLocation(t *testing.T) {
	plain := &Route{Path: "/", Upstream: mustParse(t, "http://orders:9000")}
	mapped := &Route{Path: "/api/", Upstream: mustParse(t, "http://10.0.0.5/v1/"), StripPrefix: true}
	p := &Proxy{
		publicURL: mustParse(t, publicURL),
		upstreams: map[string]bool{"orders": true, "10.0.0.5": true, "up.example.net": true},
	}
	for _, c := range []struct {
		rt       *Route
		in, want string
	}{
		{plain, "/x?y=1#z", "/x?y=1#z"},
		{plain, "/", "/"},
		{plain, "x/y", "x/y"},
		{plain, "../x", "../x"},
		{plain, "?page=2", "?page=2"},
		{plain, "#top", "#top"},
		{plain, "/caf%C3%A9", "/caf%C3%A9"},
		{plain, "https://app.example.com/x?y#z", "https://app.example.com/x?y#z"},
		{plain, "https://APP.example.com:443/x", "https://APP.example.com:443/x"},
		{plain, "//app.example.com/x", "//app.example.com/x"},
		{plain, "http://orders:9000/x?y=1#z", "/x?y=1#z"},
		{plain, "http://ORDERS:9000", "/"},
		{plain, "https://orders:9000/x", "/x"},
		{plain, "https://pay.example.org/checkout?id=1", "https://pay.example.org/checkout?id=1"},
		{plain, "//pay.example.org/x", "//pay.example.org/x"},

		{mapped, "/v1/x?y=1", "/api/x?y=1"},
		{mapped, "/v1", "/api"},
		{mapped, "http://10.0.0.5/v1/x%7Cy", "/api/x%7Cy"},
		{mapped, "http://10.0.0.5:80/v1/", "/api/"},
		{mapped, "x", "x"},
		{mapped, "/v2/x", ""},
		{mapped, "/v10/x", ""},
		{mapped, "http://10.0.0.5/admin", ""},
		{mapped, "http://10.0.0.5:8080/v1/x", ""},
		{mapped, "https://orders/v1/x", ""},

		{plain, "http://orders/x", ""},
		{plain, "https://orders/x", ""},
		{plain, "https://up.example.net/x", ""},
		{plain, "https://UP.example.net.:444/x", ""},
		{plain, "http://pay.example.org/", ""},
		{plain, "http://10.0.0.5/", ""},
		{plain, "https://10.0.0.5/", ""},
		{plain, "https://8.8.8.8/", ""},
		{plain, "https://127.0.0.1:9000/", ""},
		{plain, "https://127.1/", ""},
		{plain, "https://0x7f.0x0.0x0.0x1/", ""},
		{plain, "https://2130706433/", ""},
		{plain, "https://[::1]/", ""},
		{plain, "https://[fd00::1]:443/", ""},
		{plain, "https://localhost/", ""},
		{plain, "https://db/", ""},
		{plain, "https://orders.shop.svc.cluster.local/", ""},
		{plain, "https://orders.shop.svc/", ""},
		{plain, "https://host.docker.internal/", ""},
		{plain, "https://host.docker.internal./", ""},
		{plain, "https://\uff11\uff12\uff17.0.0.1.example.org/", ""},
		{plain, "https://user:pw@pay.example.org/", ""},
		{plain, "https://app.example.com@evil.example/", ""},
		{plain, "javascript:alert(1)", ""},
		{plain, "data:text/html,x", ""},
		{plain, "myapp://callback", ""},
		{plain, "https:evil.example", ""},
		{plain, "https:/evil.example", ""},
		{plain, "https:///evil.example", ""},
		{plain, "///evil.example", ""},
		{plain, "////evil.example", ""},
		{plain, "/\\evil.example", ""},
		{plain, "\\\\evil.example", ""},
		{plain, "/\t/evil.example", ""},
		{plain, " https://evil.example/", ""},
		{plain, "http://orders:9000//evil.example", ""},
		{mapped, "/v1//evil.example", "/api//evil.example"},
		{plain, "https://pay.example.org:port/", ""},
		{plain, "/%zz", ""},
		{plain, "https://./", ""},
		{plain, "https://a./", ""},
	} {
		x := &exchange{Proxy: p, target: &target{Route: c.rt}}
		if got, ok := x.publicLocation(c.in); got != c.want || ok != (c.want != "") {
			t.Errorf("%s -> %s, %q: %q %v, want %q", c.rt.Path, c.rt.Upstream, c.in, got, ok, c.want)
		}
	}
}

// TestRedirects: the route does not follow them, and passes on only what the browser may know.
func TestRedirects(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.Header().Set("Content-Location", "http://10.0.0.5/x")
		w.WriteHeader(map[string]int{"/redirect": http.StatusFound, "/created": http.StatusCreated}[r.URL.Path])
	})
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone})
	for _, c := range []struct {
		path, to, want string
		status         int
	}{
		{"/redirect", "/next", "/next", http.StatusFound},
		{"/redirect", up.String() + "/next", "/next", http.StatusFound},
		{"/redirect", "https://pay.example.org/", "https://pay.example.org/", http.StatusFound},
		{"/created", up.String() + "/orders/1", "/orders/1", http.StatusCreated},
		{"/created", "http://10.0.0.5/orders/1", "", http.StatusCreated},
	} {
		res := g.get(t, c.path+"?to="+url.QueryEscape(c.to))
		if res.StatusCode != c.status || res.Header.Get("Location") != c.want || res.Header["Content-Location"] != nil {
			t.Errorf("%s %s: status %d, %v", c.path, c.to, res.StatusCode, res.Header)
		}
	}
	twice := newRawUpstream(t, "HTTP/1.1 201 Created\r\nLocation: \r\nLocation: http://10.0.0.5/\r\nContent-Length: 0\r\n\r\n")
	res := newGateway(t, nil, &Route{Path: "/", Upstream: twice, Token: TokenNone}).get(t, "/")
	if got := strings.Join(res.Header["Location"], ""); got != "" {
		t.Errorf("a second Location reached the browser: %q", got)
	}
	p := g.wantProblem(t, g.get(t, "/redirect?to=http://10.0.0.5/"), problem.UpstreamUnavailable)
	if strings.Contains(p.Detail, "10.0.0.5") {
		t.Errorf("the client is told %q", p.Detail)
	}
}

// FuzzPublicLocation: what a browser makes of the result is the public origin or an https URL, never the upstream.
func FuzzPublicLocation(f *testing.F) {
	for _, seed := range []string{"/v1/x", "http://10.0.0.5/v1/x", "//a.example/x", "https://a.example/x?y#z", "/\\x", "x", "///x"} {
		f.Add(seed)
	}
	p := &Proxy{publicURL: &url.URL{Scheme: "https", Host: "app.example.com"}, upstreams: map[string]bool{"10.0.0.5": true}}
	x := &exchange{Proxy: p, target: &target{Route: &Route{
		Path: "/api/", Upstream: &url.URL{Scheme: "http", Host: "10.0.0.5", Path: "/v1"}, StripPrefix: true,
	}}}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := x.publicLocation(in)
		if !ok {
			return
		}
		base := &url.URL{Scheme: "https", Host: "app.example.com", Path: "/api/page"}
		u, err := base.Parse(strings.ReplaceAll(got, "\\", "/"))
		if err != nil || u.Scheme != "https" || u.Hostname() == "10.0.0.5" || u.User != nil {
			t.Errorf("%q became %q: %v", in, got, err)
		}
	})
}
