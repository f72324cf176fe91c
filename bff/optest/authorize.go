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
	state       string
	nonce       string
	challenge   string // of PKCE, S256
	scopes      []string
	prompt      []string
	maxAge      time.Duration // negative: not given
	acr         string        // the supported one that was asked for, or ""
	loginHint   string

	session   *session
	signedIn  bool // during this request
	selected  bool // the account was chosen during this request
	consented bool // during this request
}

// authorize is the authorization endpoint. What is wrong with the client or the redirect URI is told on a page;
// everything else is told to the client by redirect (RFC 6749, 4.1.2.1).
func (op *OP) authorize(w http.ResponseWriter, r *http.Request) error {
	form := parameters(r)
	if err := noneTwice(form); err != nil {
		return err
	}
	client, ok := op.client(form.Get("client_id"))
	if !ok {
		return refuse("invalid_request", "unknown client_id")
	}
	redirectURI := form.Get("redirect_uri")
	if !slices.Contains(client.RedirectURIs, redirectURI) {
		return refuse("invalid_request", "redirect_uri is not registered for this client")
	}
	a, err := op.readAuthorization(form)
	a.client, a.redirectURI, a.state = client, redirectURI, form.Get("state")
	if err != nil {
		return op.redirectError(w, r, a, err)
	}
	if len(client.Scopes) > 0 {
		a.scopes = slices.DeleteFunc(a.scopes, func(s string) bool { return !slices.Contains(client.Scopes, s) })
	}
	a.session = op.sessionOf(r)
	return op.proceed(w, r, a)
}

// noneTwice holds RFC 6749, 3.1 and 3.2: parameters must not be included more than once.
func noneTwice(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 {
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

// readAuthorization checks what may be told to the client. It always returns an authorization.
func (op *OP) readAuthorization(form url.Values) (*authorization, *refusal) {
	a := &authorization{
		nonce:     form.Get("nonce"),
		challenge: form.Get("code_challenge"),
		scopes:    strings.Fields(form.Get("scope")),
		prompt:    strings.Fields(form.Get("prompt")),
		maxAge:    -1,
		loginHint: form.Get("login_hint"),
	}
	for _, name := range []string{"request", "request_uri", "registration"} {
		if form.Has(name) {
			return a, refuse(name+"_not_supported", name+" is not supported")
		}
	}
	if form.Get("response_type") != "code" {
		return a, refuse("unsupported_response_type", "response_type must be code")
	}
	if mode := form.Get("response_mode"); mode != "" && mode != "query" {
		return a, refuse("invalid_request", "response_mode must be query")
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
	return a, nil
}

// proceed answers an authorization request, or shows the page that is still missing.
func (op *OP) proceed(w http.ResponseWriter, r *http.Request, a *authorization) error {
	if op.auto {
		if !op.autoSignIn(w, a) {
			return op.redirectError(w, r, a, refuse("login_required", "nobody is signed in"))
		}
		return op.redirectCode(w, r, a)
	}
	silent := slices.Contains(a.prompt, "none")
	switch {
	case op.mustSignIn(a) && silent:
		return op.redirectError(w, r, a, refuse("login_required", "nobody is signed in"))
	case op.mustSignIn(a):
		op.pages.SignIn(w, r, op.interaction(w, signInStep, a))
	case op.mustSelect(a):
		op.pages.SelectAccount(w, r, op.interaction(w, selectAccountStep, a))
	case op.mustConsent(a) && silent:
		return op.redirectError(w, r, a, refuse("consent_required", "the user has not consented"))
	case op.mustConsent(a):
		op.pages.Consent(w, r, op.interaction(w, consentStep, a))
	default:
		return op.redirectCode(w, r, a)
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

func (op *OP) redirectCode(w http.ResponseWriter, r *http.Request, a *authorization) error {
	return op.redirect(w, r, a, url.Values{"code": {op.newCode(a)}})
}

func (op *OP) redirectError(w http.ResponseWriter, r *http.Request, a *authorization, e *refusal) error {
	return op.redirect(w, r, a, url.Values{"error": {e.code}, "error_description": {e.description}})
}

// redirect sends the authorization response, with state and iss in errors too (RFC 9207, 2). It is a 303, so that a
// browser that comes from a form does not post it on (RFC 9700, 4.12).
func (op *OP) redirect(w http.ResponseWriter, r *http.Request, a *authorization, response url.Values) error {
	response.Set("iss", op.issuer)
	if a.state != "" {
		response.Set("state", a.state)
	}
	for _, f := range op.activeFaults(r) {
		if f.authorization != nil {
			f.authorization(response)
		}
	}
	http.Redirect(w, r, withQuery(a.redirectURI, response), http.StatusSeeOther)
	return nil
}

// withQuery adds parameters to a registered URI and retains the query it has (RFC 6749, 3.1.2).
func withQuery(uri string, parameters url.Values) string {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + parameters.Encode()
}
