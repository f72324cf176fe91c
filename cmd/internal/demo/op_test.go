package demo

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func TestHarbourPages(t *testing.T) {
	asked := optest.Interaction{
		Action:       "http://127.0.0.1:1/interaction/x",
		Client:       optest.Client{Name: "Shop <b>& Co"},
		Scopes:       []string{"openid", scopeWrite, "some:scope"},
		Users:        []optest.User{person("alice", "Alice Anderson"), person("bob", "Bob Baker")},
		Account:      person("alice", "Alice Anderson"),
		ReturnOrigin: "http://localhost:8080",
	}
	const form = `<form class="actions" method="post" action="http://127.0.0.1:1/interaction/x">`
	type page func(http.ResponseWriter, *http.Request, optest.Interaction)
	for name, tt := range map[string]struct {
		page page
		asks optest.Interaction
		want []string
	}{
		"sign in": {harbour{}.SignIn, asked, []string{
			form, "Shop &lt;b&gt;&amp; Co", `name="subject" value="alice"`, `name="subject" value="bob"`,
		}},
		"select account": {harbour{}.SelectAccount, asked, []string{
			form, `name="account" value="continue"`, "Go on as Alice Anderson", `name="account" value="other"`,
		}},
		"consent": {harbour{}.Consent, asked, []string{
			form, "Know that it is you", "Place orders for you", "some:scope",
			`name="decision" value="allow"`, `name="decision" value="deny"`,
		}},
		"confirm logout": {harbour{}.ConfirmLogout, asked, []string{
			form, `name="decision" value="sign-out"`, `name="decision" value="stay"`,
		}},
		"signed out":      {harbour{}.SignedOut, optest.Interaction{}, []string{"You are signed out"}},
		"still signed in": {harbour{}.SignedOut, asked, []string{"You are still signed in", "Alice Anderson"}},
		"error": {func(w http.ResponseWriter, r *http.Request, _ optest.Interaction) {
			harbour{}.Error(w, r, optest.ErrorPage{Status: 400, Code: "invalid_request", Description: "who?"})
		}, optest.Interaction{}, []string{"who? (invalid_request)"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.page(w, httptest.NewRequest(http.MethodGet, "/", nil), tt.asks)
			for _, want := range tt.want {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("the page lacks %s:\n%s", want, w.Body)
				}
			}
			checkPagePolicy(t, w.Header(), tt.asks.ReturnOrigin)
			if !strings.HasSuffix(strings.TrimSpace(w.Body.String()), "</html>") {
				t.Error("the page is cut off")
			}
		})
	}
}

// checkPagePolicy: a page of the OP loads its style sheet, posts to the OP, and may send the browser on to the client.
func checkPagePolicy(t *testing.T, h http.Header, returnOrigin string) {
	t.Helper()
	want := strings.TrimSpace("default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; " +
		"form-action 'self' " + returnOrigin)
	if got := h.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %q, want %q", got, want)
	}
	if h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
}
