package session_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// ids are those of sessions, sorted.
func ids(sessions []*session.Session) []session.ID {
	var ids []session.ID
	for _, s := range sessions {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	return ids
}

// listAll goes through the pages of a list.
func listAll(t *testing.T, m *session.Manager, f session.Filter, limit int) (all []*session.Session, pages int) {
	t.Helper()
	form := regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
	for cursor := ""; ; {
		page, next, err := m.List(t.Context(), f, cursor, limit)
		must(t, err)
		if !form.MatchString(next) {
			t.Errorf("the cursor %q needs escaping", next)
		}
		all = append(all, page...)
		if pages++; pages > 1000 {
			t.Fatal("it does not end")
		}
		if next == "" {
			return all, pages
		}
		cursor = next
	}
}

// TestList is SES-07: an operator finds the sessions of one user, of one session at the OP, of a provider, and all.
func TestList(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		m := c.managers[0]
		const a, b = "https://a.example.com", "https://b.example.com"
		var sessions []*session.Session
		for _, l := range []session.Login{
			0: {Provider: "default", Issuer: a, Subject: "alice", SID: "s1"},
			1: {Provider: "default", Issuer: a, Subject: "alice", SID: "s2"},
			2: {Provider: "second", Issuer: b, Subject: "alice", SID: "s1"},
			3: {Provider: "default", Issuer: a, Subject: "bob", SID: "s1"},
			4: {Provider: "third", Issuer: b, Subject: "carol"},
			5: {Provider: "default", Issuer: a, Subject: "alice", SID: "s1"}, // ends
			6: {Provider: "default", Issuer: a, Subject: "alice", SID: "s1"}, // is idle
		} {
			l.Tokens = c.op.grant()
			s, err := c.managers[1].Create(t.Context(), l)
			must(t, err)
			sessions = append(sessions, s)
		}
		must(t, m.EndByID(t.Context(), sessions[5].ID, session.ReasonAdmin))
		c.advance(20 * time.Minute)
		for _, s := range sessions[:5] {
			_, err := m.Touch(t.Context(), s)
			must(t, err)
		}
		c.advance(11 * time.Minute)

		both := []string{a, b}
		for _, test := range []struct {
			filter session.Filter
			want   []int
		}{
			{session.Filter{}, []int{0, 1, 2, 3, 4}},
			{session.Filter{Provider: "default"}, []int{0, 1, 3}},
			{session.Filter{Provider: "none"}, nil},
			{session.Filter{Issuers: []string{b}}, []int{2, 4}},
			{session.Filter{Issuers: both, Subject: "alice"}, []int{0, 1, 2}},
			{session.Filter{Issuers: []string{a}, Subject: "alice"}, []int{0, 1}},
			{session.Filter{Subject: "alice"}, []int{0, 1, 2}},
			{session.Filter{Issuers: both, SID: "s1"}, []int{0, 2, 3}},
			{session.Filter{SID: "s1"}, []int{0, 2, 3}},
			{session.Filter{Issuers: both, SID: "s1", Subject: "alice"}, []int{0, 2}},
			{session.Filter{Issuers: both, SID: "s1", Subject: "alice", Provider: "second"}, []int{2}},
			{session.Filter{Issuers: []string{"https://c.example.com"}, Subject: "alice"}, nil},
		} {
			for _, limit := range []int{-1, 1, 2, 1 << 30} {
				got, _ := listAll(t, m, test.filter, limit)
				var want []*session.Session
				for _, i := range test.want {
					want = append(want, sessions[i])
				}
				if diff := cmp.Diff(ids(want), ids(got)); diff != "" {
					t.Errorf("%+v by %d (-want +got):\n%s", test.filter, limit, diff)
				}
			}
		}
		got, _ := listAll(t, m, session.Filter{Subject: "bob"}, 10)
		if s := got[0]; s.Provider != "default" || s.Issuer != a || s.Subject != "bob" || s.SID != "s1" ||
			!s.CreatedAt.Equal(sessions[3].CreatedAt) || !s.ExpiresAt.Equal(sessions[3].ExpiresAt) ||
			s.LastSeenAt.Sub(s.CreatedAt) < 19*time.Minute || !s.Tokens.Access.IsZero() || s.Claims != nil || s.Ticket().Reveal() != "" {
			t.Errorf("listed %+v", s)
		}
	})
}

func TestListCursor(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 1)
		filter := session.Filter{Issuers: []string{"a", "b"}, Subject: "alice"}
		for _, cursor := range []string{"x", "-1.", "2.", "0", "1", "0.x", "0.-1", ".", "0. ", "\x00", "99999999999999999999.1", "1. 0"} {
			sessions, next, err := c.managers[0].List(t.Context(), filter, cursor, 10)
			if wantError(t, err, session.ErrCursor); sessions != nil || next != "" {
				t.Errorf("%q: %v, %q", cursor, sessions, next)
			}
		}
	})
}

