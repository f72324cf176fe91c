package proxy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSessionCookieUp: the gateway's cookies stay here (PX-04), but for one: the session cookie of a live session, on a
// route that sends it up. The others, also those whose names begin like it, do not go along.
func TestSessionCookieUp(t *testing.T) {
	up := newEcho(t)
	g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), SessionCookie: ownCookie},
		&Route{Path: "/", Upstream: up, Token: TokenUserOrNone},
		&Route{Path: "/pages", Upstream: up, Token: TokenUserOrNone, SessionCookie: true, Documents: true})
	cookies := []string{
		"Cookie: lang=sv; " + ownCookie + "=ticket; " + ownCookie + "-flow-1=x",
		"Cookie: " + ownCookie + "-logout=x; " + ownCookie + "x=y; a=b",
	}
	want := func(path, kept string) {
		t.Helper()
		got := readEcho(t, g.get(t, path, cookies...)).Header["Cookie"]
		if diff := cmp.Diff([]string{kept}, got); diff != "" {
			t.Errorf("%s: Cookie (-want +got):\n%s", path, diff)
		}
	}
	want("/pages", "lang=sv; "+ownCookie+"=ticket; a=b")
	want("/", "lang=sv; a=b")
	g.who = nil // the ticket of a session that is over
	want("/pages", "lang=sv; a=b")
}

// TestSessionCookieHandshake: what a WebSocket is about has begun with a page; nothing is rendered in it.
func TestSessionCookieHandshake(t *testing.T) {
	up, got := wsUpstream(t, make(chan struct{}, 1))
	g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), SessionCookie: ownCookie},
		&Route{Path: "/", Upstream: up, Token: TokenUserOrNone, WebSocket: true, SessionCookie: true})
	s := g.dial(t, append(wsHandshake, "Cookie: a=b; "+ownCookie+"=ticket")...)
	defer s.Close()
	if diff := cmp.Diff([]string{"a=b"}, (<-got).Header["Cookie"]); diff != "" {
		t.Errorf("Cookie (-want +got):\n%s", diff)
	}
}

// TestSessionCookieInClear: it is worth as much as a token (PX-19).
func TestSessionCookieInClear(t *testing.T) {
	for upstream, want := range map[string]bool{"http://127.0.0.1:3000": true, "https://pages:3000": true, "http://pages:3000": false} {
		rt := &Route{Path: "/", Upstream: mustParse(t, upstream), Token: TokenNone, SessionCookie: true}
		if err := rt.validate(); (err == nil) != want {
			t.Errorf("%s: %v", upstream, err)
		}
	}
}
