package bff

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
)

func (b *browser) list() (all []listedSession, raw string) {
	b.t.Helper()
	res := b.get("/bff/sessions")
	var list struct{ Sessions []listedSession }
	if err := json.Unmarshal([]byte(res.body), &list); err != nil || res.StatusCode != http.StatusOK {
		b.t.Fatalf("sessions: %s %s %v", res.Status, res.body, err)
	}
	return list.Sessions, res.body
}

// threeVisitors are two browsers of alice, who signed in one after the other, and one of bob.
func threeVisitors(a *app) (first, second, bob *browser) {
	a.t.Helper()
	first, second, bob = a.browser(), a.browser(), a.browser()
	first.login()
	a.advance(time.Minute)
	second.login()
	a.op.SignIn("bob")
	bob.signIn("?prompt=login")
	return first, second, bob
}

// SES-07: a user sees the own sessions, the newest first, and nothing in them that opens one.
func TestListSessions(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	first, second, _ := threeVisitors(a)
	list, raw := second.list()
	if len(list) != 2 || list[0].ID != second.ticket().ID() || list[1].ID != first.ticket().ID() {
		t.Fatalf("sessions %s", raw)
	}
	if !list[0].Current || list[1].Current {
		t.Errorf("current: %s", raw)
	}
	for _, each := range list {
		if each.Provider != "one" || each.UserAgent != "Go-http-client/1.1" || each.CreatedAt.IsZero() || each.LastSeenAt.IsZero() ||
			!each.ExpiresAt.After(each.CreatedAt) || each.CreatedAt.Nanosecond() != 0 || each.CreatedAt.Location() != time.UTC {
			t.Errorf("session %+v", each)
		}
	}
	var bare struct{ Sessions []map[string]any }
	if err := json.Unmarshal([]byte(raw), &bare); err != nil {
		t.Fatal(err)
	}
	for name := range bare.Sessions[0] {
		if !strings.Contains(" id provider created_at last_seen_at expires_at user_agent current ", " "+name+" ") {
			t.Errorf("the list says %s", name)
		}
	}
	for _, b := range []*browser{first, second} {
		if strings.Contains(raw, b.ticket().Reveal()) {
			t.Error("the list holds a ticket")
		}
	}
}

// RFR-33: looking at the list is no activity.
func TestListSessionsIsNoActivity(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	before := b.session().IdleExpiresAt
	a.advance(time.Minute)
	list, _ := b.list()
	if after := b.session().IdleExpiresAt; !after.Equal(*before) || !list[0].LastSeenAt.Equal(list[0].CreatedAt) {
		t.Errorf("idle deadline %v, then %v; last seen %v", before, after, list[0].LastSeenAt)
	}
}

// SES-07: a user ends one of the own sessions, and no other's, which looks the same as one that never was.
func TestEndSession(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	first, second, bob := threeVisitors(a)
	id := func(b *browser) string { return "/bff/sessions/" + string(b.ticket().ID()) }
	var refusals []string
	for _, path := range []string{
		id(bob), "/bff/sessions/" + string(session.NewTicket().ID()), "/bff/sessions/x", "/bff/sessions/" + strings.Repeat("a", 5000),
		"/bff/sessions/%7Bx%7D", "/bff/sessions/" + first.ticket().Reveal(),
	} {
		res := first.do(http.MethodDelete, path)
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%.60s: %s", path, res.Status)
		}
		refusals = append(refusals, res.body)
	}
	for _, body := range refusals {
		if diff := cmp.Diff(refusals[0], body); diff != "" {
			t.Errorf("two kinds of 404: %s", diff)
		}
	}
	if !bob.session().Authenticated {
		t.Error("bob's session has ended")
	}

	if res := first.do(http.MethodDelete, id(second)); res.StatusCode != http.StatusNoContent || res.body != "" || len(res.Cookies()) != 0 {
		t.Errorf("another of one's own: %s %s %v", res.Status, res.body, res.Cookies())
	}
	if !first.session().Authenticated {
		t.Error("the current session has ended, too")
	}
	gone := id(second)
	second.wantAnonymous("ended")
	if res := first.do(http.MethodDelete, gone); res.StatusCode != http.StatusNotFound {
		t.Errorf("for the second time: %s", res.Status)
	}

	if res := first.do(http.MethodDelete, id(first)); res.StatusCode != http.StatusNoContent {
		t.Errorf("the current one: %s %s", res.Status, res.body)
	}
	if left := first.cookies(a.cookies.session); len(left) != 0 {
		t.Errorf("the cookie stays: %v", left)
	}
	first.wantAnonymous("none")
	if list, err := a.Sessions.OfUser(t.Context(), a.op.Issuer(), "alice"); err != nil || len(list) != 0 {
		t.Errorf("left: %v %v", list, err)
	}
}

