package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// enter is a login at one of the replicas.
func (c *cluster) enter(replica int, issuer, subject, sid string, issuedAt time.Time) (*session.Session, error) {
	return c.managers[replica].Create(c.t.Context(), session.Login{
		Provider: "default", Issuer: issuer, Subject: subject, SID: sid, IssuedAt: issuedAt, Tokens: c.op.grant(),
	})
}

func (c *cluster) mustEnter(replica int, issuer, subject, sid string) *session.Session {
	c.t.Helper()
	s, err := c.enter(replica, issuer, subject, sid, c.now())
	must(c.t, err)
	return s
}

// TestEndMatching is BCL-18, BCL-20 and SES-06: which sessions a logout token ends, on every replica.
func TestEndMatching(t *testing.T) {
	type names struct{ op, subject, sid string }
	logins := []names{
		0: {"", "alice", "s1"}, 1: {"", "alice", "s2"}, 2: {"", "alice", "s1"}, 3: {"", "alice", ""},
		4: {"", "bob", "s3"}, 5: {"", "bob", "s1"}, 6: {"other", "alice", "s1"}, 7: {"", "s1", "alice"},
	}
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 3)
		for i, test := range []struct {
			logout names
			want   []int
		}{
			{names{sid: "s1"}, []int{0, 2, 5}},
			{names{sid: "s2"}, []int{1}},
			{names{subject: "alice"}, []int{0, 1, 2, 3}},
			{names{subject: "bob"}, []int{4, 5}},
			{names{subject: "alice", sid: "s1"}, []int{0, 2}},
			{names{subject: "bob", sid: "s1"}, []int{5}},
			{names{subject: "bob", sid: "s2"}, nil},
			{names{subject: "carol", sid: "s1"}, nil},
			{names{subject: "carol"}, nil},
			{names{sid: "s9"}, nil},
			{names{op: "other", sid: "s1"}, []int{6}},
			{names{op: "third", subject: "alice"}, nil},
			{names{}, nil},
		} {
			issuer := func(op string) string { return fmt.Sprintf("https://%sop%d.example.com", op, i) }
			var sessions []*session.Session
			for j, login := range logins {
				sessions = append(sessions, c.mustEnter(j%3, issuer(login.op), login.subject, login.sid))
			}
			logout := session.Logout{
				Issuer: issuer(test.logout.op), Subject: test.logout.subject, SID: test.logout.sid, IssuedAt: c.now(),
			}
			ended, err := c.managers[2].EndMatching(t.Context(), logout, session.ReasonBackchannel)
			if err != nil || ended != len(test.want) {
				t.Errorf("%+v: %d sessions ended, %v, want %d", test.logout, ended, err, len(test.want))
			}
			for j, s := range sessions {
				for k, m := range c.managers {
					_, err := m.Open(t.Context(), s.Ticket())
					if why, _ := session.Anonymous(err); (why == "ended") != slices.Contains(test.want, j) || err != nil && why == "" {
						t.Errorf("%+v: session %d at replica %d: %v", test.logout, j, k, err)
					}
				}
			}
			ended, err = c.managers[0].EndMatching(t.Context(), logout, session.ReasonBackchannel)
			if err != nil || ended != 0 {
				t.Errorf("%+v, sent again: %d sessions ended, %v", test.logout, ended, err)
			}
		}
	})
}

