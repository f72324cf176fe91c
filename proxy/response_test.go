package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session/problem"
)

// TestAnswerCaching is PX-25: what may belong to a user is in no cache, also when nobody is signed in.
func TestAnswerCaching(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, rule := range removedPrivate {
			w.Header().Set(strings.ReplaceAll(rule.name, "*", "Some-"), "public, s-maxage=600")
		}
		w.Header().Set("Cache-Control", "public, max-age=600")
		w.Header().Set("Vary", "Accept")
		w.Header().Set("Etag", `"x"`)
	})
	identity := map[string]string{"X-User": "sub"}
	g := newGateway(t, nil,
		&Route{Path: "/", Upstream: up, Token: TokenNone},
		&Route{Path: "/api", Upstream: up, Token: TokenUserOrNone},
		&Route{Path: "/ssr", Upstream: up, Token: TokenUserOrNone, Documents: true},
		&Route{Path: "/identity", Upstream: up, Token: TokenNone, Identity: identity})
	for _, path := range []string{"/api", "/ssr", "/identity"} {
		res := g.get(t, path)
		got := http.Header{}
		for name, values := range res.Header {
			if strings.Contains(name, "Cache") || strings.Contains(strings.Join(values, ","), "maxage") || name == "Vary" {
				got[name] = values
			}
		}
		want := http.Header{"Cache-Control": {"no-store"}, "Vary": {"Origin", "Accept", "Cookie"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if got := g.get(t, "/").Header.Get("Cache-Control"); got != "public, max-age=600" {
		t.Errorf("public route: Cache-Control %q", got)
	}
	g.who = alice
	if got := g.get(t, "/").Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("public route, signed in: Cache-Control %q", got)
	}
}

// TestAnswerIsData is PX-30 and PX-31: HTML from an API is no page of the application.
func TestAnswerIsData(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "script-src *")
		w.Header().Set("Content-Security-Policy-Report-Only", "script-src *")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		w.Header().Set("X-Content-Type-Options", "off")
		w.Header()["Content-Type"] = nil
		if r.URL.Query().Has("type") {
			w.Header().Set("Content-Type", "text/html")
		}
		fmt.Fprint(w, "<html><script>alert(1)</script>")
	})
	g := newGateway(t, alice,
		&Route{Path: "/", Upstream: up, Token: TokenNone},
		&Route{Path: "/api", Upstream: up, Token: TokenUser},
		&Route{Path: "/ssr", Upstream: up, Token: TokenUser, Documents: true})
	for path, want := range map[string]http.Header{
		"/": {
			"Content-Security-Policy": {"script-src *"}, "Cross-Origin-Resource-Policy": {"cross-origin"},
			"X-Content-Type-Options": {"nosniff"}, "Content-Security-Policy-Report-Only": {"script-src *"},
		},
		"/ssr": {
			"Content-Security-Policy": {"script-src *"}, "Cross-Origin-Resource-Policy": {"cross-origin"},
			"X-Content-Type-Options": {"nosniff"}, "Content-Security-Policy-Report-Only": {"script-src *"},
		},
		"/api": {
			"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; sandbox"},
			"Cross-Origin-Resource-Policy": {"same-origin"}, "X-Content-Type-Options": {"nosniff"},
		},
		"/api?type": {
			"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; sandbox"},
			"Cross-Origin-Resource-Policy": {"same-origin"}, "X-Content-Type-Options": {"nosniff"},
			"Content-Type": {"text/html"},
		},
	} {
		got := http.Header{}
		for name, values := range g.get(t, path).Header {
			if strings.HasPrefix(name, "Content-Security") || strings.HasPrefix(name, "Cross-") || strings.Contains(name, "-Type") {
				got[name] = values
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// TestCodeRefused is PX-30, before the upstream is asked.
func TestCodeRefused(t *testing.T) {
	up := newEcho(t)
	g := newGateway(t, alice,
		&Route{Path: "/", Upstream: up, Token: TokenNone},
		&Route{Path: "/api", Upstream: up, Token: TokenUser},
		&Route{Path: "/maybe", Upstream: up, Token: TokenUserOrNone},
		&Route{Path: "/ssr", Upstream: up, Token: TokenUser, Documents: true},
		&Route{Path: "/files", Static: fstest.MapFS{"files": {Data: []byte("x")}}, Token: TokenUser})
	for _, dest := range []string{
		"script", "style", "xslt", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet",
		"object", "embed", "frame", "iframe", "fencedframe",
	} {
		for _, path := range []string{"/api", "/maybe"} {
			g.wantProblem(t, g.get(t, path, "Sec-Fetch-Dest: "+dest), problem.Forbidden)
		}
		for _, path := range []string{"/", "/ssr", "/files"} {
			if res := g.get(t, path, "Sec-Fetch-Dest: "+dest); res.StatusCode != http.StatusOK {
				t.Errorf("%s as %s: status %d", path, dest, res.StatusCode)
			}
		}
	}
	for _, dest := range []string{"empty", "document", "image", ""} {
		if res := g.get(t, "/api", "Sec-Fetch-Dest: "+dest); res.StatusCode != http.StatusOK {
			t.Errorf("/api as %q: status %d", dest, res.StatusCode)
		}
	}
}

// TestCookiesDown is PX-23.
func TestCookiesDown(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"lang=sv; Path=/", ownCookie + "=evil; Path=/", "a=b; Domain=example.com"}
		w.Header()["Set-Cookie2"] = []string{"a=b"}
	})
	g := newGateway(t, alice,
		&Route{Path: "/", Upstream: up, Token: TokenNone},
		&Route{Path: "/api", Upstream: up, Token: TokenUser},
		&Route{Path: "/ssr", Upstream: up, Token: TokenUserOrNone, Documents: true})
	for path, want := range map[string][]string{"/": {"lang=sv; Path=/"}, "/ssr": {"lang=sv; Path=/"}, "/api": nil} {
		if diff := cmp.Diff(want, g.get(t, path).Header["Set-Cookie"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// TestInterimAndTrailersDropped is PX-27. What the gateway has set before is not lost by it.
func TestInterimAndTrailersDropped(t *testing.T) {
	up := newRawUpstream(t, "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nSet-Cookie: "+ownCookie+"=evil\r\n\r\n"+
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Announced\r\n\r\n"+
		"2\r\nhi\r\n0\r\nX-Announced: 1\r\nSet-Cookie: "+ownCookie+"=evil\r\n\r\n")
	g := newGateway(t, alice, &Route{Path: "/", Upstream: up, Token: TokenNone})
	res := g.raw(t, "GET / HTTP/1.1\r\nHost: app.example.com\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the first answer has status %d", res.StatusCode)
	}
	if got := body(t, res); got != "hi" || len(res.Trailer) != 0 || res.Header.Get("Trailer") != "" {
		t.Errorf("body %q, trailers %v", got, res.Trailer)
	}
	if res.Header["Set-Cookie"] != nil || res.Header["Link"] != nil || res.Header.Get("Referrer-Policy") != "from-the-gateway" {
		t.Errorf("%v", res.Header)
	}
}

// TestUpstreamReplaces: a field that the gateway set as a default and the upstream, too, is there once.
func TestUpstreamReplaces(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Referrer-Policy", "no-referrer") })
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone})
	if diff := cmp.Diff([]string{"no-referrer"}, g.get(t, "/").Header["Referrer-Policy"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestStrangeStatus: an upstream can neither switch protocols nor make net/http panic.
func TestStrangeStatus(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nSet-Cookie: a=b\r\n\r\n",
		"HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200\r\nContent-Length: -1\r\n\r\n",
		"hello\r\n\r\n",
		"",
	} {
		g := newGateway(t, alice, &Route{Path: "/", Upstream: newRawUpstream(t, answer), Token: TokenUser})
		g.wantProblem(t, g.get(t, "/"), problem.UpstreamUnavailable)
		res := g.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		g.wantProblem(t, res, problem.UpstreamUnavailable)
	}
}

// TestHead: no body, the fields of the answer to GET.
func TestHead(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12345") })
	g := newGateway(t, nil, &Route{Path: "/", Upstream: up, Token: TokenNone})
	res := g.do(t, http.MethodHead, "/", nil)
	if res.ContentLength != 5 || body(t, res) != "" {
		t.Errorf("Content-Length %d", res.ContentLength)
	}
}
