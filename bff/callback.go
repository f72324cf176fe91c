package bff

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// Callback finishes a login: the redirect URI of each provider (Core §3.1.2.5), by GET or POST as the provider's response
// mode has it. It proves itself by its state and the flow cookie that belongs to it. The answer is always 303, so that no
// page is ever shown at an address with a code in it, and no form is posted on (FLOW-24, FLOW-25): to the landing page,
// or to the error page.
func (h *Handler) Callback(w http.ResponseWriter, r *http.Request) error {
	provider, ok := h.callbackProvider(r)
	if !ok {
		err := errors.New("the response came to an address that is no provider's redirect URI")
		return h.loginFailed(w, r, flow{}, problem.Wrap(problem.LoginFailed, err))
	}
	f, response, severalTabs, err := h.answeredFlow(r, provider)
	if err != nil {
		return h.loginFailed(w, r, flow{Provider: provider.Name}, err)
	}
	h.cookies.clear(w, f.name)

	s, err := h.finishLogin(w, r, provider, f.flow, response)
	switch {
	case f.Params.Get("prompt") == "none" && notSignedIn(err): // an answer, not a failure (FLOW-39)
		h.Logger.InfoContext(r.Context(), "login without interaction found nobody signed in", "provider", f.Provider)
	case err != nil:
		return h.loginFailed(w, r, f.flow, err)
	default:
		h.cookies.setSession(w, s.Ticket().Reveal())
	}
	return h.showFlash(w, "landing", flash{Next: f.ReturnURL, Title: "Signing you in"}, severalTabs)
}

// callbackProvider is the provider whose redirect URI the request came to (FLOW-14, FLOW-36). The first provider's has no
// name in it.
func (h *Handler) callbackProvider(r *http.Request) (Provider, bool) {
	name := r.PathValue("provider")
	if name == h.Providers[0].Name {
		return Provider{}, false
	}
	return h.Providers.byName(name)
}

// answeredFlow reads the response and finds the flow that it answers, among those that this browser began with this
// provider: a response that came to another provider's redirect URI finds none. Without any such flow the response is not
// even read, since a signed one makes us work and fetch keys. severalTabs tells that the browser has more flows.
func (h *Handler) answeredFlow(r *http.Request, p Provider) (
	f flowCookie, response *rp.Response, severalTabs bool, err error,
) {
	notStarted := func(why string) error {
		return &problem.Error{
			Code:   problem.LoginFailed,
			Detail: "This sign-in was not started in this browser, or it was started more than ten minutes ago.",
			Err:    errors.New(why),
		}
	}
	open, _ := h.flows(r)
	candidates := slices.DeleteFunc(slices.Clone(open), func(f flowCookie) bool { return f.Provider != p.Name })
	if len(candidates) == 0 {
		return f, nil, false, notStarted("no flow with this provider")
	}
	if response, err = p.Client.ReadResponse(r.Context(), r); err != nil {
		return f, nil, false, loginProblem(err)
	}
	i := slices.IndexFunc(candidates, func(f flowCookie) bool { return sameText(f.State, response.State()) })
	if i < 0 {
		return f, nil, false, notStarted("no flow with this state")
	}
	return candidates[i], response, len(open) > 1, nil
}

// finishLogin turns an authorization response into a session. Nothing is sent to the provider before the response is
// known to be the answer to this flow, and the flow to be unspent (FLOW-06).
func (h *Handler) finishLogin(w http.ResponseWriter, r *http.Request, p Provider, f flow, response *rp.Response) (
	*session.Session, error,
) {
	ctx := r.Context()
	if metadata, err := p.Client.Metadata(); err != nil {
		return nil, problem.Wrap(problem.ProviderUnavailable, err)
	} else if metadata.Issuer != f.Issuer {
		return nil, problem.Wrap(problem.LoginFailed, errors.New("the provider's issuer has changed since the flow began"))
	}
	code, err := p.Client.CheckResponse(response, f.State)
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
	grant, err := p.Client.Exchange(ctx, code, f.request())
	if err != nil {
		return nil, loginProblem(err)
	}
	login, err := newLogin(p.Name, grant)
	if err != nil {
		return nil, err
	}
	login.UserAgent = r.UserAgent()
	login.Previous = f.Previous
	if ticket, ok := h.Ticket(r); ok { // a Lax cookie does come along, and is the newer knowledge
		login.Previous = ticket.ID()
	}
	if f.Subject != "" && f.Subject != login.Subject {
		h.revokeLost(ctx, p, grant)
		return nil, h.endStepUp(w, r, login.Previous)
	}
	s, err := h.Sessions.Create(ctx, login)
	switch {
	case errors.Is(err, session.ErrLoggedOut): // BCL-25; what was granted has ended as any session's has
		const detail = "You were signed out at the sign-in service while you were signing in. Sign in again."
		return nil, &problem.Error{Code: problem.LoginFailed, Detail: detail, Err: err}
	case err != nil:
		h.revokeLost(ctx, p, grant)
		return nil, err
	}
	return s, nil
}

// revokeLost ends, as well as it can, a grant that no session will ever use.
func (h *Handler) revokeLost(ctx context.Context, p Provider, g *rp.Grant) {
	if g.RefreshToken.IsZero() {
		return
	}
	if err := p.Client.Revoke(ctx, g.RefreshToken, "refresh_token"); err != nil {
		h.Logger.WarnContext(ctx, "the refresh token of a login that made no session was not revoked", "provider", p.Name, "err", err)
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
func (h *Handler) loginFailed(w http.ResponseWriter, r *http.Request, f flow, err error) error {
	retry := map[string]string{"returnUrl": f.ReturnURL, "provider": f.Provider}
	for _, name := range stepUpParams { // what the application needs, it needs from the next try as well
		retry[name] = f.Params.Get(name)
	}
	maps.DeleteFunc(retry, func(_, value string) bool { return value == "" })
	shown := flash{Code: problem.Internal, Retry: retry}
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
