package bff

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// userClaim is an element of the answer of /bff/user, as Duende BFF writes it.
type userClaim struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// User answers code that was written for Duende BFF: the claims as a list of types and values, with the management
// claims that its documentation names. Anonymous is 401. Unless slide=false, asking counts as activity. It relies on the
// header rule.
func (h *Handler) User(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Open(r)
	if err == nil && r.URL.Query().Get("slide") != "false" {
		s, err = h.Sessions.Touch(r.Context(), s)
	}
	if err != nil {
		return err
	}
	var claims []userClaim
	for _, name := range h.Claims {
		for _, value := range each(s.Claims[name]) {
			claims = append(claims, userClaim{name, value})
		}
	}
	claims = append(claims,
		userClaim{"bff:logout_url", mustJSON(h.logoutURL(s))},
		userClaim{"bff:session_expires_in", mustJSON(h.secondsUntil(s.ExpiresAt))},
		userClaim{"bff:session_state", mustJSON(s.Ticket().Proof("session_state"))},
	)
	return writeJSON(w, claims)
}

// each returns the elements of an array, one claim each as in .NET, or the value itself.
func each(value json.RawMessage) []json.RawMessage {
	if len(value) == 0 {
		return nil
	}
	var elements []json.RawMessage
	if bytes.HasPrefix(value, []byte("[")) && json.Unmarshal(value, &elements) == nil {
		return elements
	}
	return []json.RawMessage{value}
}

// mustJSON encodes strings and numbers, which always have a JSON form.
func mustJSON(value any) json.RawMessage {
	text, _ := json.Marshal(value)
	return text
}