// A user is issuer and subject (IDT-26): who has the same subject at another OP is somebody else.
func TestSessionsOfTheSameSubjectElsewhere(t *testing.T) {
	t.Parallel()
	other, change := twoOPs(t)
	a := newApp(t, change)
	alice, namesake := a.browser(), a.browser()
	alice.signIn("?provider=one")
	namesake.get(other().Visit(namesake.authorize("?provider=two")).String())
	if list, raw := namesake.list(); len(list) != 1 || list[0].Provider != "two" {
		t.Errorf("sessions %s", raw)
	}
	if res := namesake.do(http.MethodDelete, "/bff/sessions/"+string(alice.ticket().ID())); res.StatusCode != http.StatusNotFound {
		t.Errorf("ending another's: %s", res.Status)
	}
	if res := namesake.do(http.MethodDelete, "/bff/sessions"); strings.TrimSpace(res.body) != `{"ended":1}` {
		t.Errorf("everywhere: %s %s", res.Status, res.body)
	}
	if !alice.session().Authenticated {
		t.Error("alice is signed out")
	}
}

// RPL-13: signing out everywhere, here too or not; other users notice nothing.
func TestEndSessions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		query, want string
		stays       bool // the current one
	}{{"", `{"ended":2}`, false}, {"?others=true", `{"ended":1}`, true}} {
		t.Run(tt.query, func(t *testing.T) {
			a := newApp(t)
			first, second, bob := threeVisitors(a)
			res := first.do(http.MethodDelete, "/bff/sessions"+tt.query)
			if res.StatusCode != http.StatusOK || strings.TrimSpace(res.body) != tt.want {
				t.Errorf("answer %s %s, want %s", res.Status, res.body, tt.want)
			}
			if stays := len(first.cookies(a.cookies.session)) == 1; stays != tt.stays || first.session().Authenticated != tt.stays {
				t.Errorf("the cookie stays: %v; signed in: %v; want %v", stays, first.session().Authenticated, tt.stays)
			}
			second.wantAnonymous("ended")
			if !bob.session().Authenticated {
				t.Error("bob is signed out")
			}
		})
	}
}

// A request that may mean something else ends nothing.
func TestEndSessionsRefuses(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	for _, query := range []string{"?others=false", "?others=True", "?others=true&others=true", "?others=1"} {
		if res := b.do(http.MethodDelete, "/bff/sessions"+query); res.StatusCode != http.StatusBadRequest || !b.session().Authenticated {
			t.Errorf("%s: %s", query, res.Status)
		}
	}
}

// A store that fails halfway leaves the current session, with which the user can try again.
func TestEndSessionsWithoutStore(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	first, second, _ := threeVisitors(a)
	store := &faultyStore{Store: a.store.Store}
	a.store.Store = store
	store.down.Store(true)
	for _, path := range []string{"/bff/sessions", "/bff/sessions/" + string(first.ticket().ID()), "/bff/sessions/" + string(second.ticket().ID())} {
		res := first.do(http.MethodDelete, path)
		if res.StatusCode < 400 || len(res.Cookies()) != 0 || !strings.Contains(res.body, session.ErrStoreUnavailable.Error()) {
			t.Errorf("%s: %s %s %v", path, res.Status, res.body, res.Cookies())
		}
	}
	if res := first.get("/bff/sessions"); res.StatusCode < 400 {
		t.Errorf("the list: %s %s", res.Status, res.body)
	}
	store.down.Store(false)
	if res := first.do(http.MethodDelete, "/bff/sessions"); strings.TrimSpace(res.body) != `{"ended":2}` {
		t.Errorf("with the store: %s %s", res.Status, res.body)
	}
}

// Nobody's sessions are nobody's to see.
func TestSessionsOfNobody(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	for _, request := range [][2]string{
		{"GET", "/bff/sessions"}, {"DELETE", "/bff/sessions"}, {"DELETE", "/bff/sessions/" + string(session.NewTicket().ID())},
	} {
		if res := b.do(request[0], request[1]); !strings.Contains(res.body, session.ErrNone.Error()) { // which the gateway makes a 401 of
			t.Errorf("%v: %s %s", request, res.Status, res.body)
		}
	}
}
