package optest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A session is a browser in which a user has signed in at the OP. It is not changed after it was made.
type session struct {
	id       string // the cookie's value
	sid      string // what clients know it by
	subject  string
	authTime time.Time
	acr      string
}

// amr says how the user signed in (RFC 8176).
func (s *session) amr(defaultACR string) []string {
	if s.acr == defaultACR {
		return []string{"pwd"}
	}
	return []string{"pwd", "otp"}
}

// startSession signs a user in: a new cookie each time, and the same sid for as long as the user stays the same.
func (op *OP) startSession(w http.ResponseWriter, old *session, subject, acr string) *session {
	s := &session{id: rand.Text(), sid: rand.Text(), subject: subject, authTime: op.now(), acr: acr}
	op.mu.Lock()
	defer op.mu.Unlock()
	if old != nil {
		delete(op.sessions, old.id)
		if old.subject == subject {
			s.sid = old.sid
		}
	}
	op.sessions[s.id] = s
	op.setCookie(w, "session", s.id)
	return s
}

// sessionOf returns the session of a browser, or nil.
func (op *OP) sessionOf(r *http.Request) *session {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.sessions[op.cookie(r, "session")]
}

// EndSessions signs a user out at the OP, in all browsers, and tells the clients with a BackchannelLogoutURI. It
// returns when all have answered. Tokens stay as they are; see RevokeGrants.
func (op *OP) EndSessions(subject string) []LogoutDelivery {
	return op.notify(op.removeSessions(func(s *session) bool { return s.subject == subject })...)
}

// EndSession is EndSessions for the one session that clients know by this sid.
func (op *OP) EndSession(sid string) []LogoutDelivery {
	return op.notify(op.removeSessions(func(s *session) bool { return s.sid == sid })...)
}

func (op *OP) removeSessions(which func(*session) bool) []*session {
	op.mu.Lock()
	defer op.mu.Unlock()
	var removed []*session
	for id, s := range op.sessions {
		if which(s) {
			delete(op.sessions, id)
			removed = append(removed, s)
		}
	}
	return removed
}

// cookieName ends in the port, because cookies ignore ports and several OPs may share a loopback address.
func (op *OP) cookieName(name string) string {
	origin, _ := url.Parse(op.origin)
	return strings.TrimSuffix("op-"+name+"-"+origin.Port(), "-")
}

func (op *OP) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(op.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie sets a cookie that lasts as long as the browser. Lax lets it come along when a client sends the browser
// here.
func (op *OP) setCookie(w http.ResponseWriter, name, value string) { op.writeCookie(w, name, value, 0) }

func (op *OP) clearCookie(w http.ResponseWriter, name string) { op.writeCookie(w, name, "", -1) }

func (op *OP) writeCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name:     op.cookieName(name),
		Value:    value,
		MaxAge:   maxAge,
		Path:     op.prefix + "/",
		HttpOnly: true,
		Secure:   strings.HasPrefix(op.origin, "https:"),
		SameSite: http.SameSiteLaxMode,
	})
}
