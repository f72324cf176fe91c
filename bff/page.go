package bff

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		"css":    func() template.CSS { return template.CSS(pageCSS) },
		"submit": func() template.JS { return submitScript },
	}).Parse(pageHTML))

	// The one style sheet is inline, allowed by its hash; nothing else may load, and nobody may frame the page (FLOW-43).
	// There is no form-action: browsers apply it to every redirect after a form, and ours lead to the OP and from
	// there to wherever it sends people.
	pagePolicy = "default-src 'none'; style-src " + hashSource(pageCSS) + "; base-uri 'none'; frame-ancestors 'none'"
	// postPolicy is that of a page with a form that posts itself. The form may hold an ID token: the sandbox takes the page
	// out of our origin, whose scripts could read it from a window that they have opened (BFF-03).
	postPolicy = pagePolicy + "; script-src " + hashSource(submitScript) + "; sandbox allow-forms allow-scripts"
)

const submitScript = "document.forms[0].submit()"

// hashSource allows one inline style sheet or script (CSP3 §2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Page is one of the gateway's own pages: a sentence and a way on. All text is escaped.
type Page struct {
	Status int
	Title  string
	Text   string
	Code   string // of the problem, for a support call
	ID     string // request id, likewise

	Next    string // the page moves on to this path by itself
	Post    *Post  // the page posts this by itself
	Actions []Action
}

// Post is a form that goes to another site as soon as the page is shown, or where there are no scripts at a button.
type Post struct {
	URL    string
	Fields url.Values
}

// Action is a button: a GET form, so that the navigation is our own page's and not the site's that led here.
type Action struct {
	Label  string
	Path   string
	Fields map[string]string
}

// WritePage writes the page with the headers that every page of ours has.
func WritePage(w http.ResponseWriter, p Page) error {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Referrer-Policy", "no-referrer") // FLOW-23
	header.Set("Cache-Control", "no-store")
	if p.Post != nil {
		header.Set("Content-Security-Policy", postPolicy) // a browser shows no page with a sandbox and an opener policy
	} else {
		header.Set("Content-Security-Policy", pagePolicy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	w.WriteHeader(p.Status)
	return pageTemplate.Execute(w, p)
}

// redirect sends the browser on, and not where it comes from (FLOW-23). http.Redirect would tidy up what it takes for a
// path, up to the end of the fragment.
func redirect(w http.ResponseWriter, location string, status int) {
	w.Header().Set("Location", location)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
}
