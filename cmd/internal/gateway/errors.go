package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

const retryAfter = "2" // seconds

// refuser writes an error as a response.
type refuser func(w http.ResponseWriter, r *http.Request, err error)

// answer runs a handler and has what it returns written: the one place where a refusal becomes an HTTP response.
func (g *Gateway) answer(next handler, refuse refuser) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v) // the response has begun and cannot be mended; net/http closes the connection
				}
				g.log.ErrorContext(r.Context(), "panic", "value", v, "stack", string(debug.Stack()))
				refuse(w, r, problem.New(problem.Internal, ""))
			}
		}()
		if err := next(w, r); err != nil {
			refuse(w, r, err)
		}
	})
}

// refuse writes an error: a page for a navigation, RFC 9457 problem details for everything else. A session that is over
// loses its cookie here; a store that does not answer never costs anybody a cookie.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := g.refusal(w, r, err)
	g.bff.Forget(w, err)
	if proxy.IsNavigation(r) {
		err = g.writeErrorPage(w, r, p)
	} else {
		loginURL := ""
		if p.Code.Status() == http.StatusUnauthorized {
			loginURL = g.urls.LoginURL(p.Login)
		}
		err = writeProblem(w, r, p, loginURL)
	}
	if err != nil {
		g.log.DebugContext(r.Context(), "the client went away before the error was written", "err", err)
	}
}

// refuseAdmin writes an error on the admin listener.
func (g *Gateway) refuseAdmin(w http.ResponseWriter, r *http.Request, err error) {
	p := g.refusal(w, r, err)
	if p.Code == problem.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	_ = writeProblem(w, r, p, "") // the client has gone
}

// refusal notes an error in the logs and sets the header fields of its response.
func (g *Gateway) refusal(w http.ResponseWriter, r *http.Request, err error) *problem.Error {
	p := asProblem(err)
	seen := accessOf(r)
	seen.code, seen.err = p.Code, err
	if p.Code == problem.CSRFHeaderMissing || p.Code == problem.CrossSiteRequest {
		g.audit.csrfRefused(r, p.Code)
	}
	if seen.status != 0 { // too late to say anything
		panic(http.ErrAbortHandler)
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if len(p.Allow) > 0 {
		header.Set("Allow", strings.Join(p.Allow, ", "))
	}
	switch p.Code.Status() {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		header.Set("Retry-After", retryAfter)
	}
	return p
}

// writeProblem writes RFC 9457 problem details.
func writeProblem(w http.ResponseWriter, r *http.Request, p *problem.Error, loginURL string) error {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Code.Status())
	return json.NewEncoder(w).Encode(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Code      string `json:"code"`
		Detail    string `json:"detail,omitempty"`
		RequestID string `json:"request_id"`
		LoginURL  string `json:"login_url,omitempty"`
	}{
		Type: "about:blank", Title: p.Code.Title(), Status: p.Code.Status(), Code: string(p.Code),
		Detail: p.Detail, RequestID: accessOf(r).id, LoginURL: loginURL,
	})
}

func (g *Gateway) writeErrorPage(w http.ResponseWriter, r *http.Request, p *problem.Error) error {
	page := bff.Page{
		Status: p.Code.Status(), Title: p.Code.Title(), Text: p.Detail, Code: string(p.Code), ID: accessOf(r).id,
	}
	switch p.Code {
	case problem.Unauthenticated, problem.SessionExpired, problem.SessionEnded, problem.StepUpRequired:
		fields := map[string]string{"returnUrl": hereOf(r)}
		maps.Copy(fields, p.Login)
		page.Actions = append(page.Actions, bff.Action{Label: "Sign in", Path: g.urls.Path("login"), Fields: fields})
	case problem.StoreUnavailable, problem.ProviderUnavailable, problem.RefreshUnavailable, problem.TooManyRequests,
		problem.LoginFailed:
		again := bff.Action{Label: "Try again", Path: r.URL.Path, Fields: map[string]string{}}
		for name, values := range r.URL.Query() {
			again.Fields[name] = values[0]
		}
		page.Actions = append(page.Actions, again)
	}
	return bff.WritePage(w, page)
}

// asProblem finds the problem in an error. What nobody has named is internal, and its text stays in the log.
func asProblem(err error) *problem.Error {
	var p *problem.Error
	if errors.As(err, &p) {
		return p
	}
	for _, known := range []struct {
		is     error
		code   problem.Code
		detail string
	}{
		{session.ErrNone, problem.Unauthenticated, "Sign in and repeat the request."},
		{session.ErrIdle, problem.SessionExpired, "The session was idle for too long. Sign in again."},
		{session.ErrExpired, problem.SessionExpired, "The session has reached its end. Sign in again."},
		{session.ErrEnded, problem.SessionEnded, "The session was ended. Sign in again."},
		{session.ErrTooMany, problem.TooManyRequests, "This session has too many requests under way; repeat the request in a moment."},
		{session.ErrRefreshUnavailable, problem.RefreshUnavailable, "The session is kept; repeat the request in a moment."},
		{session.ErrStoreUnavailable, problem.StoreUnavailable, "The session is kept; repeat the request in a moment."},
	} {
		if errors.Is(err, known.is) {
			return &problem.Error{Code: known.code, Detail: known.detail, Err: err}
		}
	}
	return problem.Wrap(problem.Internal, err)
}

func methodNotAllowed[V any](methods map[string]V) error {
	allow := slices.Sorted(maps.Keys(methods))
	p := problem.New(problem.MethodNotAllowed, "use %s", strings.Join(allow, " or "))
	p.Allow = allow
	return p
}

// logLevel is how loudly a refusal is logged: what the operator has to mend is an error, what clients do is not.
func logLevel(p problem.Code, err error) slog.Level {
	switch {
	case errors.Is(err, context.Canceled):
		return slog.LevelInfo
	case p.Status() >= 500:
		return slog.LevelError
	}
	return slog.LevelInfo
}