// TestLogoutBeforeLogin is BCL-25: a logout that came while the login was at the OP, or being written, wins.
func TestLogoutBeforeLogin(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		at := c.now().Truncate(time.Second)
		for i, test := range []struct {
			logout, login session.Logout // the login's names and iat
			ended         bool
		}{
			{session.Logout{Subject: "alice"}, session.Logout{Subject: "alice", IssuedAt: at.Add(-time.Second)}, true},
			{session.Logout{Subject: "alice"}, session.Logout{Subject: "alice", SID: "s", IssuedAt: at}, true},
			{session.Logout{Subject: "alice"}, session.Logout{Subject: "alice"}, true}, // nobody knows when
			{session.Logout{Subject: "alice"}, session.Logout{Subject: "alice", SID: "s", IssuedAt: at.Add(time.Second)}, false},
			{session.Logout{Subject: "alice"}, session.Logout{Subject: "bob", IssuedAt: at}, false},
			{session.Logout{SID: "s"}, session.Logout{Subject: "alice", SID: "s", IssuedAt: at}, true},
			{session.Logout{SID: "s"}, session.Logout{Subject: "alice", SID: "s", IssuedAt: at.Add(time.Hour)}, true},
			{session.Logout{SID: "s"}, session.Logout{Subject: "alice", SID: "t", IssuedAt: at}, false},
			{session.Logout{SID: "s"}, session.Logout{Subject: "s", IssuedAt: at}, false},
			{session.Logout{Subject: "alice", SID: "s"}, session.Logout{Subject: "alice", SID: "s", IssuedAt: at.Add(time.Hour)}, true},
			{session.Logout{Subject: "alice", SID: "s"}, session.Logout{Subject: "bob", SID: "s", IssuedAt: at}, false},
			{session.Logout{Subject: "alice", SID: "s"}, session.Logout{Subject: "alice", SID: "t", IssuedAt: at}, false},
			{session.Logout{Subject: "alice", SID: "s"}, session.Logout{Subject: "alice", IssuedAt: at}, false},
			{session.Logout{Subject: "alices", SID: ""}, session.Logout{Subject: "alice", SID: "s", IssuedAt: at}, false},
		} {
			issuer := fmt.Sprintf("https://op%d.example.com", i)
			test.logout.Issuer, test.logout.IssuedAt = issuer, at
			_, err := c.managers[0].EndMatching(t.Context(), test.logout, session.ReasonBackchannel)
			must(t, err)
			s, err := c.enter(1, issuer, test.login.Subject, test.login.SID, test.login.IssuedAt)
			if !test.ended {
				if err != nil {
					t.Errorf("%d: error %v", i, err)
				} else if _, err := c.managers[0].Open(t.Context(), s.Ticket()); err != nil {
					t.Errorf("%d: the session is not there: %v", i, err)
				}
				continue
			}
			if !errors.Is(err, session.ErrLoggedOut) || s != nil {
				t.Errorf("%d: a session %v, error %v, want ErrLoggedOut", i, s != nil, err)
			}
			if left, err := c.managers[0].OfUser(t.Context(), issuer, test.login.Subject); err != nil || len(left) > 0 {
				t.Errorf("%d: left %v, %v", i, left, err)
			}
		}
	})
}

// TestLoginThatWasLoggedOut: what the OP gave is given back, and the log has the whole story.
func TestLoginThatWasLoggedOut(t *testing.T) {
	store := memstore.New()
	c := newCluster(t, func() session.Store { return store }, 1)
	_, err := c.managers[0].EndMatching(t.Context(), session.Logout{Issuer: "i", SID: "s"}, session.ReasonBackchannel)
	must(t, err)
	_, err = c.enter(0, "i", "alice", "s", c.now())
	wantError(t, err, session.ErrLoggedOut)
	if why, _ := session.Anonymous(err); why != "ended" {
		t.Errorf("the user hears %q", why)
	}
	c.close()
	if got := c.op.revocations(); len(got) != 1 {
		t.Errorf("revoked %v", got)
	}
	c.wantEvents("login", "ended backchannel_logout", "revoked")
}

