package optest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

var prompts = []string{"none", "login", "consent", "select_account"}

// An authorization is an authorization request (RFC 6749, 4.1.1; OpenID Connect Core, 3.1.2.1) and how far the user
// has come with it.
type authorization struct {
	client      Client
	redirectURI string
	mode        string // response_mode; "" is query
	state       string
	nonce       string
	challenge   string // of PKCE, S256
	scopes      []string
	prompt      []string
	maxAge      time.Duration // negative: not given
	acr         string        // the supported one that was asked for, or ""
	loginHint   string
	resources   []string // RFC 8707
	details     []any    // RFC 9396, authorization_details; nil: not given

	session   *session
	signedIn  bool // during this request
	selected  bool // the account was chosen during this request
	consented bool // during this request
}

// authorize is the authorization endpoint. What is wrong with the client or the redirect URI is told on a page;
// and so is a bad request object or request_uri, whose redirect URI nobody can believe. Everything else is told to the
// client (RFC 6749, 4.1.2.1).
func (op *OP) authorize(w http.ResponseWriter, r *http.Request) error {
	form := parameters(r)
	if err := noneTwice(form); err != nil {
		return err
	}
	client, ok := op.client(form.Get("client_id"))
	if !ok {
		return refuse("invalid_request", "unknown client_id")
	}
	wasPushed := isPushed(form)
	form, err := op.requested(client, form)
	if err != nil {
		return err
	}
	if !slices.Contains(client.RedirectURIs, form.Get("redirect_uri")) {
		return refuse("invalid_request", "redirect_uri is not registered for this client")
	}
	a, refused := op.readAuthorization(client, form)
	if !wasPushed && (op.requirePushed || client.RequirePushedRequests) {
		refused = refuse("invalid_request", "authorization requests must be pushed")
	}
	if refused != nil {
		return op.respondError(w, r, a, refused)
	}
	a.session = op.sessionOf(r)
	return op.proceed(w, r, a)
}

// requested returns the parameters of an authorization request: those that were pushed, those of the request object,
// or those that came with the browser.
func (op *OP) requested(client Client, form url.Values) (url.Values, error) {
	switch {
	case isPushed(form):
		return op.takePushed(client, form.Get("request_uri"))
	case form.Has("request"):
		return op.readRequestObject(client, form)
	case client.RequestObjectAlg != "":
		return nil, refuse("invalid_request", "the client must use request objects")
	}
	return form, nil
}

// noneTwice holds RFC 6749, 3.1 and 3.2: parameters must not be included more than once. RFC 8707, 2 excepts
// resource.
func noneTwice(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return refuse("invalid_request", "the parameter "+name+" occurs more than once")
		}
	}
	return nil
}

// parameters reads one channel only: the query of a GET, the body of a POST.
func parameters(r *http.Request) url.Values {
	if r.Method == http.MethodPost {
		return r.PostForm
	}
	return r.URL.Query()
}

