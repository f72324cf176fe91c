package session_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// Whoever asks for a session that is over hears why, in the words of the audit log, and in the few of Anonymous.
func TestCause(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	c := newCluster(t, func() session.Store { return store }, 1)
	defer c.close()
	for reason, why := range map[session.Reason]string{
		session.ReasonIdle: "idle", session.ReasonExpired: "expired", session.ReasonReplaced: "ended",
		session.ReasonLogout: "ended", session.ReasonBackchannel: "ended", session.ReasonAdmin: "ended",
	} {
		s := c.login()
		must(t, c.managers[0].End(t.Context(), s, reason))
		_, err := c.managers[0].Open(t.Context(), s.Ticket())
		got, over := session.Anonymous(err)
		if session.Cause(fmt.Errorf("wrapped: %w", err)) != reason || got != why || !over {
			t.Errorf("%s: %v is %q because of %q", reason, err, got, session.Cause(err))
		}
	}
	_, err := c.managers[0].Open(t.Context(), session.NewTicket())
	for _, err := range []error{nil, err, session.ErrStoreUnavailable, errors.New("other")} {
		if cause := session.Cause(err); cause != "" {
			t.Errorf("%v: %q", err, cause)
		}
	}
}
