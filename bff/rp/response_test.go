package rp_test

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

var responseModes = []rp.ResponseMode{
	rp.ResponseQuery, rp.ResponseFormPost, rp.ResponseJWT, rp.ResponseQueryJWT, rp.ResponseFormPostJWT,
}

// mode makes a change for start.
func mode(m rp.ResponseMode) func(*optest.Config, *rp.Config) {
	return func(_ *optest.Config, c *rp.Config) { c.ResponseMode = m }
}

var hiddenField = regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`)

// comeBack takes a browser to the OP and returns its next request, which is for our redirect URI.
func (f *fixture) comeBack(address string) *http.Request {
	f.Helper()
	resp, err := f.op.Client().Get(address)
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if location, err := resp.Location(); err == nil {
		return httptest.NewRequest(http.MethodGet, location.String(), nil)
	}
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		f.Fatalf("GET %s: %s: %s, %v", address, resp.Status, page, err)
	}
	form := url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(string(page), -1) {
		form.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return formPost(form.Encode())
}

// formPost is a response as the page of a form_post sends it.
func formPost(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, redirectURI, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// receive hands the client the request with which a browser came back.
func (f *fixture) receive(r *http.Request, state string) (secret.String, error) {
	f.Helper()
	response, err := f.client.ReadResponse(f.Context(), r)
	if err != nil {
		return secret.String{}, err
	}
	return f.client.CheckResponse(response, state)
}

// roundTrip takes a browser to the OP and back, and returns what the client makes of it.
func (f *fixture) roundTrip(r rp.AuthorizationRequest) (secret.String, error) {
	f.Helper()
	address, _, err := f.client.AuthorizationURL(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	return f.receive(f.comeBack(address), r.State)
}

// TestLogins: every way to send a request goes with every way to get the response.
func TestLogins(t *testing.T) {
	t.Parallel()
	keys := ourKeys(t)
	for _, m := range responseModes {
		for _, pushed := range []rp.PushedRequests{rp.PushedRequired, rp.PushedOff} {
			for _, alg := range []string{"", "ES256"} {
				t.Run(fmt.Sprintf("%s, pushed %s, object %q", m, pushed, alg), func(t *testing.T) {
					f := startLoaded(t, func(op *optest.Config, c *rp.Config) {
						c.ResponseMode, c.PushedRequests, c.RequestObjectAlg, c.Keys = m, pushed, alg, keys
						op.RequirePushedRequests = pushed == rp.PushedRequired
					})
					if post := m == rp.ResponseFormPost || m == rp.ResponseFormPostJWT; f.client.PostsResponse() != post {
						t.Errorf("PostsResponse %v", !post)
					}
					r := newRequest(nil)
					code, err := f.roundTrip(r)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := f.client.Exchange(t.Context(), code, r); err != nil {
						t.Fatal(err)
					}
					f.wantCount(optest.AuthorizationEndpoint, 1)
					f.wantCount(optest.PushedEndpoint, map[rp.PushedRequests]int{rp.PushedRequired: 1}[pushed])
					f.wantQuiet()
				})
			}
		}
	}
}

// TestChannel: a response is read from the channel of its mode and from no other (FLOW-27, FPM-01).
func TestChannel(t *testing.T) {
	t.Parallel()
	const good = "code=c&state=s"
	request := func(method, query, contentType, body string) *http.Request {
		r := httptest.NewRequest(method, redirectURI+"?"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return r
	}
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name    string
		mode    rp.ResponseMode
		request *http.Request
		want    string // "" for a response that is read
	}{
		{"query", rp.ResponseQuery, request("GET", good, "", ""), ""},
		{"form", rp.ResponseFormPost, request("POST", "", form, good), ""},
		{"form with charset", rp.ResponseFormPost, request("POST", "", form+"; charset=UTF-8", good), ""},
		{"form with a query of the redirect URI", rp.ResponseFormPost, request("POST", "tenant=1", form, good), ""},
		{"form as large as may be", rp.ResponseFormPost, request("POST", "", form, pad(good, 64<<10)), ""},
		{"query by HEAD", rp.ResponseQuery, request("HEAD", good, "", ""), "FLOW-27"},
		{"query by POST", rp.ResponseQuery, request("POST", good, form, ""), "FLOW-27"},
		{"query with a body", rp.ResponseQuery, request("GET", good, form, "code=d"), "FLOW-27"},
		{"form for query", rp.ResponseQuery, request("POST", "", form, good), "FLOW-27"},
		{"malformed query", rp.ResponseQuery, request("GET", good+"&a=%zz", "", ""), "FLOW-27"},
		{"query for form", rp.ResponseFormPost, request("GET", good, "", ""), "FPM-01"},
		{"form by PUT", rp.ResponseFormPost, request("PUT", "", form, good), "FPM-01"},
		{"multipart", rp.ResponseFormPost, request("POST", "", "multipart/form-data; boundary=a", good), "FPM-01"},
		{"JSON", rp.ResponseFormPost, request("POST", "", "application/json", `{"code":"c","state":"s"}`), "FPM-01"},
		{"text", rp.ResponseFormPost, request("POST", "", "text/plain", good), "FPM-01"},
		{"no content type", rp.ResponseFormPost, request("POST", "", "", good), "FPM-01"},
		{"malformed form", rp.ResponseFormPost, request("POST", "", form, good+"&a=%zz"), "FPM-01"},
		{"form too large", rp.ResponseFormPost, request("POST", "", form, pad(good, 64<<10+1)), "FPM-01"},
		{"form and query", rp.ResponseFormPost, request("POST", "code=d", form, good), "FLOW-27"},
		{"form and state in the query", rp.ResponseFormPost, request("POST", "state=s", form, "code=c"), "FLOW-27"},
		{"form and error in the query", rp.ResponseFormPost, request("POST", "error=access_denied", form, good), "FLOW-27"},
		{"form and malformed query", rp.ResponseFormPost, request("POST", "a=%zz", form, good), "FLOW-27"},
		{"form and JWT in the query", rp.ResponseFormPostJWT, request("POST", "response=a.b.c", form, "response=a.b.c"), "FLOW-27"},
	} {
		t.Run(tt.want+" "+tt.name, func(t *testing.T) {
			f := start(t, mode(tt.mode))
			response, err := f.client.ReadResponse(t.Context(), tt.request)
			switch {
			case tt.want == "" && (err != nil || response.State() != "s"):
				t.Errorf("%+v, %v", response, err)
			case tt.want != "" && (!errors.Is(err, rp.ErrResponse) || !strings.Contains(err.Error(), tt.want) || response != nil):
				t.Errorf("error %v, want ErrResponse naming %s", err, tt.want)
			}
		})
	}
}

// pad fills a form up to a size in bytes.
func pad(form string, size int) string {
	form += "&pad="
	return form + strings.Repeat("x", size-len(form))
}

// TestErrorByEveryMode is FPM-04 and FLOW-13: errors come by the way of the mode, and are the OP's after the checks.
func TestErrorByEveryMode(t *testing.T) {
	t.Parallel()
	for _, m := range responseModes {
		t.Run(string(m), func(t *testing.T) {
			f := startLoaded(t, mode(m))
			f.op.Fault(optest.CallbackError("access_denied", optest.HostileText))
			_, err := f.roundTrip(newRequest(nil))
			if answer, ok := errors.AsType[*rp.AuthorizationError](err); !ok || answer.Code != "access_denied" {
				t.Errorf("error %v, want access_denied", err)
			}
			f.op.Fault(optest.CallbackOtherState)
			if _, err := f.roundTrip(newRequest(nil)); !errors.Is(err, rp.ErrResponse) || !strings.Contains(err.Error(), "FLOW-05") {
				t.Errorf("error %v, want ErrResponse naming FLOW-05", err)
			}
			f.wantCount(optest.TokenEndpoint, 0)
		})
	}
}

// TestFinalErrors: these end the login, and tell the operator what to do where only the operator can.
func TestFinalErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ id, code, says string }{
		{"EXT-10", "unmet_authentication_requirements", "unmet_authentication_requirements"},
		{"EXT-01", "invalid_target", "resource"},
		{"EXT-09", "invalid_authorization_details", "authorization_details says"},
	} {
		t.Run(tt.id, func(t *testing.T) {
			f := startLoaded(t)
			f.op.Fault(optest.CallbackError(tt.code, optest.HostileText))
			_, err := f.roundTrip(newRequest(nil))
			answer, ok := errors.AsType[*rp.AuthorizationError](err)
			if !ok || answer.Code != tt.code || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "script") {
				t.Errorf("error %v", err)
			}
			f.wantCount(optest.TokenEndpoint, 0)
		})
	}
}
