package bff

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// sessionAnswer is the body of /bff/session: what a page may know of its session.
type sessionAnswer struct {
	Authenticated bool `json:"authenticated"`

	User          map[string]json.RawMessage `json:"user,omitempty"`
	Provider      string                     `json:"provider,omitempty"`
	IdleExpiresAt *time.Time                 `json:"idle_expires_at,omitempty"`
	ExpiresAt     *time.Time                 `json:"expires_at,omitempty"`
	IdleExpiresIn *int64                     `json:"idle_expires_in,omitempty"` // seconds
	ExpiresIn     *int64                     `json:"expires_in,omitempty"`      // seconds
	LogoutURL     string                     `json:"logout_url,omitempty"`

	LoginURL string `json:"login_url,omitempty"`
	Reason   string `json:"reason,omitempty"` // none, expired, idle or ended
}

// Session answers whether somebody is signed in, and who (RFC 10017 §6.1.2.1). Asking is not activity, so that a page may
// poll (RFR-33). It relies on the header rule.
func (h *Handler) Session(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Open(r)
	return h.answerSession(w, s, err)
}

// Extend counts as activity: it moves the idle deadline, never the absolute one. It relies on the header rule.
func (h *Handler) Extend(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Open(r)
	if err == nil {
		s, err = h.Sessions.Extend(r.Context(), s)
	}
	return h.answerSession(w, s, err)
}

// RefreshSession asks the provider for new tokens and claims now, for a page that knows of a change (pains.md 14). It is
// no activity (RFR-33). Twice within a few seconds is 429; a session without a refresh token is 400, since only a new
// login helps there. It relies on the header rule.
func (h *Handler) RefreshSession(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Open(r)
	if err == nil {
		s, err = h.Sessions.Renew(r.Context(), s)
	}
	switch {
	case errors.Is(err, session.ErrTooSoon):
		const detail = "The session has just been refreshed. Try again in a moment."
		return &problem.Error{Code: problem.TooManyRequests, Detail: detail, Err: err}
	case errors.Is(err, session.ErrNotRefreshable):
		const detail = "There is no refresh token to ask with. Sign in again."
		return &problem.Error{Code: problem.BadRequest, Detail: detail, Err: err}
	}
	return h.answerSession(w, s, err)
}

// answerSession writes what describe says. A cookie whose session is over for good goes.
func (h *Handler) answerSession(w http.ResponseWriter, s *session.Session, err error) error {
	answer, known := h.describe(s, err)
	if !known {
		return err
	}
	h.Forget(w, err)
	return writeJSON(w, answer)
}

// describe is a session as a page may know it, or why there is none. It is false when err says neither.
func (h *Handler) describe(s *session.Session, err error) (answer sessionAnswer, known bool) {
	if err != nil {
		reason, anonymous := session.Anonymous(err)
		return sessionAnswer{LoginURL: h.URLs.Path("login"), Reason: reason}, anonymous
	}
	idleIn, in := h.secondsUntil(s.IdleAt), h.secondsUntil(s.ExpiresAt)
	idleAt, at := s.IdleAt.UTC().Truncate(time.Second), s.ExpiresAt.UTC().Truncate(time.Second)
	return sessionAnswer{
		Authenticated: true,
		User:          h.visibleClaims(s),
		Provider:      s.Provider,
		IdleExpiresAt: &idleAt,
		ExpiresAt:     &at,
		IdleExpiresIn: &idleIn,
		ExpiresIn:     &in,
		LogoutURL:     h.logoutURL(s),
	}, true
}

// visibleClaims are the allow-listed claims (BFF-19).
func (h *Handler) visibleClaims(s *session.Session) map[string]json.RawMessage {
	visible := make(map[string]json.RawMessage, len(h.Claims))
	for _, name := range h.Claims {
		if value, ok := s.Claims[name]; ok {
			visible[name] = value
		}
	}
	return visible
}

func (h *Handler) secondsUntil(t time.Time) int64 {
	return max(0, int64(t.Sub(h.Now())/time.Second))
}

// logoutURL can be navigated to; its sid is made from the ticket, so no other site can guess it and it ends no other
// session (RPL-08).
func (h *Handler) logoutURL(s *session.Session) string {
	return h.URLs.Path("logout") + "?" + url.Values{"sid": {s.Ticket().Proof("logout")}}.Encode()
}
