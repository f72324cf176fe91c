package bff

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// Callback finishes a login: the redirect URI of each provider (Core §3.1.2.5). It proves itself by its state and the
// flow cookie that belongs to it. The answer is always 303, so that no page is ever shown at an address with a code in
// it (FLOW-24): to the landing page, or to the error page.
func (h *Handler) Callback(w http.ResponseWriter, r *http.Request) error {
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return h.loginFailed(w, r, flowCookie{}, problem.Wrap(problem.LoginFailed, errors.New("the query cannot be read")))
	}
	// The flow is looked up by the first state. Were there two, CheckResponse refuses the response (FLOW-26).
	f, others, ok := h.findFlow(r, params.Get("state"))
	if !ok {
		return h.loginFailed(w, r, f, &problem.Error{
			Code:   problem.LoginFailed,
			Detail: "This sign-in was not started in this browser, or it was started more than ten minutes ago.",
			Err:    errors.New("no flow with this state"),
		})
	}
	h.cookies.clear(w, f.name)

	s, err := h.finishLogin(r, f.flow, params)
	switch {
	case f.Params.Get("prompt") == "none" && notSignedIn(err): // an answer, not a failure (FLOW-39)
		h.Logger.InfoContext(r.Context(), "login without interaction found nobody signed in", "provider", f.Provider)
	case err != nil:
		return h.loginFailed(w, r, f, err)
	default:
		h.cookies.setSession(w, s.Ticket().Reveal())
	}
	return h.showFlash(w, "landing", flash{Next: f.ReturnURL, Title: "Signing you in"}, others > 0)
}

// finishLogin turns an authorization response into a session. Nothing is sent to the provider before the response is
// known to be the answer to this flow, and the flow to be unspent (FLOW-06).
func (h *Handler) finishLogin(r *http.Request, f flow, params url.Values) (*session.Session, error) {
	ctx := r.Context()
	provider, ok := h.Providers.byName(r.PathValue("provider"))
	if !ok || provider.Name != f.Provider || h.isFirstByName(r) {
		return nil, problem.Wrap(problem.LoginFailed, errors.New("the response came to another provider's redirect URI"))
	}
	if metadata, err := provider.Client.Metadata(); err != nil {
		return nil, problem.Wrap(problem.ProviderUnavailable, err)
	} else if metadata.Issuer != f.Issuer {
		return nil, problem.Wrap(problem.LoginFailed, errors.New("the provider's issuer has changed since the flow began"))
	}
	code, err := provider.Client.CheckResponse(params, f.State)
	if err != nil {
		return nil, loginProblem(err)
	}
	if err := h.Sessions.Consume(ctx, "flow "+f.State, flowLife); err != nil {
		if errors.Is(err, session.ErrSpent) {
			return nil, &problem.Error{Code: problem.LoginFailed, Detail: "This sign-in was finished before.", Err: err}
		}
		return nil, err
	}

	// From here on a lost answer costs the user the login, so a browser that goes away does not cancel it.
	ctx = context.WithoutCancel(ctx)
	grant, err := provider.Client.Exchange(ctx, code, f.request())
	if err != nil {
		return nil, loginProblem(err)
	}
	login, err := newLogin(provider.Name, grant)
	if err != nil {
		return nil, err
	}
	login.UserAgent = r.UserAgent()
	login.Previous = f.Previous
	if ticket, ok := h.Ticket(r); ok { // a Lax cookie does come along, and is the newer knowledge
		login.Previous = ticket.ID()
	}
	s, err := h.Sessions.Create(ctx, login)
	if err != nil {
		h.revokeLost(ctx, provider, grant)
		return nil, err
	}
	return s, nil
}

// isFirstByName reports whether the first provider's response came to a path with its name in it, which is not the
// redirect URI that it has registered.
func (h *Handler) isFirstByName(r *http.Request) bool {
	return r.PathValue("provider") == h.Providers[0].Name
}

// revokeLost ends, as well as it can, a grant that no session will ever use.
func (h *Handler) revokeLost(ctx context.Context, p Provider, g *rp.Grant) {
	if g.RefreshToken.IsZero() {
		return
	}
	if err := p.Client.Revoke(ctx, g.RefreshToken, "refresh_token"); err != nil {
		h.Logger.WarnContext(ctx, "the refresh token of a login that could not be stored was not revoked", "provider", p.Name, "err", err)
	}
}

func notSignedIn(err error) bool {
	var answer *rp.AuthorizationError
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code {
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		return true
	}
	return false
}

// loginProblem says what the user is told when the provider's part of a login fails.
func loginProblem(err error) error {
	var answer *rp.AuthorizationError
	switch {
	case errors.As(err, &answer) && answer.Code == "access_denied":
		return &problem.Error{Code: problem.LoginFailed, Detail: "Access was denied, by you or by the sign-in service.", Err: err}
	case errors.As(err, &answer) && answer.Code == "temporarily_unavailable", errors.Is(err, rp.ErrUnavailable):
		return problem.Wrap(problem.ProviderUnavailable, err)
	}
	return problem.Wrap(problem.LoginFailed, err)
}

// loginFailed shows the error page and lets the audit log know.
func (h *Handler) loginFailed(w http.ResponseWriter, r *http.Request, f flowCookie, err error) error {
	shown := flash{Code: problem.Internal, Retry: map[string]string{}}
	if f.ReturnURL != "" {
		shown.Retry["returnUrl"] = f.ReturnURL
		shown.Retry["provider"] = f.Provider
	}
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		shown.Code, shown.Detail = p.Code, p.Detail
	case errors.Is(err, session.ErrStoreUnavailable):
		shown.Code = problem.StoreUnavailable
	}
	if h.OnLoginFailed != nil {
		h.OnLoginFailed(r, f.Provider, shown.Code, fmt.Errorf("login: %w", err))
	}
	return h.showFlash(w, "error", shown, false)
}
