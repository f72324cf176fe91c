package bff

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// stepUpParams are the login parameters that an upstream can demand (RFC 9470 §3).
var stepUpParams = []string{"acr_values", "max_age"}

// stepUpPause is how long a user may take from the provider's sign-in page to the session, and from there to the
// upstream. A max_age that is shorter is not asked for again within it (EXT-07).
const stepUpPause = 30 * time.Second

// StepUp answers an upstream that wants a better sign-in than that of the session (RFC 9470 §4). asked holds the
// parameters that it names. The error is step_up_required with the login that helps, or forbidden where none would: the
// session has what is asked for, or the provider cannot be asked for it (EXT-06, EXT-07).
func (h *Handler) StepUp(r *http.Request, s *session.Session, asked map[string]string) *problem.Error {
	impossible := func(why error) *problem.Error {
		h.Logger.WarnContext(r.Context(), "an upstream asks for a step-up that is not possible",
			"provider", s.Provider, "err", why)
		return &problem.Error{
			Code:   problem.Forbidden,
			Detail: "The service wants another kind of sign-in. Signing in again would not give it that.",
			Err:    why,
		}
	}
	provider, ok := h.Providers.byName(s.Provider)
	if !ok {
		return impossible(errors.New("the session's provider is not configured any more"))
	}
	for name, value := range asked {
		if !provider.canAsk(name, value) {
			return impossible(fmt.Errorf("%s is not in login_params, or authorization_params has another value", name))
		}
	}
	if futile, err := h.stepUpIsFutile(s, asked); err != nil {
		return problem.Wrap(problem.Internal, err)
	} else if futile {
		return impossible(errors.New("the upstream names nothing that the session does not have"))
	}
	login := maps.Clone(asked)
	if len(h.Providers) > 1 {
		login["provider"] = s.Provider
	}
	return &problem.Error{
		Code:   problem.StepUpRequired,
		Detail: "The service wants a stronger or a more recent sign-in. Sign in again and repeat the request.",
		Login:  login,
	}
}

// canAsk reports whether a login with this parameter, added by a browser, would ask the provider for this value.
func (p Provider) canAsk(name, value string) bool {
	fixed, ok := p.Client.FixedParam(name)
	return slices.Contains(p.LoginParams, name) && (!ok || fixed == value)
}

// stepUpIsFutile reports whether the session has what is asked for: an acr among those, and an authentication that is
// recent enough. Just after a login it is enough that the authentication belongs to that login: a max_age shorter than
// the way back from the provider would otherwise lead from one login into the next.
func (h *Handler) stepUpIsFutile(s *session.Session, asked map[string]string) (bool, error) {
	var has rp.Identity
	if err := json.Unmarshal(s.Identity, &has); err != nil {
		return false, fmt.Errorf("reading the identity of a session: %w", err)
	}
	if acrs := strings.Fields(asked["acr_values"]); len(acrs) > 0 && !slices.Contains(acrs, has.ACR) {
		return false, nil
	}
	text, ok := asked["max_age"]
	if !ok {
		return true, nil
	}
	maxAge, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return false, fmt.Errorf("max_age: %w", err)
	}
	tooOld := has.AuthTime.Add(time.Duration(maxAge) * time.Second)
	now := h.Now()
	justNow := now.Before(s.CreatedAt.Add(stepUpPause)) && s.CreatedAt.Add(-stepUpPause).Before(tooOld)
	return justNow || !now.After(tooOld), nil
}

// subjectOfStepUp is the user who must come back from a login that asks for a better sign-in than that of the live
// session, with the same provider (EXT-08). It is empty for every other login.
func (h *Handler) subjectOfStepUp(r *http.Request, f flow) (string, error) {
	if !slices.ContainsFunc(stepUpParams, f.Params.Has) {
		return "", nil
	}
	s, err := h.Open(r)
	if _, anonymous := session.Anonymous(err); anonymous {
		return "", nil
	}
	if err != nil || s.Provider != f.Provider || s.Issuer != f.Issuer {
		return "", err
	}
	return s.Subject, nil
}

// endStepUp ends the session of a step-up that another user has finished (EXT-08), and takes its cookie away: whoever
// sits there now is not who was signed in.
func (h *Handler) endStepUp(w http.ResponseWriter, r *http.Request, old session.ID) error {
	if err := h.Sessions.EndByID(r.Context(), old, session.ReasonReplaced); err != nil {
		return err
	}
	h.cookies.clear(w, h.cookies.session)
	return &problem.Error{
		Code:   problem.LoginFailed,
		Detail: "Another user signed in than the one who was asked to. You are signed out.",
		Err:    errors.New("a step-up came back with another sub"),
	}
}
