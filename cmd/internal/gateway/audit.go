package gateway

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// audit writes what happens to people's sessions, one line an event (ASVS 16.3), and counts the same events. A session
// is named by its id, which is a hash; a user by iss and sub.
type audit struct {
	log     *slog.Logger
	metrics *metrics
}

// session writes what the session manager reports.
func (a *audit) session(ctx context.Context, e session.Event) {
	attrs := []slog.Attr{
		slog.String("session", string(e.Session)),
		slog.String("provider", e.Provider),
		slog.String("iss", e.Issuer),
		slog.String("sub", e.Subject),
	}
	level := slog.LevelInfo
	if e.Kind == session.EventEnded {
		attrs = append(attrs, slog.String("reason", string(e.Reason)), slog.Bool("revoking", e.Revoking))
	}
	if e.Err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("err", e.Err.Error()))
	}
	a.write(ctx, level, string(e.Kind), string(e.Reason), attrs...)
}

// loginFailed writes that a login came back from the provider and did not become a session.
func (a *audit) loginFailed(r *http.Request, provider string, code problem.Code, cause error) {
	a.write(r.Context(), slog.LevelWarn, "login_failed", string(code),
		slog.String("provider", provider), slog.String("code", string(code)), slog.String("err", cause.Error()))
}

// csrfRefused writes that a request came from where it may not come from.
func (a *audit) csrfRefused(r *http.Request, code problem.Code) {
	a.write(r.Context(), slog.LevelWarn, "csrf_refused", string(code),
		slog.String("code", string(code)), slog.String("method", r.Method), slog.String("path", r.URL.Path))
}

// logoutTokenRefused writes that a logout token ended nothing.
func (a *audit) logoutTokenRefused(r *http.Request, cause error) {
	a.write(r.Context(), slog.LevelWarn, "logout_token_refused", "", slog.String("err", cause.Error()))
}

// adminEnded writes how many sessions an operator has ended, what let the operator in, and what selected them; each
// session has a line of its own besides. A sid is not shown: where front-channel logout is on, whoever knows one can
// end its sessions (FCL-05).
func (a *audit) adminEnded(ctx context.Context, way string, ended int, id session.ID, f session.Filter) {
	attrs := []slog.Attr{slog.String("by", way), slog.Int("ended", ended)}
	for _, selected := range []slog.Attr{
		slog.String("session", string(id)), slog.String("sub", f.Subject), slog.String("provider", f.Provider),
	} {
		if selected.Value.String() != "" {
			attrs = append(attrs, selected)
		}
	}
	if f.SID != "" {
		attrs = append(attrs, slog.Bool("by_sid", true))
	}
	a.write(ctx, slog.LevelInfo, "admin_ended", way, attrs...)
}

func (a *audit) write(ctx context.Context, level slog.Level, event, reason string, attrs ...slog.Attr) {
	a.metrics.events.WithLabelValues(event, reason).Inc()
	line := []slog.Attr{slog.String("event", event)}
	if cause := accessIn(ctx); cause != nil {
		line = append(line, slog.String("request_id", cause.id), slog.String("client", cause.clientText()))
	}
	a.log.LogAttrs(ctx, level, "audit", append(line, attrs...)...)
}