// readAuthorization checks what may be told to the client. It always returns an authorization, good enough to answer.
func (op *OP) readAuthorization(client Client, form url.Values) (*authorization, *refusal) {
	a := &authorization{
		client:      client,
		redirectURI: form.Get("redirect_uri"),
		state:       form.Get("state"),
		nonce:       form.Get("nonce"),
		challenge:   form.Get("code_challenge"),
		scopes:      strings.Fields(form.Get("scope")),
		prompt:      strings.Fields(form.Get("prompt")),
		maxAge:      -1,
		loginHint:   form.Get("login_hint"),
		resources:   form["resource"],
	}
	a.scopes = client.allowed(a.scopes)
	if mode := form.Get("response_mode"); mode != "" && !slices.Contains(responseModes, mode) {
		return a, refuse("invalid_request", "response_mode is not supported")
	}
	a.mode = form.Get("response_mode")
	for _, name := range []string{"request_uri", "registration"} {
		if form.Has(name) {
			return a, refuse(name+"_not_supported", name+" is not supported")
		}
	}
	if form.Get("response_type") != "code" {
		return a, refuse("unsupported_response_type", "response_type must be code")
	}
	if form.Get("code_challenge_method") != "S256" {
		return a, refuse("invalid_request", "PKCE with code_challenge_method S256 is required")
	}
	if hash, err := base64.RawURLEncoding.DecodeString(a.challenge); err != nil || len(hash) != 32 {
		return a, refuse("invalid_request", "code_challenge is not a base64url SHA-256 hash")
	}
	for _, p := range a.prompt {
		if !slices.Contains(prompts, p) || (p == "none" && len(a.prompt) > 1) {
			return a, refuse("invalid_request", "prompt has an unknown value, or none together with another")
		}
	}
	if text := form.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return a, refuse("invalid_request", "max_age is not a number of seconds")
		}
		a.maxAge = time.Duration(seconds) * time.Second
	}
	for _, acr := range slices.Backward(strings.Fields(form.Get("acr_values"))) {
		if slices.Contains(op.acr, acr) {
			a.acr = acr
		}
	}
	if err := op.checkResources(a.resources); err != nil {
		return a, err
	}
	if form.Has("authorization_details") {
		var err *refusal
		if a.details, err = readAuthorizationDetails(form.Get("authorization_details")); err != nil {
			return a, err
		}
	}
	return a, nil
}

// proceed answers an authorization request, or shows the page that is still missing.
func (op *OP) proceed(w http.ResponseWriter, r *http.Request, a *authorization) error {
	if op.auto {
		if !op.autoSignIn(w, a) {
			return op.respondError(w, r, a, refuse("login_required", "nobody is signed in"))
		}
		return op.respondCode(w, r, a)
	}
	silent := slices.Contains(a.prompt, "none")
	switch {
	case op.mustSignIn(a) && silent:
		return op.respondError(w, r, a, refuse("login_required", "nobody is signed in"))
	case op.mustSignIn(a):
		op.pages.SignIn(w, r, op.interaction(w, signInStep, a))
	case op.mustSelect(a):
		op.pages.SelectAccount(w, r, op.interaction(w, selectAccountStep, a))
	case op.mustConsent(a) && silent:
		return op.respondError(w, r, a, refuse("consent_required", "the user has not consented"))
	case op.mustConsent(a):
		op.pages.Consent(w, r, op.interaction(w, consentStep, a))
	default:
		return op.respondCode(w, r, a)
	}
	return nil
}

// mustSignIn: there is no session, or the request asks for a newer or another authentication than it has. acr_values
// is a wish (OpenID Connect Core, 3.1.2.1), not a reason to fail prompt=none.
func (op *OP) mustSignIn(a *authorization) bool {
	switch {
	case a.session == nil:
		return true
	case a.signedIn:
		return false
	case slices.Contains(a.prompt, "login"):
		return true
	case a.maxAge == 0 || (a.maxAge > 0 && op.now().Sub(a.session.authTime) > a.maxAge):
		return true
	}
	return a.acr != "" && a.acr != a.session.acr && !slices.Contains(a.prompt, "none")
}

func (op *OP) mustSelect(a *authorization) bool {
	return slices.Contains(a.prompt, "select_account") && !a.selected
}

func (op *OP) mustConsent(a *authorization) bool {
	if a.consented || a.client.SkipConsent {
		return false
	}
	return slices.Contains(a.prompt, "consent") || !op.hasConsent(a)
}

// autoSignIn does without pages what proceed does with them. It reports whether somebody is signed in.
func (op *OP) autoSignIn(w http.ResponseWriter, a *authorization) bool {
	op.mu.Lock()
	subject := op.autoUser
	op.mu.Unlock()
	if subject == "" {
		return false
	}
	if a.session == nil || a.session.subject != subject || op.mustSignIn(a) {
		a.session = op.startSession(w, a.session, subject, op.acrFor(a))
	}
	return true
}

// acrFor is the authentication context class of a new session.
func (op *OP) acrFor(a *authorization) string {
	if a.acr != "" {
		return a.acr
	}
	return op.acr[0]
}
