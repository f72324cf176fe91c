package bff

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// maxInitiate bounds the form of a third-party-initiated login, in bytes.
const maxInitiate = 8 << 10

// Initiate is the initiate_login_uri: a login that a portal, or the provider itself, starts for the user (Core §4). It
// takes iss, target_link_uri and login_hint, and has any site as its caller, so it does no more than a link to the
// application could: it begins a flow of its own, and with somebody signed in it asks first (TPI-04). It answers 404
// unless it is turned on (TPI-05).
func (h *Handler) Initiate(w http.ResponseWriter, r *http.Request) error {
	if !h.ThirdPartyLogin {
		return problem.New(problem.NotFound, "there is no such endpoint")
	}
	params, err := initiateParams(w, r)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(h.Providers, func(p Provider) bool { return p.Client.Issuer() == params["iss"] })
	if i < 0 {
		return problem.New(problem.BadRequest, "iss is missing, or is no issuer that is configured here")
	}
	returnURL, err := h.parseTarget(params["target_link_uri"])
	if err != nil {
		return err
	}
	switch mode := r.Header.Get("Sec-Fetch-Mode"); {
	case mode != "" && mode != "navigate":
		return problem.New(problem.BadRequest, "this address is for a navigation")
	case r.Method == http.MethodPost: // a login is begun by GET alone, where our cookies can be seen
		redirect(w, h.initiateURL(params), http.StatusSeeOther)
		return nil
	case FromElsewhere(r): // a strict cookie has not come along; it does when our own page repeats the request (CK-10)
		return WritePage(w, Page{Status: http.StatusOK, Title: "One moment", Next: h.initiateURL(params)})
	}

	provider := h.Providers[i]
	login := map[string]string{"returnUrl": returnURL, "provider": provider.Name}
	if hint := params["login_hint"]; hint != "" { // which login_params may still keep from going on
		login["login_hint"] = hint
	}
	_, err = h.Open(r)
	if _, anonymous := session.Anonymous(err); anonymous {
		location, _, err := h.startLogin(w, r, provider, returnURL, login)
		if err != nil {
			return err
		}
		redirect(w, location, http.StatusFound)
		return nil
	} else if err != nil {
		return err
	}
	return WritePage(w, Page{
		Status:  http.StatusOK,
		Title:   "Sign in again?",
		Text:    "You are signed in. Another site asked to sign you in anew, maybe as somebody else. Go on if you meant to.",
		Actions: []Action{{Label: "Sign in again", Path: h.URLs.Path("login"), Fields: login}},
	})
}

// initiateParams reads the parameters from the query of a GET or the form of a POST. Others than the three that we know
// are ignored (TPI-03).
func initiateParams(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	query := r.URL.RawQuery
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxInitiate)
		if err := r.ParseForm(); err != nil {
			return nil, &problem.Error{Code: problem.BadRequest, Detail: "the form cannot be read, or is too long", Err: err}
		}
		query = r.PostForm.Encode()
	}
	return singleValues(query)
}

// parseTarget checks a target_link_uri as a return URL (TPI-02). Unlike one it may be absolute: on the application's own
// origin, to the letter. It is a page and no endpoint of ours: a login/initiate that led to /bff/login would begin a second
// login with parameters that only our own pages and people's clicks may choose (TPI-03, FLOW-37).
func (h *Handler) parseTarget(target string) (string, error) {
	path := strings.TrimPrefix(target, h.URLs.Public.Scheme+"://"+h.URLs.Public.Host)
	returnURL, err := ParseReturnURL(path)
	if err != nil || strings.HasPrefix(returnURL, h.URLs.BasePath+"/") {
		const detail = "target_link_uri is no page of this application"
		return "", &problem.Error{Code: problem.BadReturnURL, Detail: detail, Err: err}
	}
	return returnURL, nil
}

// initiateURL is the same request by GET, with nothing in it that is not read.
func (h *Handler) initiateURL(params map[string]string) string {
	query := url.Values{}
	for _, name := range []string{"iss", "target_link_uri", "login_hint"} {
		if value := params[name]; value != "" {
			query.Set(name, value)
		}
	}
	return h.URLs.Path("login/initiate") + "?" + query.Encode()
}
