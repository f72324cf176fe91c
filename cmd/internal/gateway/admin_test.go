package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

// adminReplica is a replica whose admin listener is on loopback, with three providers, two of one OP, and their sessions.
type adminReplica struct {
	*replica
	address string
	ids     map[string]session.ID // by provider, sub and sid: "default alice 1"
}

func newAdminReplica(t *testing.T, change func(g *replica, c *Config)) *adminReplica {
	t.Helper()
	g := newReplica(t, func(g *replica, c *Config) {
		second := c.Providers[0]
		second.Name, second.Issuer = "second", "https://second.example.com"
		other := c.Providers[0]
		other.Name, other.ClientID = "other", "another"
		c.Providers = append(c.Providers, second, other)
		c.Admin.Listen = "127.0.0.1:0"
		if change != nil {
			change(g, c)
		}
	})
	server := httptest.NewServer(g.adminHandler())
	t.Cleanup(server.Close)
	a := &adminReplica{g, server.URL, map[string]session.ID{}}
	for _, name := range []string{"default alice 1", "default alice 2", "default bob 3", "second alice 1", "other alice 4"} {
		a.add(name, "a browser")
	}
	return a
}

func (a *adminReplica) add(name, userAgent string) {
	a.t.Helper()
	parts := strings.Fields(name)
	issuer := a.op.Issuer()
	if parts[0] == "second" {
		issuer = "https://second.example.com"
	}
	s, err := a.sessions.Create(a.t.Context(), session.Login{
		Provider: parts[0], Issuer: issuer, Subject: parts[1], SID: parts[2], UserAgent: userAgent,
		Claims: map[string]json.RawMessage{"email": json.RawMessage(`"planted-claim"`)},
		Tokens: session.Tokens{
			Access: secret.New("planted-access"), Refresh: secret.New("planted-refresh"), ID: secret.New("planted-id"),
			ExpiresAt: time.Now().Add(time.Hour), IssuedAt: time.Now(),
		},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.ids[name] = s.ID
}

func (a *adminReplica) ask(method, path string, headers ...string) response {
	a.t.Helper()
	return a.client().send(method, a.address+path, headers...)
}

// left are the sessions that are still there.
func (a *adminReplica) left() (names []string) {
	a.t.Helper()
	for name, id := range a.ids {
		if _, err := a.sessions.Lookup(a.t.Context(), id); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// SES-07, PX-35: an operator sees the sessions that match, with what is in clear of them and nothing else.
func TestAdminListsSessions(t *testing.T) {
	t.Parallel()
	a := newAdminReplica(t, nil)
	all := slices.Sorted(maps.Keys(a.ids))
	for query, want := range map[string][]string{
		"":                               all,
		"?sub=&sid=&provider=":           all,
		"?sub=alice":                     {"default alice 1", "default alice 2", "other alice 4", "second alice 1"},
		"?sub=alice&provider=second":     {"second alice 1"},
		"?provider=default":              {"default alice 1", "default alice 2", "default bob 3"},
		"?sid=1":                         {"default alice 1", "second alice 1"},
		"?sid=1&provider=default":        {"default alice 1"},
		"?sid=3&sub=alice":               nil,
		"?sub=carol":                     nil,
		"?sub=" + url.QueryEscape("*"):   nil,
		"?limit=1000&provider=second":    {"second alice 1"},
		"?sub=bob&limit=10&sid=3&cursor": {"default bob 3"},
	} {
		res := a.ask("GET", "/sessions"+query)
		var got adminList
		decode(t, res.body, &got)
		var names []string
		for _, s := range got.Sessions {
			names = append(names, fmt.Sprint(s.Provider, " ", s.Subject, " ", s.SID))
		}
		slices.Sort(names)
		if diff := cmp.Diff(want, names); diff != "" || got.Next != "" || res.StatusCode != 200 {
			t.Errorf("%s: %s, next %q (-want +got):\n%s", query, res.Status, got.Next, diff)
		}
		if strings.Contains(res.body, "planted") || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %s", query, res.Header, res.body)
		}
	}

	id := a.ids["default bob 3"]
	var one map[string]any
	decode(t, a.ask("GET", "/sessions/"+string(id)).body, &one)
	for _, member := range []string{"created_at", "last_seen_at", "expires_at"} {
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(one[member])); err != nil {
			t.Error(member, err)
		}
		delete(one, member)
	}
	want := map[string]any{
		"id": string(id), "provider": "default", "iss": a.op.Issuer(), "sub": "bob", "sid": "3", "user_agent": "a browser",
	}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("one session (-want +got):\n%s", diff)
	}
}

// Pages together have every session.
func TestAdminPages(t *testing.T) {
	t.Parallel()
	a := newAdminReplica(t, nil)
	for i := range 300 {
		a.add(fmt.Sprintf("default crowd s%d", i), "")
	}
	for query, atLeast := range map[string]int{"?sub=crowd": 2, "?sub=crowd&limit=10": 5, "?limit=50": 3} {
		seen, pages := map[session.ID]bool{}, 0
		for cursor := ""; ; pages++ {
			var page adminList
			decode(t, a.ask("GET", "/sessions"+query+"&cursor="+url.QueryEscape(cursor)).body, &page)
			for _, s := range page.Sessions {
				if s.Subject == "crowd" {
					seen[s.ID] = true
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(seen) != 300 || pages+1 < atLeast {
			t.Errorf("%s: %d sessions on %d pages", query, len(seen), pages+1)
		}
	}
}

// RPL-13, SES-07: an operator ends one session, or all of a user, and never everybody's.
func TestAdminEndsSessions(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]struct {
		status int
		body   string
		gone   []string
	}{
		"/sessions/{default bob 3}":            {204, "", []string{"default bob 3"}},
		"/sessions?sub=alice":                  {200, `{"ended":4}`, []string{"default alice 1", "default alice 2", "other alice 4", "second alice 1"}},
		"/sessions?sub=alice&provider=default": {200, `{"ended":2}`, []string{"default alice 1", "default alice 2"}},
		"/sessions?sid=1":                      {200, `{"ended":2}`, []string{"default alice 1", "second alice 1"}},
		"/sessions?sid=1&provider=second":      {200, `{"ended":1}`, []string{"second alice 1"}},
		"/sessions?sid=3&sub=alice":            {200, `{"ended":0}`, nil},
		"/sessions?sub=nobody":                 {200, `{"ended":0}`, nil},
		"/sessions/" + strings.Repeat("A", 43): {404, "not_found", nil},
		"/sessions/x":                          {404, "not_found", nil},
		"/sessions/":                           {404, "not_found", nil},
		"/sessions":                            {400, "bad_request", nil},
		"/sessions?":                           {400, "bad_request", nil},
		"/sessions?sub=&sid=":                  {400, "bad_request", nil},
		"/sessions?provider=default":           {400, "bad_request", nil},
		"/sessions?user=alice":                 {400, "bad_request", nil},
		"/sessions?sub=alice&providr=second":   {400, "bad_request", nil}, // would be more than was meant
		"/sessions?sub=alice&provider=third":   {400, "bad_request", nil},
		"/sessions?sub=bob&sub=alice":          {400, "bad_request", nil},
		"/sessions?sub=alice;sid=1":            {400, "bad_request", nil},
	} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			a := newAdminReplica(t, nil)
			before := a.left()
			path := request
			for name, id := range a.ids {
				path = strings.ReplaceAll(path, "{"+name+"}", string(id))
			}
			res := a.ask("DELETE", path)
			if res.StatusCode != want.status || res.StatusCode < 300 && strings.TrimSpace(res.body) != want.body ||
				res.StatusCode >= 400 && res.code() != want.body {
				t.Errorf("%s %s", res.Status, res.body)
			}
			if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%v", res.Header)
			}
			left := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(want.gone, name) })
			if diff := cmp.Diff(left, a.left()); diff != "" {
				t.Errorf("sessions left (-want +got):\n%s", diff)
			}
		})
	}
}

