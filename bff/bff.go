package bff

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// Provider is one OpenID Provider that people can sign in with.
type Provider struct {
	Name        string
	Client      *rp.Client
	LoginParams []string // authorization request parameters that a browser may add
}

// Providers are the configured providers; the first is the default.
type Providers []Provider

// byName finds a provider. The empty name is the first provider's, as in the path of its callback.
func (ps Providers) byName(name string) (Provider, bool) {
	if name == "" {
		return ps[0], true
	}
	i := slices.IndexFunc(ps, func(p Provider) bool { return p.Name == name })
	if i < 0 {
		return Provider{}, false
	}
	return ps[i], true
}

// Options are what a [Handler] works with.
type Options struct {
	URLs      URLs
	Providers Providers // at least one
	Sessions  *session.Manager
	Keys      *session.KeyRing // seals the flow cookies; the same on every replica (CK-17)

	SameSite            http.SameSite // of the session cookie: Strict or Lax
	Claims              []string      // that the browser may see
	PostLogoutReturnURL string        // where a logout ends unless it says otherwise; a local path
	ThirdPartyLogin     bool          // serve login/initiate (Core §4)
	IDTokenHint         bool          // send the ID token along to the OP at logout
	PostToProvider      bool          // the logout goes to the OP as a form that posts itself (RPL-07), not as a redirect
	Frontchannel        bool          // serve frontchannel-logout
	ClearSiteData       []string      // what a browser that signs out is told to clear, as in the header (RPL-11)

	Now    func() time.Time
	Logger *slog.Logger
	// AdmitPush, if set, is asked before a login that costs the provider a request (PAR-06). Its error refuses the login.
	AdmitPush func(r *http.Request) error
	// AdmitLogoutToken, if set, is asked before a logout token is looked at (BCL-27), or a front-channel logout (FCL-05),
	// and told in the end whether it was good: whether a sid was known. Its error refuses the logout.
	AdmitLogoutToken func(r *http.Request) (done func(good bool), err error)
	// OnLogoutTokenRefused hears of every logout token that failed a check, or could not be followed to the end because
	// the store or the provider's keys could not be asked. The cause holds nothing of the token.
	OnLogoutTokenRefused func(r *http.Request, cause error)
	// Draining is closed when the gateway is about to stop: event streams end, and browsers find another replica.
	Draining <-chan struct{}
	// OnLoginFailed hears of every login that came back and did not become a session, with the code shown to the user.
	OnLoginFailed func(r *http.Request, provider string, code problem.Code, cause error)
}

// Handler holds the endpoints, one method each.
type Handler struct {
	Options
	cookies cookies
	sealer  sealer
	streams streams
}

// New makes the endpoints.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handler{Options: o, cookies: newCookies(o.URLs.Public, o.SameSite), sealer: sealer{o.Keys}}
}

// URLs are the addresses that have to be registered at the provider. They come from the configuration alone, never
// from a request (FLOW-16).
type URLs struct {
	Public   *url.URL // the application's origin
	BasePath string   // "/bff"
}

// Path is the path of an endpoint: Path("login") is "/bff/login".
func (u URLs) Path(endpoint string) string { return u.BasePath + "/" + endpoint }

// Callback is the redirect URI of a provider. Each has its own, so that an answer cannot be taken for another
// provider's (FLOW-14, FLOW-36).
func (u URLs) Callback(provider string, first bool) string {
	if first {
		return u.absolute("callback")
	}
	return u.absolute("callback/" + provider)
}

// LogoutCallback is the post_logout_redirect_uri.
func (u URLs) LogoutCallback() string { return u.absolute("logout/callback") }

// JWKS is the jwks_uri of a provider. Where there are several each has a set of its own.
func (u URLs) JWKS(provider string, only bool) string {
	if only {
		return u.absolute("jwks.json")
	}
	return u.absolute("jwks.json") + "?" + url.Values{"provider": {provider}}.Encode()
}

// InitiateLogin is the initiate_login_uri.
func (u URLs) InitiateLogin() string { return u.absolute("login/initiate") }

// BackchannelLogout is the backchannel_logout_uri.
func (u URLs) BackchannelLogout() string { return u.absolute("backchannel-logout") }

// FrontchannelLogout is the frontchannel_logout_uri.
func (u URLs) FrontchannelLogout() string { return u.absolute("frontchannel-logout") }

func (u URLs) absolute(endpoint string) string { return u.Public.JoinPath(u.Path(endpoint)).String() }

// LoginURL is the path that starts a login with these parameters, which have been checked.
func (u URLs) LoginURL(params map[string]string) string {
	if len(params) == 0 {
		return u.Path("login")
	}
	query := url.Values{}
	for name, value := range params {
		query.Set(name, value)
	}
	return u.Path("login") + "?" + query.Encode()
}

// Ticket is the ticket in the request's session cookie. Two cookies of that name are none: a browser sends one, so the
// other was planted (CK-04).
func (h *Handler) Ticket(r *http.Request) (session.Ticket, bool) {
	values := r.CookiesNamed(h.cookies.session)
	if len(values) > 1 {
		h.Logger.WarnContext(r.Context(), "more than one session cookie in a request; using none")
	}
	if len(values) != 1 {
		return session.Ticket{}, false
	}
	ticket, err := session.ParseTicket(values[0].Value)
	return ticket, err == nil
}

// Open is the session of the request; reading it is not activity. The errors are those of [session.Manager.Open].
func (h *Handler) Open(r *http.Request) (*session.Session, error) {
	ticket, ok := h.Ticket(r)
	if !ok {
		return nil, session.ErrNone
	}
	return h.Sessions.Open(r.Context(), ticket)
}

// Forget deletes the session cookie, when err says that its session is over for good. The cookie stays when the store
// could not be asked, and when a newer login has replaced the session: its cookie may be in the browser by now.
func (h *Handler) Forget(w http.ResponseWriter, err error) {
	why, over := session.Anonymous(err)
	if over && why != "none" && !errors.Is(err, session.ErrReplaced) {
		h.cookies.clear(w, h.cookies.session)
	}
}

// OwnCookie reports whether a cookie name belongs to the gateway; such cookies never go to or come from an upstream.
func (h *Handler) OwnCookie(name string) bool { return h.cookies.own(name) }

// SessionCookie is the name of the cookie that carries the ticket.
func (h *Handler) SessionCookie() string { return h.cookies.session }
