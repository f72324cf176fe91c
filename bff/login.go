package bff

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

// WantsJSON reports whether a request for /bff/login is the JSON form, for pages that fetch the authorization URL and
// navigate by themselves. The gateway asks it of such a request what it asks of an API call (BFF-20).
func WantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

// Login sends the browser to the provider, with a fresh flow in a sealed cookie (Core §3.1.2.1). As a navigation it
// answers 302; in the JSON form 200 with the URL to navigate to.
//
// A navigation that another site started gets a page with one button instead: nobody is signed in, or to another
// account, by following a link (FLOW-37).
func (h *Handler) Login(w http.ResponseWriter, r *http.Request) error {
	query, err := singleValues(r.URL.RawQuery)
	if err != nil {
		return err
	}
	returnURL, err := ParseReturnURL(query["returnUrl"])
	if err != nil {
		return err
	}
	provider, known := h.Providers.byName(query["provider"])
	if !known {
		return problem.New(problem.BadRequest, "provider is not one that is configured here")
	}
	if query["provider"] == "" && len(h.Providers) > 1 {
		return h.chooseProvider(w, r, query)
	}
	if !WantsJSON(r) {
		switch mode := r.Header.Get("Sec-Fetch-Mode"); {
		case mode != "" && mode != "navigate":
			return problem.New(problem.BadRequest,
				"login is a navigation; to fetch the authorization URL send Accept: application/json and X-CSRF: 1")
		case FromElsewhere(r):
			return WritePage(w, Page{
				Status: http.StatusOK,
				Title:  "Sign in?",
				Text:   "Another site asked to sign you in here. Go on if you meant to.",
				Actions: []Action{{
					Label: "Sign in", Path: h.URLs.Path("login"), Fields: allowed(query, provider.LoginParams),
				}},
			})
		}
	}
	location, expiresIn, err := h.startLogin(w, r, provider, returnURL, query)
	if err != nil {
		return err
	}
	if WantsJSON(r) {
		return writeJSON(w, struct {
			AuthorizationURL string `json:"authorization_url"`
			ExpiresIn        int    `json:"expires_in"` // seconds
		}{location, int(expiresIn / time.Second)})
	}
	redirect(w, location, http.StatusFound)
	return nil
}

// startLogin begins a flow and returns where to send the browser, and for how long that address is good.
func (h *Handler) startLogin(
	w http.ResponseWriter, r *http.Request, p Provider, returnURL string, query map[string]string,
) (location string, expiresIn time.Duration, err error) {
	metadata, err := p.Client.Metadata()
	if err != nil {
		return "", 0, advised(problem.Wrap(problem.ProviderUnavailable, err))
	}
	f := newFlow(h.Now())
	f.Provider, f.Issuer, f.ReturnURL = p.Name, metadata.Issuer, returnURL
	if ticket, ok := h.Ticket(r); ok {
		f.Previous = ticket.ID()
	}
	f.Params = url.Values{}
	for _, name := range p.LoginParams {
		if value := query[name]; value != "" {
			f.Params.Set(name, value)
		}
	}
	if f.Subject, err = h.subjectOfStepUp(r, f); err != nil {
		return "", 0, err
	}
	if p.Client.Pushes() && h.AdmitPush != nil {
		if err := h.AdmitPush(r); err != nil {
			return "", 0, err
		}
	}
	location, expiresIn, err = p.Client.AuthorizationURL(r.Context(), f.request())
	switch {
	case errors.Is(err, rp.ErrParameter):
		const detail = "a login parameter has a value that cannot be sent"
		return "", 0, &problem.Error{Code: problem.BadRequest, Detail: detail, Err: err}
	case err != nil: // of the provider, too, when the request was pushed to it
		h.Logger.WarnContext(r.Context(), "a login could not begin", "provider", p.Name, "err", err)
		return "", 0, advised(loginProblem(err))
	}
	if err := h.saveFlow(w, r, f, p.Client.PostsResponse()); err != nil {
		return "", 0, &problem.Error{Code: problem.BadRequest, Detail: "the login parameters are too long", Err: err}
	}
	if expiresIn == 0 || expiresIn > flowLife {
		expiresIn = flowLife
	}
	return location, expiresIn, nil
}

// advised says what to do about a login that could not begin.
func advised(err error) error {
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Detail == "" {
		p.Detail = adviceFor(p.Code)
	}
	return err
}

// request is the flow as the relying party knows it.
func (f flow) request() rp.AuthorizationRequest {
	return rp.AuthorizationRequest{
		State: f.State, Nonce: f.Nonce, Verifier: secret.New(f.Verifier), Params: f.Params,
		Started: time.UnixMilli(f.Started),
	}
}

// chooseProvider asks which provider to sign in with. Its buttons are navigations of our own, so each also serves as the
// confirmation that a link from another site needs.
func (h *Handler) chooseProvider(w http.ResponseWriter, r *http.Request, query map[string]string) error {
	if WantsJSON(r) {
		return problem.New(problem.BadRequest, "provider is missing; name one of the configured providers")
	}
	page := Page{Status: http.StatusOK, Title: "Sign in", Text: "Choose where you have your account."}
	for _, p := range h.Providers {
		fields := allowed(query, p.LoginParams)
		fields["provider"] = p.Name
		page.Actions = append(page.Actions, Action{Label: p.Name, Path: h.URLs.Path("login"), Fields: fields})
	}
	return WritePage(w, page)
}

// allowed keeps what the login endpoint reads.
func allowed(query map[string]string, loginParams []string) map[string]string {
	kept := map[string]string{}
	for name, value := range query {
		if name == "returnUrl" || name == "provider" || slices.Contains(loginParams, name) {
			kept[name] = value
		}
	}
	return kept
}

// FromElsewhere reports whether another site started the navigation. A browser too old to say so (before 2023) passes:
// the flow it starts is bound to it by its cookie all the same.
func FromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// singleValues reads a query in which no parameter occurs twice (FLOW-26).
func singleValues(rawQuery string) (map[string]string, error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, &problem.Error{Code: problem.BadRequest, Detail: "the query cannot be read", Err: err}
	}
	single := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) > 1 {
			return nil, problem.New(problem.BadRequest, "a query parameter occurs more than once")
		}
		single[name] = all[0]
	}
	return single, nil
}

func writeJSON(w http.ResponseWriter, value any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(value)
}
