package bff

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

// logout is a logout that has ended the session here and is on its way to the OP and back. It travels in a sealed
// cookie.
type logout struct {
	State     string `json:"s"`           // of the request to the OP; the callback compares it (RPL-06)
	SID       string `json:"i,omitempty"` // the logout_url's, while the browser has yet to go on to the OP
	Provider  string `json:"p"`
	Hint      string `json:"h,omitempty"` // the ID token, kept only from PostLogout to the navigation after it
	ReturnURL string `json:"r"`
}

// PostLogout ends the session for a page that signs out with fetch. The session is gone before the answer, whatever the
// OP does (RPL-01). The page then navigates to redirect_to: our own address, which goes on to the OP. An address at the
// OP would have to carry the ID token as its hint, where scripts could read it (BFF-03). It relies on the header rule.
func (h *Handler) PostLogout(w http.ResponseWriter, r *http.Request) error {
	returnURL, err := h.logoutReturnURL(r)
	if err != nil {
		return err
	}
	s, err := h.signOut(w, r)
	if err != nil {
		return err
	}
	h.clearSomeSiteData(w)
	pending := logout{State: rand.Text(), ReturnURL: returnURL, Provider: h.Providers[0].Name}
	if s != nil {
		pending.Provider, pending.SID = s.Provider, s.Ticket().Proof("logout")
		if h.IDTokenHint {
			pending.Hint = s.Tokens.ID.Reveal()
		}
	} else {
		pending.SID = rand.Text()
	}
	if err := h.saveLogout(w, pending); err != nil {
		return err
	}
	return writeJSON(w, struct {
		RedirectTo string `json:"redirect_to"`
	}{h.URLs.Path("logout") + "?" + url.Values{"sid": {pending.SID}}.Encode()})
}

// Logout is the navigation that signs out: the logout_url of a session, or what PostLogout sent the page to. With a
// session it needs the sid that only this browser's pages know; a wrong one ends nothing (RPL-08). Without a session it
// goes on to the OP only for our own pages, so that another site cannot sign people out there. A fetch is refused: a script
// could read the address at the OP, with the ID token in it, off a response that the OP lets it see (BFF-03).
func (h *Handler) Logout(w http.ResponseWriter, r *http.Request) error {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return problem.New(problem.BadRequest, "this address is for a navigation; to sign out by fetch use POST")
	}
	returnURL, err := h.logoutReturnURL(r)
	if err != nil {
		return err
	}
	sid := r.URL.Query().Get("sid")
	s, err := h.Open(r)
	if _, gone := session.Anonymous(err); gone {
		h.Forget(w, err)
		return h.logoutWithoutSession(w, r, sid, returnURL)
	} else if err != nil {
		return err
	}
	if !sameText(sid, s.Ticket().Proof("logout")) {
		return problem.New(problem.BadRequest, "sid does not belong to this session; use the logout_url of /bff/session")
	}
	if _, err := h.signOut(w, r); err != nil {
		return err
	}
	h.clearSomeSiteData(w)
	var hint secret.String
	if h.IDTokenHint {
		hint = s.Tokens.ID
	}
	return h.goToProvider(w, r, logout{State: rand.Text(), Provider: s.Provider, ReturnURL: returnURL}, hint)
}

func (h *Handler) logoutWithoutSession(w http.ResponseWriter, r *http.Request, sid, returnURL string) error {
	if pending, ok := h.pendingLogout(r); ok && pending.SID != "" && sameText(sid, pending.SID) {
		return h.goToProvider(w, r, pending, secret.New(pending.Hint))
	}
	if r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		pending := logout{State: rand.Text(), Provider: h.Providers[0].Name, ReturnURL: returnURL}
		return h.goToProvider(w, r, pending, secret.String{})
	}
	if FromElsewhere(r) {
		// A strict cookie stays away on the way from another site, so there may be a session after all: nothing is said,
		// and nothing followed. A return URL could be this very address, to which our page would go on as our own.
		return h.showFlash(w, "landing", flash{Title: "One moment", Next: h.PostLogoutReturnURL}, false)
	}
	return h.showSignedOut(w, returnURL, false)
}

// goToProvider sends the browser to the OP's end-session endpoint (RP-Initiated Logout §2), or to our landing page when
// the OP has none or is not known at the moment: here the user is signed out either way (RPL-02).
func (h *Handler) goToProvider(w http.ResponseWriter, r *http.Request, pending logout, hint secret.String) error {
	provider, ok := h.Providers.byName(pending.Provider)
	if !ok { // gone from the configuration since the login
		return h.showSignedOut(w, pending.ReturnURL, true)
	}
	send, err := h.endSessionRequest(r, provider.Client, hint, pending.State)
	if errors.Is(err, rp.ErrUnsupported) || errors.Is(err, rp.ErrUnavailable) {
		return h.showSignedOut(w, pending.ReturnURL, true)
	} else if err != nil {
		return err
	}
	pending.SID, pending.Hint = "", ""
	if err := h.saveLogout(w, pending); err != nil {
		return err
	}
	return send(w)
}

