package optest

import (
	"encoding/json"
	"errors"
	"net/http"
)

// A refusal is an error answer: an OAuth error code (RFC 6749, 4.1.2.1 and 5.2) with a sentence for the developer.
type refusal struct {
	status      int
	code        string
	description string
}

func (e *refusal) Error() string { return e.code + ": " + e.description }

func refuse(code, description string) *refusal {
	return &refusal{http.StatusBadRequest, code, description}
}

// api answers with JSON, errors too (RFC 6749, 5.2).
func (op *OP) api(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		var e *refusal
		if !errors.As(err, &e) {
			e = &refusal{http.StatusInternalServerError, "server_error", err.Error()}
		}
		if e.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", challenge(e))
		}
		writeJSON(w, e.status, map[string]any{"error": e.code, "error_description": e.description})
	}
}

// challenge is the WWW-Authenticate of a 401: Bearer for access tokens (RFC 6750, 3), else Basic for clients.
func challenge(e *refusal) string {
	if e.code == "invalid_token" {
		return `Bearer error="invalid_token"`
	}
	return `Basic realm="token"`
}

// page answers with a page to the person at the browser, errors too.
func (op *OP) page(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		err := h(w, r)
		if err == nil {
			return
		}
		var e *refusal
		if !errors.As(err, &e) {
			e = &refusal{http.StatusInternalServerError, "server_error", err.Error()}
		}
		op.pages.Error(w, r, ErrorPage{Status: e.status, Code: e.code, Description: e.description})
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(text)
}