// A session that an operator ends is over for its browser at once, and the application hears that it was ended.
func TestAdminEndReachesTheBrowser(t *testing.T) {
	t.Parallel()
	a := newAdminReplica(t, nil)
	poll(t, "the first provider", func() bool {
		state, _ := a.health.check(t.Context())
		return state.Providers["default"] == "ok"
	})
	c := a.client()
	c.signInAt("/bff/login?provider=default")
	if res := c.send("GET", "/api/x", csrf); res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, res.body)
	}
	if res := a.ask("DELETE", "/sessions?sub=alice&provider=default"); strings.TrimSpace(res.body) != `{"ended":3}` {
		t.Errorf("%s %s", res.Status, res.body)
	}
	if res := c.send("GET", "/api/x", csrf); res.StatusCode != 401 || res.code() != "session_ended" {
		t.Errorf("%s %s", res.Status, res.body)
	}
}

func TestAdminRefusals(t *testing.T) {
	t.Parallel()
	a := newAdminReplica(t, nil)
	for request, want := range map[string]struct {
		status int
		code   string
	}{
		"GET /sessions?limit=0":         {400, "bad_request"},
		"GET /sessions?limit=1001":      {400, "bad_request"},
		"GET /sessions?limit=x":         {400, "bad_request"},
		"GET /sessions?cursor=nonsense": {400, "bad_request"},
		"GET /sessions?ticket=x":        {400, "bad_request"},
		"GET /sessions/x":               {404, "not_found"},
		"POST /sessions?sub=alice":      {405, "method_not_allowed"},
		"PUT /sessions/x":               {405, "method_not_allowed"},
	} {
		method, path, _ := strings.Cut(request, " ")
		res := a.ask(method, path)
		if res.StatusCode != want.status || res.code() != want.code {
			t.Errorf("%s: %s %s", request, res.Status, res.body)
		}
		if want.status == 405 && res.Header.Get("Allow") != "DELETE, GET" {
			t.Errorf("%s: Allow %q", request, res.Header.Get("Allow"))
		}
	}
	if res := a.client().send("GET", "/sessions"); strings.Contains(res.body, "alice") {
		t.Errorf("the public listener answers %s", res.body) // PX-35
	}
	if len(a.left()) != 5 {
		t.Errorf("left: %v", a.left())
	}
}