// endSessionRequest is the browser's way to the end-session endpoint: a redirect, or, where that is configured, a form
// that posts itself, so that the ID token is in no address and no log (RPL-07). A form that scripts might read goes without
// the ID token (BFF-03): the OP may then have the user confirm.
func (h *Handler) endSessionRequest(r *http.Request, c *rp.Client, hint secret.String, state string) (
	send func(http.ResponseWriter) error, err error,
) {
	if h.PostToProvider {
		if !shownUnread(r) {
			hint = secret.String{}
		}
		endpoint, params, err := c.EndSessionRequest(hint, state)
		return func(w http.ResponseWriter) error {
			return WritePage(w, Page{Status: http.StatusOK, Title: "Signing you out", Post: &Post{endpoint, params}})
		}, err
	}
	location, err := c.EndSessionURL(hint, state)
	return func(w http.ResponseWriter) error {
		redirect(w, location, http.StatusSeeOther)
		return nil
	}, err
}

// shownUnread reports whether a browser is about to show the answer as a page, and no script of ours gets to read it on the
// way. A service worker does: a request that it passes on is for no document, and one that the browser sends ahead for it
// says so (Service Workers §4.5.1, navigation preload). A browser without Fetch Metadata does not tell.
func shownUnread(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Dest") == "document" && r.Header["Service-Worker-Navigation-Preload"] == nil
}

// LogoutCallback is where the OP sends the browser back to: the post_logout_redirect_uri. Nothing ends here any more.
// The state decides whether the return URL of the logout is followed, or the configured one, and whether this is the end
// of a logout of this browser. It is good once, also for a copy of its cookie (RPL-06).
func (h *Handler) LogoutCallback(w http.ResponseWriter, r *http.Request) error {
	next := h.PostLogoutReturnURL
	if pending, ok := h.pendingLogout(r); ok {
		h.cookies.clear(w, h.cookies.logout)
		if sameText(r.URL.Query().Get("state"), pending.State) &&
			h.Sessions.Consume(r.Context(), "logout "+pending.State, logoutLife) == nil {
			next = pending.ReturnURL
			h.clearSiteData(w)
		}
	}
	redirect(w, next, http.StatusSeeOther)
	return nil
}

// signOut ends the session of the request and takes the cookie away. It returns nil when there was none: signing out
// twice is no error (RPL-09).
func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) (*session.Session, error) {
	s, err := h.Open(r)
	if _, gone := session.Anonymous(err); gone {
		h.Forget(w, err)
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := h.Sessions.End(r.Context(), s, session.ReasonLogout); err != nil {
		return nil, err
	}
	h.cookies.clear(w, h.cookies.session)
	return s, nil
}

func (h *Handler) logoutReturnURL(r *http.Request) (string, error) {
	if text := r.URL.Query().Get("returnUrl"); text != "" {
		return ParseReturnURL(text)
	}
	return h.PostLogoutReturnURL, nil
}

// showSignedOut ends a logout that does not go to the OP. ours says that our own pages asked for it, and nobody else can
// have.
func (h *Handler) showSignedOut(w http.ResponseWriter, returnURL string, ours bool) error {
	h.cookies.clear(w, h.cookies.logout)
	return h.showFlash(w, "landing", flash{Title: "You are signed out", Next: returnURL, SignedOut: ours}, false)
}

// saveLogout gives the browser the logout. An ID token that does not fit a cookie is left out: the OP is then asked
// without id_token_hint, and may have the user confirm.
func (h *Handler) saveLogout(w http.ResponseWriter, pending logout) error {
	until := h.Now().Add(logoutLife)
	sealed, err := h.sealer.seal(h.cookies.logout, pending, until)
	if err != nil && pending.Hint != "" {
		pending.Hint = ""
		sealed, err = h.sealer.seal(h.cookies.logout, pending, until)
	}
	if err != nil {
		return err
	}
	h.cookies.setShort(w, h.cookies.logout, sealed, logoutLife)
	return nil
}

func (h *Handler) pendingLogout(r *http.Request) (pending logout, ok bool) {
	cookie, err := r.Cookie(h.cookies.logout)
	if err != nil || h.sealer.open(h.cookies.logout, cookie.Value, &pending, h.Now()) != nil {
		return logout{}, false
	}
	return pending, true
}

func sameText(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
