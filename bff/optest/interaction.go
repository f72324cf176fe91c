package optest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// The fields of the forms on pages, and the values of those that are not a subject.
const (
	SubjectField  = "subject"  // sign-in: the Subject of one of Interaction.Users
	AccountField  = "account"  // account selection: Continue or Other
	DecisionField = "decision" // consent: Allow or Deny; logout: SignOut or Stay

	Continue = "continue"
	Other    = "other"
	Allow    = "allow"
	Deny     = "deny"
	SignOut  = "sign-out"
	Stay     = "stay"
)

// Interaction is what a page needs to know about the question it asks.
type Interaction struct {
	Action    string // the URL to which the form posts; it works once, for this browser, for ten minutes
	Client    Client // who asks, without its secret; the zero value if unknown at logout
	Scopes    []string
	Users     []User // who may sign in
	Account   User   // who is signed in; the zero value on the sign-in page
	LoginHint string
	Frames    []string // what the signed-out page has to load, each in an iframe (Front-Channel Logout 1.0)

	// ReturnOrigin is the origin to which the browser is sent in the end, "" for none. A Content-Security-Policy
	// with form-action has to allow it: browsers apply the directive to the redirect after the form.
	ReturnOrigin string
}

const interactionLifetime = 10 * time.Minute

type step int

const (
	signInStep step = iota
	selectAccountStep
	consentStep
	logoutStep
)

// An interaction is a page that was shown and whose form has not come back.
type interaction struct {
	step          step
	browser       string // value of the cookie of its own that the browser got with it
	expires       time.Time
	authorization *authorization // nil at logoutStep
	logout        *logout        // else nil
}

// interaction remembers that the browser is being asked about a, and describes the question for a page.
func (op *OP) interaction(w http.ResponseWriter, s step, a *authorization) Interaction {
	i := Interaction{
		Action:       op.ask(w, &interaction{step: s, authorization: a}),
		Client:       a.client.public(),
		Scopes:       a.scopes,
		Users:        op.allUsers(),
		LoginHint:    a.loginHint,
		ReturnOrigin: originOf(a.redirectURI),
	}
	if s != signInStep {
		i.Account, _ = op.user(a.session.subject)
	}
	return i
}

// ask binds a question to the browser by a cookie, and returns the URL that takes the answer. Each question has a
// cookie of its own: tabs that come at the same moment know nothing of each other's.
func (op *OP) ask(w http.ResponseWriter, i *interaction) string {
	id := rand.Text()
	i.browser = rand.Text()
	op.setCookie(w, interactionCookie(id), i.browser)
	i.expires = op.now().Add(interactionLifetime)
	op.mu.Lock()
	defer op.mu.Unlock()
	op.interactions[id] = i
	return op.EndpointURL(InteractionEndpoint + Endpoint("/"+id))
}

func interactionCookie(id string) string { return "interaction-" + id }

// take returns the question that a form answers, once.
func (op *OP) take(w http.ResponseWriter, r *http.Request) (*interaction, bool) {
	op.mu.Lock()
	defer op.mu.Unlock()
	id := r.PathValue("id")
	i, ok := op.interactions[id]
	if !ok || i.browser != op.cookie(r, interactionCookie(id)) || op.now().After(i.expires) {
		return nil, false
	}
	delete(op.interactions, id)
	op.clearCookie(w, interactionCookie(id))
	return i, true
}

// interact receives the forms of all pages.
func (op *OP) interact(w http.ResponseWriter, r *http.Request) error {
	i, ok := op.take(w, r)
	if !ok {
		return refuse("invalid_request", "this form is no longer valid; go back to the application and start again")
	}
	a := i.authorization
	switch i.step {
	case signInStep:
		user, ok := op.user(r.PostForm.Get(SubjectField))
		if !ok {
			return refuse("invalid_request", "unknown user")
		}
		a.session = op.startSession(w, a.session, user.Subject, op.acrFor(a))
		a.signedIn, a.selected = true, true
	case selectAccountStep:
		switch r.PostForm.Get(AccountField) {
		case Continue:
			a.selected = true
		case Other:
			a.session = nil
		default:
			return refuse("invalid_request", "unknown answer")
		}
	case consentStep:
		switch r.PostForm.Get(DecisionField) {
		case Allow:
			op.addConsent(a)
			a.consented = true
		case Deny:
			return op.respondError(w, r, a, refuse("access_denied", "the user said no"))
		default:
			return refuse("invalid_request", "unknown answer")
		}
	case logoutStep:
		return op.confirmLogout(w, r, i.logout)
	}
	return op.proceed(w, r, a)
}

// A consent is a scope that a user has granted to a client.
type consent struct{ subject, client, scope string }

func (op *OP) addConsent(a *authorization) {
	op.mu.Lock()
	defer op.mu.Unlock()
	for _, s := range a.scopes {
		op.consents[consent{a.session.subject, a.client.ID, s}] = true
	}
}

func (op *OP) hasConsent(a *authorization) bool {
	op.mu.Lock()
	defer op.mu.Unlock()
	return !slices.ContainsFunc(a.scopes, func(s string) bool {
		return !op.consents[consent{a.session.subject, a.client.ID, s}]
	})
}

func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
