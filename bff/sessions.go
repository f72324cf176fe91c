package bff

import (
	"net/http"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// listedSession is a session as its user sees it beside the others (SES-07). The id opens nothing, see [session.ID].
type listedSession struct {
	ID         session.ID `json:"id"`
	Provider   string     `json:"provider"`
	CreatedAt  time.Time  `json:"created_at"`
	LastSeenAt time.Time  `json:"last_seen_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	UserAgent  string     `json:"user_agent"`
	Current    bool       `json:"current"`
}

// ListSessions answers with the user's own sessions, the newest first. Asking is not activity. It relies on the header
// rule, as the other two do.
func (h *Handler) ListSessions(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Open(r)
	if err != nil {
		return err
	}
	sessions, err := h.Sessions.OfUser(r.Context(), s.Issuer, s.Subject)
	if err != nil {
		return err
	}
	listed := make([]listedSession, len(sessions))
	for i, each := range sessions {
		listed[i] = listedSession{
			ID:         each.ID,
			Provider:   each.Provider,
			CreatedAt:  each.CreatedAt.UTC().Truncate(time.Second),
			LastSeenAt: each.LastSeenAt.UTC().Truncate(time.Second),
			ExpiresAt:  each.ExpiresAt.UTC().Truncate(time.Second),
			UserAgent:  each.UserAgent,
			Current:    each.ID == s.ID,
		}
	}
	return writeJSON(w, struct {
		Sessions []listedSession `json:"sessions"`
	}{listed})
}

// EndSession ends one of the user's sessions, the current one too. Another user's is not told from one that never was.
func (h *Handler) EndSession(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Open(r)
	if err != nil {
		return err
	}
	id := session.ID(r.PathValue("id"))
	if id == s.ID {
		err = h.endCurrent(w, r, s)
	} else {
		err = h.endOther(r, s, id)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// EndSessions ends all sessions of the user (RPL-13), with ?others=true all but the current one, and answers how many
// there were. The current one is the last to end: until then the user can try again.
func (h *Handler) EndSessions(w http.ResponseWriter, r *http.Request) error {
	query, err := singleValues(r.URL.RawQuery)
	if err != nil {
		return err
	}
	others := query["others"]
	if others != "" && others != "true" {
		return problem.New(problem.BadRequest, "others is true, or left out")
	}
	s, err := h.Open(r)
	if err != nil {
		return err
	}
	ended, err := h.Sessions.EndSelected(r.Context(),
		session.Filter{Issuers: []string{s.Issuer}, Subject: s.Subject}, s.ID, session.ReasonUser)
	if err != nil {
		return err
	}
	if others == "" {
		if err := h.endCurrent(w, r, s); err != nil {
			return err
		}
		ended++
	}
	return writeJSON(w, struct {
		Ended int `json:"ended"`
	}{ended})
}

// endCurrent ends the session of the request. Unlike the others it is open, so that its tokens can be revoked.
func (h *Handler) endCurrent(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := h.Sessions.End(r.Context(), s, session.ReasonUser); err != nil {
		return err
	}
	h.cookies.clear(w, h.cookies.session)
	return nil
}

func (h *Handler) endOther(r *http.Request, s *session.Session, id session.ID) error {
	notFound := problem.New(problem.NotFound, "you have no such session")
	other, err := h.Sessions.Lookup(r.Context(), id)
	if _, gone := session.Anonymous(err); gone {
		return notFound
	}
	if err != nil {
		return err
	}
	if other.Issuer != s.Issuer || other.Subject != s.Subject {
		return notFound
	}
	return h.Sessions.EndByID(r.Context(), id, session.ReasonUser)
}