// TestTombstonesAreForgotten: after an hour, which is more than a login takes, an OP may use a sid again.
func TestTombstonesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func() session.Store { return memstore.New() }, 1)
		defer c.close()
		logout := session.Logout{Issuer: "i", SID: "s"} // without a time, as a front-channel logout is
		_, err := c.managers[0].EndMatching(t.Context(), logout, session.ReasonFrontchannel)
		must(t, err)
		time.Sleep(session.TombstoneLife - time.Second)
		_, err = c.enter(0, "i", "alice", "s", time.Now())
		wantError(t, err, session.ErrLoggedOut)
		time.Sleep(2 * time.Second)
		_, err = c.enter(0, "i", "alice", "s", time.Now())
		must(t, err)
	})
}

// TestOfflineAccessOutlivesTheOPsLogout is BCL-24: at the OP's word tokens are revoked unless they were granted for offline
// access; at the user's word all are. A replica without the ticket cannot.
func TestOfflineAccessOutlivesTheOPsLogout(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		for name, test := range map[string]struct {
			scope   []string
			reason  session.Reason
			off     bool // revocation, in the configuration
			replica int  // that is told; the first has the session open
			revoked bool
		}{
			"online":                  {scope: []string{"openid"}, reason: session.ReasonBackchannel, revoked: true},
			"offline":                 {scope: []string{"openid", "offline_access"}, reason: session.ReasonBackchannel},
			"offline, by the browser": {scope: []string{"offline_access"}, reason: session.ReasonFrontchannel, revoked: true},
			"offline, by the user":    {scope: []string{"offline_access"}, reason: session.ReasonUser, revoked: true},
			"revocation is off":       {off: true, reason: session.ReasonBackchannel},
			"another replica":         {replica: 1, reason: session.ReasonBackchannel},
		} {
			want := []string{"ended " + string(test.reason), "login"}
			if test.revoked {
				want = append(want, "revoked")
			}
			c := newCluster(t, open, 0)
			var stores []session.Store
			for i := range 2 {
				options := c.options()
				options.CacheSize, options.RevokeTokens = 10, !test.off
				stores = append(stores, open())
				c.managers = append(c.managers, session.NewManager(stores[i], c.ring, options))
			}
			tokens := c.op.grant()
			tokens.Scope = test.scope
			s, err := c.managers[1].Create(t.Context(), session.Login{
				Provider: "default", Issuer: name, Subject: "alice", SID: "s", Tokens: tokens,
			})
			must(t, err)
			hearAll(t, stores[0]) // of the login, too, which would have the replica forget the session
			_, err = c.managers[0].Open(t.Context(), s.Ticket())
			must(t, err)
			logout := session.Logout{Issuer: name, Subject: "alice", SID: "s"}
			ended, err := c.managers[test.replica].EndMatching(t.Context(), logout, test.reason)
			if err != nil || ended != 1 {
				t.Errorf("%s: ended %d, %v", name, ended, err)
			}
			c.close()
			if got := c.kinds(); !slices.Equal(got, want) {
				t.Errorf("%s: events %q, want %q", name, got, want)
			}
			for _, e := range c.events {
				if e.Kind == session.EventEnded && e.Revoking != test.revoked {
					t.Errorf("%s: the event says revoking %v", name, e.Revoking)
				}
			}
		}
	})
}

