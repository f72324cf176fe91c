package optest

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The response modes (OAuth 2.0 Multiple Response Type Encoding Practices, 2.1; Form Post Response Mode; JARM, 2.3).
// In the code flow jwt means query.jwt.
const (
	queryMode       = "query"
	formPostMode    = "form_post"
	jwtMode         = "jwt"
	queryJWTMode    = "query.jwt"
	formPostJWTMode = "form_post.jwt"
)

var responseModes = []string{queryMode, formPostMode, jwtMode, queryJWTMode, formPostJWTMode}

const responseJWTLifetime = time.Minute // JARM, 2.1 recommends at most 10 minutes

func (op *OP) respondCode(w http.ResponseWriter, r *http.Request, a *authorization) error {
	return op.respond(w, r, a, url.Values{"code": {op.newCode(a)}})
}

func (op *OP) respondError(w http.ResponseWriter, r *http.Request, a *authorization, e *refusal) error {
	return op.respond(w, r, a, url.Values{"error": {e.code}, "error_description": {e.description}})
}

// respond sends the authorization response by the way that was asked for, with state and iss in errors too (RFC 9207,
// 2).
func (op *OP) respond(w http.ResponseWriter, r *http.Request, a *authorization, response url.Values) error {
	response.Set("iss", op.issuer)
	if a.state != "" {
		response.Set("state", a.state)
	}
	for _, f := range op.activeFaults(r) {
		if f.authorization != nil {
			f.authorization(response)
		}
	}
	switch a.mode {
	case jwtMode, queryJWTMode, formPostJWTMode:
		var err error
		if response, err = op.responseJWT(r, a, response); err != nil {
			return err
		}
	}
	switch a.mode {
	case formPostMode, formPostJWTMode:
		postForm(w, a.redirectURI, response)
	default:
		// 303, so that a browser that comes from a form does not post it on (RFC 9700, 4.12).
		http.Redirect(w, r, withQuery(a.redirectURI, response), http.StatusSeeOther)
	}
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

// responseJWT packs a response into a JWT (JARM, 2.1) and returns the parameters that carry it.
func (op *OP) responseJWT(r *http.Request, a *authorization, response url.Values) (url.Values, error) {
	claims := map[string]any{"aud": a.client.ID, "exp": op.now().Add(responseJWTLifetime).Unix()}
	for name, values := range response {
		claims[name] = one(values)
	}
	t := op.newClientJWT(a.client, "JWT", a.client.ResponseAlg, a.client.ResponseEncryption, claims)
	faults := op.activeFaults(r)
	for _, f := range faults {
		if f.response != nil {
			f.response(t)
		}
	}
	token, err := t.serialize()
	if err != nil {
		return nil, err
	}
	outside := url.Values{"response": {token}}
	for _, f := range faults {
		if f.outside != nil {
			f.outside(outside, response)
		}
	}
	return outside, nil
}

const submitScript = "document.forms[0].submit()"

// postForm sends a page that posts the response to the client (Form Post Response Mode, 2), with a button for browsers
// without scripts.
func postForm(w http.ResponseWriter, action string, response url.Values) {
	hash := sha256.Sum256([]byte(submitScript))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "+
		"script-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'; form-action "+originOf(action))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	formPostPage.Execute(w, struct {
		Action   string
		Response url.Values
		Script   template.JS
	}{action, response, submitScript})
}

var formPostPage = template.Must(template.New("form_post").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Back to the application</title>
<form method="post" action="{{.Action}}">
{{range $name, $values := .Response}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<noscript><button>Continue</button></noscript>
</form>
<script>{{.Script}}</script>
`))