// brokenStore is a store that can be away, or break off after some deletions.
type brokenStore struct {
	*memstore.Store
	down    atomic.Bool
	deletes atomic.Int32 // that still work
}

var errBroken = errors.New("no connection")

func (s *brokenStore) Load(ctx context.Context, id session.ID) (session.Record, time.Time, error) {
	if s.down.Load() {
		return session.Record{}, time.Time{}, errBroken
	}
	return s.Store.Load(ctx, id)
}

func (s *brokenStore) Scan(ctx context.Context, index session.Index, cursor string, limit int) ([]session.ID, string, error) {
	if s.down.Load() {
		return nil, "", errBroken
	}
	return s.Store.Scan(ctx, index, cursor, limit)
}

func (s *brokenStore) Delete(ctx context.Context, id session.ID, reason session.Reason) (session.Record, error) {
	if s.deletes.Add(-1) < 0 {
		return session.Record{}, errBroken
	}
	return s.Store.Delete(ctx, id, reason)
}

// A store that is down is 503. What ended before it broke off is in the audit log.
func TestAdminWithoutStore(t *testing.T) {
	t.Parallel()
	store := &brokenStore{Store: memstore.New()}
	store.deletes.Store(1)
	a := newAdminReplica(t, func(g *replica, _ *Config) { g.options.store = store })
	bob := "/sessions/" + string(a.ids["default bob 3"])
	want503 := func(requests ...string) {
		t.Helper()
		for _, request := range requests {
			method, path, _ := strings.Cut(request, " ")
			res := a.ask(method, path)
			if res.StatusCode != 503 || res.code() != "store_unavailable" || res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %s %s", request, res.Status, res.body)
			}
		}
	}
	want503("DELETE /sessions?sid=1", "DELETE /sessions?sub=bob", "DELETE "+bob)
	if left := a.left(); len(left) != 4 {
		t.Errorf("left: %v", left)
	}
	if n := strings.Count(a.log.String(), `"event":"admin_ended"`); n != 1 || !strings.Contains(a.log.String(), `"ended":1`) {
		t.Errorf("%d lines of admin_ended:\n%s", n, a.log)
	}
	store.down.Store(true)
	want503("GET /sessions", "GET /sessions?sub=alice", "GET "+bob, "DELETE /sessions?sub=alice", "DELETE "+bob)
}
