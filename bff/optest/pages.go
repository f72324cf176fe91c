package optest

import (
	"html/template"
	"net/http"
	"strings"
)

// Pages asks the person at the browser. Each method writes a whole page; the first four contain a form that posts to
// Interaction.Action, with the fields named in this package.
type Pages interface {
	// SignIn asks who it is: SubjectField.
	SignIn(http.ResponseWriter, *http.Request, Interaction)
	// SelectAccount asks whether to go on as Account: AccountField.
	SelectAccount(http.ResponseWriter, *http.Request, Interaction)
	// Consent asks whether Client may have Scopes: DecisionField, Allow or Deny.
	Consent(http.ResponseWriter, *http.Request, Interaction)
	// ConfirmLogout asks whether Account really wants to sign out: DecisionField, SignOut or Stay.
	ConfirmLogout(http.ResponseWriter, *http.Request, Interaction)
	// SignedOut says how a logout ended. Account is who is still signed in, if the answer was Stay. Frames are to be
	// loaded in iframes; the page goes on by itself if it leads anywhere.
	SignedOut(http.ResponseWriter, *http.Request, Interaction)
	// Error says why a request cannot be answered at all. The method writes the status.
	Error(http.ResponseWriter, *http.Request, ErrorPage)
}

// ErrorPage is an error that cannot be told to the client, because client or redirect URI are in doubt.
type ErrorPage struct {
	Status      int
	Code        string // an OAuth error code
	Description string
}

// PlainPages is a set of pages in bare HTML. A type that embeds it can replace some of them.
type PlainPages struct{}

func (PlainPages) SignIn(w http.ResponseWriter, _ *http.Request, i Interaction) {
	render(w, "sign-in", i)
}

func (PlainPages) SelectAccount(w http.ResponseWriter, _ *http.Request, i Interaction) {
	render(w, "select-account", i)
}

func (PlainPages) Consent(w http.ResponseWriter, _ *http.Request, i Interaction) {
	render(w, "consent", i)
}

func (PlainPages) ConfirmLogout(w http.ResponseWriter, _ *http.Request, i Interaction) {
	render(w, "confirm-logout", i)
}

func (PlainPages) SignedOut(w http.ResponseWriter, _ *http.Request, i Interaction) {
	render(w, "signed-out", i)
}

func (PlainPages) Error(w http.ResponseWriter, _ *http.Request, e ErrorPage) {
	securityHeaders(w, Interaction{})
	w.WriteHeader(e.Status)
	plain.ExecuteTemplate(w, "error", e)
}

func render(w http.ResponseWriter, name string, i Interaction) {
	securityHeaders(w, i)
	plain.ExecuteTemplate(w, name, i)
}

// securityHeaders sets the headers of PlainPages: HTML that loads nothing but Frames, cannot be framed, and whose form
// posts to the OP, which may send the browser on to the client.
func securityHeaders(w http.ResponseWriter, i Interaction) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", strings.TrimSpace(
		"default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+i.ReturnOrigin)+
		frameSource(i.Frames))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

var plain = template.Must(template.New("plain").Parse(`
{{define "head"}}<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">{{end}}

{{define "sign-in"}}{{template "head"}}<title>Sign in</title>
<h1>Sign in</h1>
<p>to go on to {{.Client.Name}}</p>
<form method="post" action="{{.Action}}">
{{range .Users}}<p><button name="subject" value="{{.Subject}}">Sign in as {{.Name}}</button></p>
{{end}}</form>{{end}}

{{define "select-account"}}{{template "head"}}<title>Choose an account</title>
<h1>Choose an account</h1>
<p>to go on to {{.Client.Name}}</p>
<form method="post" action="{{.Action}}">
<p><button name="account" value="continue">Go on as {{.Account.Name}}</button></p>
<p><button name="account" value="other">Use another account</button></p>
</form>{{end}}

{{define "consent"}}{{template "head"}}<title>Allow access</title>
<h1>{{.Client.Name}} asks for access</h1>
<p>{{.Account.Name}}, the application wants:</p>
<ul>
{{range .Scopes}}<li>{{.}}</li>
{{end}}</ul>
<form method="post" action="{{.Action}}">
<p><button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></p>
</form>{{end}}

{{define "confirm-logout"}}{{template "head"}}<title>Sign out</title>
<h1>Sign out?</h1>
<p>You are signed in as {{.Account.Name}}.</p>
<form method="post" action="{{.Action}}">
<p><button name="decision" value="sign-out">Sign out</button> <button name="decision" value="stay">Stay</button></p>
</form>{{end}}

{{define "signed-out"}}{{template "head"}}{{if .Account.Subject}}<title>Signed in</title>
<h1>You are still signed in</h1>
<p>as {{.Account.Name}}</p>{{else}}<title>Signed out</title>
<h1>You are signed out</h1>
{{range .Frames}}<iframe src="{{.}}" title="signing out" hidden></iframe>
{{end}}{{end}}{{end}}

{{define "error"}}{{template "head"}}<title>Error</title>
<h1>This did not work</h1>
<p>{{.Description}} ({{.Code}})</p>{{end}}
`))
