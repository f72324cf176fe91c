package optest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	pushedPrefix   = "urn:ietf:params:oauth:request_uri:" // RFC 9126, 2.2
	pushedLifetime = time.Minute
)

// A pushedRequest is an authorization request that waits for its browser.
type pushedRequest struct {
	clientID   string
	parameters url.Values // as they count: those of a request object, if there was one
	expires    time.Time
}

func isPushed(form url.Values) bool { return strings.HasPrefix(form.Get("request_uri"), pushedPrefix) }

// clientParameters say who pushes, not what (RFC 9126, 2.1).
var clientParameters = []string{"client_secret", "client_assertion", "client_assertion_type"}

// push is the pushed authorization request endpoint (RFC 9126, 2). It checks a request as the authorization endpoint
// does.
func (op *OP) push(w http.ResponseWriter, r *http.Request) error {
	if err := noneTwice(r.PostForm); err != nil {
		return err
	}
	client, err := op.authenticate(r)
	if err != nil {
		return err
	}
	form := url.Values{}
	for name, values := range r.PostForm {
		if !slices.Contains(clientParameters, name) {
			form[name] = values
		}
	}
	if form.Has("request_uri") {
		return refuse("invalid_request", "request_uri cannot be pushed")
	}
	if form.Has("request") {
		for name := range form {
			if name != "request" && name != "client_id" { // RFC 9126, 3
				return refuse("invalid_request", name+" stands outside the request object")
			}
		}
		form.Set("client_id", client.ID) // optional here: the client has authenticated itself
	}
	if form.Get("client_id") != client.ID {
		return refuse("invalid_request", "client_id is not the client that pushes")
	}
	if form, err = op.requested(client, form); err != nil {
		return err
	}
	if !slices.Contains(client.RedirectURIs, form.Get("redirect_uri")) {
		return refuse("invalid_request", "redirect_uri is not registered for this client")
	}
	if _, refused := op.readAuthorization(client, form); refused != nil {
		return refused
	}
	response := map[string]any{
		"request_uri": op.keepPushed(client, form),
		"expires_in":  int(pushedLifetime / time.Second),
	}
	for _, f := range op.activeFaults(r) {
		if f.pushed != nil {
			f.pushed(response)
		}
	}
	writeJSON(w, http.StatusCreated, response)
	return nil
}

func (op *OP) keepPushed(client Client, form url.Values) string {
	uri := pushedPrefix + rand.Text()
	op.mu.Lock()
	defer op.mu.Unlock()
	op.pushed[uri] = &pushedRequest{clientID: client.ID, parameters: form, expires: op.now().Add(pushedLifetime)}
	return uri
}

// takePushed returns what the client has pushed, once (RFC 9126, 4 and 7.3).
func (op *OP) takePushed(client Client, uri string) (url.Values, error) {
	op.mu.Lock()
	defer op.mu.Unlock()
	p, ok := op.pushed[uri]
	if !ok || p.clientID != client.ID || op.now().After(p.expires) {
		return nil, refuse("invalid_request_uri", "request_uri is unknown, used, expired or another client's")
	}
	delete(op.pushed, uri)
	return p.parameters, nil
}