// FuzzListCursor: whatever comes as a cursor, it is none, or the list goes on and ends.
func FuzzListCursor(f *testing.F) {
	store := memstore.New()
	m := session.NewManager(store, session.NewKeyRing(), session.Options{})
	for i := range 20 {
		_, err := m.Create(f.Context(), session.Login{
			Issuer: "i", Subject: fmt.Sprint(i % 2), Tokens: session.Tokens{ExpiresAt: time.Now().Add(time.Hour)},
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	for _, cursor := range []string{"", "0.", "0.63.x", "1.0.", "0.0.", "x", "-1.", "0.64.", "2."} {
		f.Add(cursor)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, filter := range []session.Filter{{}, {Issuers: []string{"i", "j"}, Subject: "1"}} {
			next := cursor
			for range 100 {
				page, after, err := m.List(t.Context(), filter, next, 3)
				if err != nil && (!errors.Is(err, session.ErrCursor) || page != nil || after != "") {
					t.Fatalf("%q: %v, %q, %v", next, page, after, err)
				}
				if next = after; next == "" {
					break
				}
			}
			if next != "" {
				t.Fatalf("%q: it does not end", cursor)
			}
		}
	})
}

// TestListManySessions: a page costs the same however many sessions there are, and a filter that matches few of them does
// not make a call last.
func TestListManySessions(t *testing.T) {
	const many = 400
	everywhere(t, func(t *testing.T, open func() session.Store) {
		store := &loadCounter{Store: open()}
		c := newCluster(t, func() session.Store { return store }, 1)
		var want []session.ID
		for i := range many {
			want = append(want, c.mustEnter(0, "i", fmt.Sprint("user ", i), "").ID)
		}
		slices.Sort(want)
		got, pages := listAll(t, c.managers[0], session.Filter{}, 50)
		if diff := cmp.Diff(want, slices.Compact(ids(got))); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
		if pages < 4 || pages > 30 {
			t.Errorf("%d pages of 50 for %d sessions", pages, many)
		}
		got, pages = listAll(t, c.managers[0], session.Filter{Subject: "user 7"}, 5)
		if len(got) != 1 || pages < 4 || pages > many/10 {
			t.Errorf("found %d in %d pages", len(got), pages)
		}
		if store.loads > 0 {
			t.Errorf("%d sessions were read one by one", store.loads)
		}
	})
}

// loadCounter counts the sessions that are read one by one.
type loadCounter struct {
	session.Store
	loads int
}

func (s *loadCounter) Load(ctx context.Context, id session.ID) (session.Record, time.Time, error) {
	s.loads++
	return s.Store.Load(ctx, id)
}

// TestOfUser is SES-07 for the user: the newest first, of one OP, and all others end at once.
func TestOfUser(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		m := c.managers[0]
		var sessions []*session.Session
		for i := range 3 {
			sessions = append(sessions, c.mustEnter(i%2, "i", "alice", "s"))
			c.advance(time.Second)
		}
		others := []*session.Session{c.mustEnter(0, "i", "bob", "s"), c.mustEnter(0, "other", "alice", "s")}
		got, err := m.OfUser(t.Context(), "i", "alice")
		must(t, err)
		var order []session.ID
		for _, s := range got {
			order = append(order, s.ID)
		}
		if diff := cmp.Diff([]session.ID{sessions[2].ID, sessions[1].ID, sessions[0].ID}, order); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}

		ended, err := m.EndSelected(t.Context(), session.Filter{Issuers: []string{"i"}, Subject: "alice"}, sessions[1].ID, session.ReasonUser)
		if err != nil || ended != 2 {
			t.Errorf("ended %d, %v", ended, err)
		}
		c.wantLive(sessions, 1)
		c.wantLive(others, 0, 1)
		again := c.mustEnter(1, "i", "alice", "s") // the user may sign in again
		ended, err = m.EndSelected(t.Context(), session.Filter{Issuers: []string{"i"}, Subject: "alice"}, "", session.ReasonAdmin)
		if err != nil || ended != 2 {
			t.Errorf("ended %d, %v", ended, err)
		}
		c.wantLive(append(sessions, again))
		c.wantLive(others, 0, 1)
		if got, err := m.OfUser(t.Context(), "i", "alice"); err != nil || len(got) > 0 {
			t.Errorf("left %v, %v", got, err)
		}
	})
}

// TestEndNobody: what selects everybody ends nobody.
func TestEndNobody(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 1)
		s := c.mustEnter(0, "i", "alice", "s")
		for _, f := range []session.Filter{{}, {Issuers: []string{"i"}}, {Provider: s.Provider}} {
			ended, err := c.managers[0].EndSelected(t.Context(), f, "", session.ReasonAdmin)
			if err != nil || ended != 0 {
				t.Errorf("%+v: ended %d, %v", f, ended, err)
			}
		}
		c.wantLive([]*session.Session{s}, 0)
	})
}

func TestLookup(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		store := &loadCounter{Store: open()}
		c := newCluster(t, func() session.Store { return store }, 1)
		m := c.managers[0]
		live, ended := c.mustEnter(0, "i", "alice", "s"), c.mustEnter(0, "i", "alice", "s")
		must(t, m.EndByID(t.Context(), ended.ID, session.ReasonUser))
		s, err := m.Lookup(t.Context(), live.ID)
		must(t, err)
		if s.ID != live.ID || s.Subject != "alice" || !s.IdleAt.Equal(live.IdleAt) || !s.Tokens.Refresh.IsZero() {
			t.Errorf("found %+v", s)
		}
		_, err = m.Lookup(t.Context(), ended.ID)
		wantError(t, err, session.ErrEnded)
		_, err = m.Lookup(t.Context(), session.NewTicket().ID())
		wantError(t, err, session.ErrNone)

		store.loads = 0
		for _, id := range []session.ID{"", "x", live.ID + "A", live.ID[1:], "{" + live.ID[1:], session.ID(live.ID[:42] + "\n")} {
			_, err := m.Lookup(t.Context(), id)
			wantError(t, err, session.ErrNone)
		}
		if store.loads > 0 {
			t.Error("the store was asked for what is no id")
		}
		c.advance(31 * time.Minute)
		_, err = m.Lookup(t.Context(), live.ID)
		wantError(t, err, session.ErrIdle)
		c.wantEvents("login", "login", "ended ended_by_user")
	})
}
