package demo

import (
	"cmp"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// ordersAudience is the aud of the OP's access tokens: the identifier of the orders API (RFC 9068 §2.2).
const ordersAudience = "https://orders.demo.test"

// accessTokenLifetime is short so that a visitor sees the gateway refresh.
const accessTokenLifetime = time.Minute

const (
	styleSheet  = "/style.css"
	signOutPage = "/sign-out" // asks whoever is signed in; the applications hear of it by back-channel logout
)

// newOP is Harbour ID: an OP with two users, no passwords, and pages for people.
func newOP(issuer string, apps ...*application) (http.Handler, error) {
	config := optest.Config{
		Issuer: issuer,
		Users: []optest.User{
			person("alice", "Alice Anderson"),
			person("bob", "Bob Baker"),
		},
		Audience:            []string{ordersAudience},
		AccessTokenLifetime: accessTokenLifetime,
		Pages:               harbour{},
	}
	for _, app := range apps {
		config.Clients = append(config.Clients, app.client())
	}
	op, err := optest.New(config)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", op)
	mux.HandleFunc("GET "+styleSheet, func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, embedded, "op/style.css")
	})
	mux.Handle("GET "+signOutPage, http.RedirectHandler(op.EndpointURL(optest.EndSessionEndpoint), http.StatusSeeOther))
	return mux, nil
}

func person(sub, name string) optest.User {
	return optest.User{Subject: sub, Claims: map[string]any{
		"name": name, "preferred_username": sub, "email": sub + "@harbour.test", "email_verified": true,
	}}
}

// harbour is the pages of Harbour ID. They are forms and work without JavaScript.
type harbour struct{}

func (harbour) SignIn(w http.ResponseWriter, _ *http.Request, i optest.Interaction) {
	writePage(w, "sign-in", i.ReturnOrigin, i)
}

func (harbour) SelectAccount(w http.ResponseWriter, _ *http.Request, i optest.Interaction) {
	writePage(w, "select-account", i.ReturnOrigin, i)
}

func (harbour) Consent(w http.ResponseWriter, _ *http.Request, i optest.Interaction) {
	writePage(w, "consent", i.ReturnOrigin, i)
}

func (harbour) ConfirmLogout(w http.ResponseWriter, _ *http.Request, i optest.Interaction) {
	writePage(w, "confirm-logout", i.ReturnOrigin, i)
}

func (harbour) SignedOut(w http.ResponseWriter, _ *http.Request, i optest.Interaction) {
	writePage(w, "signed-out", i.ReturnOrigin, i)
}

func (harbour) Error(w http.ResponseWriter, _ *http.Request, e optest.ErrorPage) {
	setPageHeaders(w, "")
	w.WriteHeader(e.Status)
	_ = pages.ExecuteTemplate(w, "error", e) // the browser is gone, there is nobody to tell
}

func writePage(w http.ResponseWriter, name, returnOrigin string, data any) {
	setPageHeaders(w, returnOrigin)
	_ = pages.ExecuteTemplate(w, name, data)
}

// setPageHeaders allows the style sheet, and a form that posts to the OP. Browsers apply form-action also to the
// redirect that follows, hence the origin of the client.
func setPageHeaders(w http.ResponseWriter, returnOrigin string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", strings.TrimSpace("default-src 'none'; style-src 'self'; base-uri 'none'; "+
		"frame-ancestors 'none'; form-action 'self' "+returnOrigin))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

var pages = template.Must(template.New("").Funcs(template.FuncMap{"inWords": inWords}).ParseFS(embedded, "op/*.html"))

// inWords says what a scope means to the person who grants it.
func inWords(scope string) string {
	return cmp.Or(map[string]string{
		"openid":         "Know that it is you",
		"profile":        "Read your name",
		"email":          "Read your email address",
		"offline_access": "Stay signed in while you are away",
		scopeRead:        "Read your orders",
		scopeWrite:       "Place orders for you",
	}[scope], scope)
}
