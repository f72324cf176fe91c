package optest

import (
	"net/http"
	"net/url"
	"slices"
)

// A logout is a checked logout request (RP-Initiated Logout 1.0, 2).
type logout struct {
	client   Client // the zero value if nobody said who asks
	redirect string // where to go afterwards; "" for the signed-out page
	state    string // goes along with it
}

// endSession is the end-session endpoint. A valid hint for the session at hand ends it at once; without one the user
// is asked, because any site could have sent the browser here (RP-Initiated Logout 1.0, 2 and 6).
func (op *OP) endSession(w http.ResponseWriter, r *http.Request) error {
	form := parameters(r)
	l, hint, err := op.readLogout(form)
	if err != nil {
		return err
	}
	s := op.sessionOf(r)
	if s == nil || (hint != nil && hint["sid"] == s.sid) {
		return op.signOut(w, r, l)
	}
	i := Interaction{
		Action:       op.ask(w, &interaction{step: logoutStep, logout: l}),
		Client:       l.client.public(),
		ReturnOrigin: originOf(l.redirect),
	}
	i.Account, _ = op.user(s.subject)
	op.pages.ConfirmLogout(w, r, i)
	return nil
}

// readLogout checks a logout request and returns the claims of its hint, nil if there is none. The hint may have
// expired (4). The redirect has to be registered for the client that the hint or client_id names (3).
func (op *OP) readLogout(form url.Values) (*logout, map[string]any, error) {
	var hint map[string]any
	clientID := form.Get("client_id")
	if token := form.Get("id_token_hint"); token != "" {
		var err error
		if hint, err = op.verify(token); err != nil {
			return nil, nil, refuse("invalid_request", "id_token_hint is not an ID token of this OP")
		}
		audience, _ := hint["aud"].(string)
		if audience == "" || (clientID != "" && clientID != audience) {
			return nil, nil, refuse("invalid_request", "client_id does not fit id_token_hint")
		}
		clientID = audience
	}
	l := &logout{}
	if clientID != "" {
		var ok bool
		if l.client, ok = op.client(clientID); !ok {
			return nil, nil, refuse("invalid_request", "unknown client_id")
		}
	}
	if uri := form.Get("post_logout_redirect_uri"); uri != "" {
		if !slices.Contains(l.client.PostLogoutRedirectURIs, uri) {
			return nil, nil, refuse("invalid_request", "post_logout_redirect_uri is not registered for this client")
		}
		l.redirect, l.state = uri, form.Get("state")
	}
	return l, hint, nil
}

func (op *OP) confirmLogout(w http.ResponseWriter, r *http.Request, l *logout) error {
	switch r.PostForm.Get(DecisionField) {
	case SignOut:
		return op.signOut(w, r, l)
	case Stay:
		i := Interaction{}
		if s := op.sessionOf(r); s != nil {
			i.Account, _ = op.user(s.subject)
		}
		op.pages.SignedOut(w, r, i)
		return nil
	}
	return refuse("invalid_request", "unknown answer")
}

// signOut ends the session of a browser, if it has one, tells the clients that know it, and sends the browser on.
func (op *OP) signOut(w http.ResponseWriter, r *http.Request, l *logout) error {
	i := Interaction{Client: l.client.public()}
	if s := op.sessionOf(r); s != nil {
		i.Frames = op.frontchannelURIs(s)
		op.EndSession(s.sid)
	}
	target := op.postLogoutRedirect(r, l)
	if target == "" || len(i.Frames) > 0 {
		op.showFrames(w, r, i, target)
		return nil
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

func (op *OP) postLogoutRedirect(r *http.Request, l *logout) string {
	if l.redirect == "" {
		return ""
	}
	response := url.Values{}
	if l.state != "" {
		response.Set("state", l.state)
	}
	for _, f := range op.activeFaults(r) {
		if f.logout != nil {
			f.logout(response)
		}
	}
	if len(response) == 0 {
		return l.redirect
	}
	return withQuery(l.redirect, response)
}
