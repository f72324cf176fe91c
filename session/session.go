package session

import (
	"encoding/json"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// ID names a session in the store, in indexes and in logs: the base64url SHA-256 of its ticket. It opens nothing: whoever holds it cannot compute the ticket (CK-08).
type ID string

// Session is a signed-in browser as the rest of the program sees it: read-only, complete, and as of one moment. What
// changes it is the [Manager].
type Session struct {
	ID       ID
	Provider string // name of the provider in the configuration

	Issuer  string // iss; with Subject the identity key (IDT-26)
	Subject string // sub
	SID     string // sid of the OP session, "" when the OP sends none

	// Identity is what the relying party wants back at a refresh: the verified claims of the login's ID token as
	// JSON (IDT-31). This package does not look inside.
	Identity []byte
	// Claims are all verified claims of the ID token and the userinfo response, each as the OP wrote it.
	Claims map[string]json.RawMessage
	Tokens Tokens

	UserAgent  string
	CreatedAt  time.Time
	LastSeenAt time.Time // last activity, to within a few seconds
	IdleAt     time.Time // idle deadline: LastSeenAt plus the idle timeout
	ExpiresAt  time.Time // absolute deadline (ASVS 7.3.2)

	audiences map[string]AudienceToken // that the refresh token has brought, by resource

	ticket  Ticket
	version uint64 // of the record this was opened from
	doubt   bool   // the refresh token was sent and no answer came: it is not sent again (RFR-29)
}

// Tokens are what the OP gave. They leave this process only towards the OP and, the access token, towards upstreams.
type Tokens struct {
	Access    secret.String
	ExpiresAt time.Time // of the access token; never zero, a missing expires_in has become a default before (FLOW-31)
	IssuedAt  time.Time
	Refresh   secret.String // may be empty
	ID        secret.String // the raw ID token, for id_token_hint
	Scope     []string      // as granted
}

// Ticket returns what the session cookie carries.
func (s *Session) Ticket() Ticket { return s.ticket }

// seen is the session with its last activity at t. A store that has forgotten it, as it does some time after the idle
// deadline, says zero; then all we know is the login.
func (s *Session) seen(t time.Time, idle time.Duration) *Session {
	if t.IsZero() {
		t = s.CreatedAt
	}
	next := *s
	next.LastSeenAt = t
	next.IdleAt = t.Add(idle)
	return &next
}

// over says whether a deadline has passed by now, and which.
func (s *Session) over(now time.Time) Reason {
	switch {
	case !now.Before(s.ExpiresAt):
		return ReasonExpired
	case !now.Before(s.IdleAt):
		return ReasonIdle
	default:
		return ""
	}
}

// renewed is the session with what a refresh brought. A token that the OP did not send again stays (RFR-11).
func (s *Session) renewed(got *Refreshed) *Session {
	next := *s
	next.Tokens = got.Tokens
	if next.Tokens.Refresh.IsZero() {
		next.Tokens.Refresh = s.Tokens.Refresh
	}
	if next.Tokens.ID.IsZero() {
		next.Tokens.ID = s.Tokens.ID
	}
	if next.Tokens.Scope == nil {
		next.Tokens.Scope = s.Tokens.Scope
	}
	if got.Identity != nil {
		next.Identity = got.Identity
	}
	if got.Claims != nil {
		next.Claims = got.Claims
	}
	return &next
}
