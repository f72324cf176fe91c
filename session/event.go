package session

import "errors"

// Reason says why a session ended. The tombstone keeps it.
type Reason string

// The reasons for an end.
const (
	ReasonIdle             Reason = "idle"              // no activity for the idle timeout
	ReasonExpired          Reason = "expired"           // past the absolute deadline
	ReasonLogout           Reason = "logout"            // the user signed out
	ReasonReplaced         Reason = "replaced"          // another login in the same browser
	ReasonGrantRefused     Reason = "grant_refused"     // the OP takes the refresh token no more
	ReasonRefreshUncertain Reason = "refresh_uncertain" // a refresh was sent and never answered
	ReasonUserLimit        Reason = "user_limit"        // the user's newer sessions are as many as one may have
	ReasonKeyRetired       Reason = "key_retired"       // the key that sealed it is no longer in the key ring

	ReasonBackchannel  Reason = "backchannel_logout"  // the OP said so, from server to server
	ReasonFrontchannel Reason = "frontchannel_logout" // the OP said so, through the browser
	ReasonUser         Reason = "ended_by_user"       // the user, from another session or everywhere
	ReasonAdmin        Reason = "ended_by_admin"      // an operator, through the admin listener
)

// err is what a caller with a ticket of a session that ended for this reason hears.
func (r Reason) err() error {
	switch r {
	case "":
		return ErrNone
	case ReasonIdle:
		return &over{ErrIdle, r}
	case ReasonExpired:
		return &over{ErrExpired, r}
	case ReasonReplaced:
		return &over{ErrReplaced, r}
	default:
		return &over{ErrEnded, r}
	}
}

// over is one of the errors that say that a session has ended, with the reason.
type over struct {
	error
	reason Reason
}

// Unwrap makes [errors.Is] find ErrEnded and its like.
func (o *over) Unwrap() error { return o.error }

// Cause is the reason behind an error which says that a session has ended: more than [Anonymous] tells, for the user
// whose session it was. It is "" for every other error, and where the reason is not known any more.
func Cause(err error) Reason {
	if o, ok := errors.AsType[*over](err); ok {
		return o.reason
	}
	return ""
}

// Anonymous tells why nobody is signed in, as an application may know it: "none", "idle", "expired" or "ended". It is
// false for every other error: that a session could not be read does not mean that there is none.
func Anonymous(err error) (why string, ok bool) {
	switch {
	case errors.Is(err, ErrNone):
		return "none", true
	case errors.Is(err, ErrIdle):
		return "idle", true
	case errors.Is(err, ErrExpired):
		return "expired", true
	case errors.Is(err, ErrEnded):
		return "ended", true
	}
	return "", false
}

// EventKind says what happened to a session.
type EventKind string

// The kinds of events.
const (
	EventLogin         EventKind = "login"
	EventRefreshed     EventKind = "refreshed"
	EventRefreshFailed EventKind = "refresh_failed" // Err says why; an end, if it follows, is its own event
	EventExtended      EventKind = "extended"       // at the user's request
	EventEnded         EventKind = "ended"
	EventRevoked       EventKind = "revoked"
	EventRevokeFailed  EventKind = "revoke_failed"
)

// Event is one line of the audit log. It holds no secret: Session is a hash of the ticket.
type Event struct {
	Kind     EventKind
	Session  ID
	Provider string
	Issuer   string
	Subject  string
	Reason   Reason // of EventEnded
	// Revoking tells, of EventEnded, that the tokens are being revoked at the OP, with an event of its own to follow.
	// It is false where that is turned off and where no ticket was at hand to open the record with, as when the
	// sweep ends a session.
	Revoking bool
	Err      error // of the failures
}