// TestLateRefreshOfOfflineAccess is RFR-24 and BCL-24: what a refresh brings to a session that has ended meanwhile is revoked
// or not as its tokens are, whether or not the replica that ended it could open them.
func TestLateRefreshOfOfflineAccess(t *testing.T) {
	for name, test := range map[string]struct {
		scope   string // as granted at the login, and not repeated at the refresh
		reason  session.Reason
		off     bool // revocation, in the configuration
		revoked bool
	}{
		"online":               {scope: "openid", reason: session.ReasonBackchannel, revoked: true},
		"offline":              {scope: "offline_access", reason: session.ReasonBackchannel},
		"offline, by the user": {scope: "offline_access", reason: session.ReasonLogout, revoked: true},
		"revocation is off":    {scope: "openid", reason: session.ReasonLogout, off: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, nil, 0)
			options := c.options()
			options.RevokeTokens = !test.off
			store := memstore.New()
			for range 2 {
				c.managers = append(c.managers, session.NewManager(store, c.ring, options))
			}
			tokens := c.op.grant()
			tokens.Scope = []string{test.scope}
			s, err := c.managers[0].Create(t.Context(), session.Login{
				Provider: "default", Issuer: "i", Subject: "alice", Tokens: tokens,
			})
			must(t, err)
			c.op.answer = func(_ context.Context, _ *session.Session, got *session.Refreshed) (*session.Refreshed, error) {
				got.Tokens.Scope = nil
				return got, c.managers[1].EndByID(t.Context(), s.ID, test.reason)
			}
			c.advance(tokenLife)
			_, err = c.managers[0].Fresh(t.Context(), s)
			wantError(t, err, session.ErrEnded)
			c.close()
			if got := c.op.revocations(); slices.Contains(got, "marker-refresh-2") != test.revoked {
				t.Errorf("revoked %v", got)
			}
		})
	}
}

// TestReplayIsSeenEverywhere is BCL-11 and BCL-12: a logout token that has been used is known to all replicas for as long
// as it is valid, and one that could not be used is not noted by asking.
func TestReplayIsSeenEverywhere(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, open, 2)
		want := func(name string, want bool) {
			t.Helper()
			for i, m := range c.managers {
				if seen, err := m.Seen(t.Context(), name); err != nil || seen != want {
					t.Fatalf("%s at replica %d: seen %v, %v", name, i, seen, err)
				}
			}
		}
		want("jti", false)
		want("jti", false)
		must(t, c.managers[0].Consume(t.Context(), "jti", time.Second))
		want("jti", true)
		want("another jti", false)
		eventually(t, func() bool {
			seen, err := c.managers[1].Seen(t.Context(), "jti")
			must(t, err)
			return !seen
		})
	})
}

// hearAll returns when a replica has heard of all that has happened.
func hearAll(t *testing.T, store session.Store) {
	t.Helper()
	eventually(t, func() bool { return !store.HeardAt().IsZero() })
	changed, stop := store.Watch("nobody's")
	defer stop()
	must(t, store.Tell(t.Context(), "nobody's"))
	receive(t, changed)
}

// eventually polls for something that a clock or another replica brings about.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen in 5 seconds")
		}
		<-time.After(time.Millisecond)
	}
}

// TestEndManySessions: a user may have more than a page of them, and they may be elsewhere in the next.
func TestEndManySessions(t *testing.T) {
	const many = 350 // more than Redis returns at once
	everywhere(t, func(t *testing.T, open func() session.Store) {
		c := newCluster(t, func() session.Store { return &forgetfulStore{Store: open()} }, 2)
		var sessions []*session.Session
		for i := range many {
			sessions = append(sessions, c.mustEnter(i%2, "i", "alice", ""))
		}
		bob := c.mustEnter(0, "i", "bob", "")
		ended, err := c.managers[0].EndMatching(t.Context(), session.Logout{Issuer: "i", Subject: "alice"}, session.ReasonBackchannel)
		if err != nil || ended != many {
			t.Errorf("ended %d, %v, want %d", ended, err, many)
		}
		for _, s := range sessions {
			_, err := c.managers[1].Open(t.Context(), s.Ticket())
			wantError(t, err, session.ErrEnded)
		}
		_, err = c.managers[1].Open(t.Context(), bob.Ticket())
		must(t, err)
	})
}

// forgetfulStore passes over a page of the first scan, as a server may that takes over between two pages.
type forgetfulStore struct {
	session.Store
	scans int
}

func (s *forgetfulStore) Scan(ctx context.Context, index session.Index, cursor string, limit int) ([]session.ID, string, error) {
	ids, next, err := s.Store.Scan(ctx, index, cursor, limit)
	if s.scans++; s.scans == 2 {
		ids = nil
	}
	return ids, next, err
}
