package bff

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		"css": func() template.CSS { return template.CSS(pageCSS) },
	}).Parse(pageHTML))

	// The one style sheet is inline, allowed by its hash; nothing else may load, and nobody may frame the page (FLOW-43).
	// There is no form-action: browsers apply it to every redirect after a form, and ours lead to the OP and from
	// there to wherever it sends people.
	pagePolicy = func() string {
		sum := sha256.Sum256([]byte(pageCSS))
		return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; frame-ancestors 'none'"
	}()
)

// Page is one of the gateway's own pages: a sentence and a way on. All text is escaped.
type Page struct {
	Status int
	Title  string
	Text   string
	Code   string // of the problem, for a support call
	ID     string // request id, likewise

	Next    string // the page moves on to this path by itself
	Actions []Action
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
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("Referrer-Policy", "no-referrer") // FLOW-23
	header.Set("Cache-Control", "no-store")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
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
