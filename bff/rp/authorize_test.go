package rp_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestAuthorizationURL: what is sent, and nothing besides (FLOW-01, FLOW-05, FLOW-44, FLOW-16).
func TestAuthorizationURL(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, func(_ *optest.Config, c *rp.Config) {
		c.PushedRequests = rp.PushedOff
		c.AuthorizationParams = map[string]string{"access_type": "offline", "ui_locales": "de"}
	})
	r := newRequest(url.Values{"login_hint": {"a&b=c"}, "ui_locales": {"fr"}})
	address, _, err := f.client.AuthorizationURL(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	base, query, _ := strings.Cut(address, "?")
	got, err := url.ParseQuery(query)
	if err != nil || base != f.op.EndpointURL(optest.AuthorizationEndpoint) {
		t.Fatalf("%s: %v", address, err)
	}
	want := url.Values{
		"response_type":         {"code"},
		"client_id":             {clientID},
		"redirect_uri":          {redirectURI},
		"scope":                 {"openid profile email offline_access"},
		"state":                 {r.State},
		"nonce":                 {r.Nonce},
		"code_challenge":        {oauth2.S256ChallengeFromVerifier(r.Verifier.Reveal())},
		"code_challenge_method": {"S256"},
		"access_type":           {"offline"},
		"login_hint":            {"a&b=c"},
		"ui_locales":            {"de"}, // the configured value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAuthorizationURLRefusesRequests(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	change := func(edit func(*rp.AuthorizationRequest)) rp.AuthorizationRequest {
		r := newRequest(nil)
		edit(&r)
		return r
	}
	param := func(name string, values ...string) rp.AuthorizationRequest {
		return newRequest(url.Values{name: values})
	}
	for name, r := range map[string]rp.AuthorizationRequest{
		"FLOW-05 no state":          change(func(r *rp.AuthorizationRequest) { r.State = "" }),
		"FLOW-05 short state":       change(func(r *rp.AuthorizationRequest) { r.State = "abc" }),
		"IDT-15 no nonce":           change(func(r *rp.AuthorizationRequest) { r.Nonce = "" }),
		"IDT-15 long nonce":         change(func(r *rp.AuthorizationRequest) { r.Nonce = strings.Repeat("n", 65) }),
		"FLOW-02 no verifier":       change(func(r *rp.AuthorizationRequest) { r.Verifier = secret.String{} }),
		"FLOW-02 short verifier":    change(func(r *rp.AuthorizationRequest) { r.Verifier = secret.New(strings.Repeat("v", 42)) }),
		"FLOW-02 verifier charset":  change(func(r *rp.AuthorizationRequest) { r.Verifier = secret.New(strings.Repeat("+", 43)) }),
		"FLOW-44 redirect_uri":      param("redirect_uri", "https://evil.example"),
		"FLOW-44 scope":             param("scope", "admin"),
		"FLOW-44 challenge method":  param("code_challenge_method", "plain"),
		"FLOW-44 request_uri":       param("request_uri", "https://evil.example"),
		"FLOW-44 response_mode":     param("response_mode", "fragment"),
		"FLOW-26 parameter twice":   param("login_hint", "a", "b"),
		"IDT-17 max_age not number": param("max_age", "-1"),
		"claims not an object":      param("claims", `["name"]`),
		"FLOW-44 resource":          param("resource", "https://evil.example"),
		"JAR-02 sub":                param("sub", clientID),
		"CA-01 client_assertion":    param("client_assertion", "a.b.c"),
		"too long":                  param("login_hint", strings.Repeat("a", 513)),
		"line end":                  param("login_hint", "a\r\nb"),
		"NUL":                       param("login_hint", "a\x00"),
		"control character C1":      param("login_hint", "a\u0085"),
		"not UTF-8":                 param("login_hint", "a\xff"),
	} {
		if got, _, err := f.client.AuthorizationURL(t.Context(), r); !errors.Is(err, rp.ErrParameter) || got != "" {
			t.Errorf("%s: %q, %v, want ErrParameter", name, got, err)
		}
	}
}

// TestCheckResponse: each of these responses is refused before anything is sent to the OP.
func TestCheckResponse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id    string
		fault optest.Fault
		want  string // the requirement that the error names
	}{
		{"state missing", optest.CallbackNoState, "FLOW-05"},
		{"state of another flow", optest.CallbackOtherState, "FLOW-05"},
		{"state empty", optest.Callback("state", ""), "FLOW-05"},
		{"no code", optest.CallbackNoCode, "FLOW-05"},
		{"code empty", optest.Callback("code", ""), "FLOW-05"},
		{"iss of another OP", optest.CallbackWrongIssuer, "FLOW-10"},
		{"iss with a slash", optest.CallbackIssuerTrailingSlash, "FLOW-10"},
		{"iss empty", optest.Callback("iss", ""), "FLOW-10"},
		{"iss missing", optest.CallbackNoIssuer, "FLOW-11"},
		{"tokens in the front channel", optest.CallbackTokens, "FLOW-20"},
		{"an ID token alone", optest.Callback("id_token", "a.b.c"), "FLOW-20"},
		{"a token type alone", optest.Callback("token_type", "Bearer"), "FLOW-20"},
		{"JARM response", optest.Callback("response", "a.b.c"), "FLOW-20"},
		{"code twice", optest.CallbackTwice("code"), "FLOW-26"},
		{"state twice", optest.CallbackTwice("state"), "FLOW-26"},
		{"iss twice", optest.CallbackTwice("iss"), "FLOW-26"},
		{"code and error", optest.Callback("error", "access_denied"), "FLOW-13"},
	} {
		t.Run(tt.want+" "+tt.id, func(t *testing.T) {
			f := startLoaded(t)
			f.op.Fault(tt.fault)
			r := newRequest(nil)
			code, err := f.respond(f.authorize(r), r.State)
			if !errors.Is(err, rp.ErrResponse) || !strings.Contains(err.Error(), tt.want) || !code.IsZero() {
				t.Errorf("error %v, want ErrResponse naming %s", err, tt.want)
			}
			f.wantCount(optest.TokenEndpoint, 0)
		})
	}
}

// TestCheckResponseWithoutState: an empty expectation is met by nothing (FLOW-05).
func TestCheckResponseWithoutState(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	params := url.Values{"code": {"c"}, "state": {""}, "iss": {f.op.Issuer()}}
	if _, err := f.respond(params, ""); !errors.Is(err, rp.ErrResponse) {
		t.Errorf("error %v, want ErrResponse", err)
	}
}

// TestCheckResponseOfOPWithoutISS is FLOW-12: an OP that does not announce iss and sends it is not the one we know.
func TestCheckResponseOfOPWithoutISS(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.op.Fault(optest.MetadataNoIss)
	f.load()
	r := newRequest(nil)
	if _, err := f.respond(f.authorize(r), r.State); !errors.Is(err, rp.ErrResponse) || !strings.Contains(err.Error(), "FLOW-12") {
		t.Errorf("error %v, want ErrResponse naming FLOW-12", err)
	}
	f.op.Fault(optest.CallbackNoIssuer)
	f.login()
}

func TestCheckResponseIgnoresUnknownParameters(t *testing.T) { // FLOW-28
	f := startLoaded(t)
	f.op.Fault(optest.CallbackUnknownParameters)
	f.login()
}

// TestAuthorizationErrors: an error is the OP's only after the checks (FLOW-13), and none of its text is repeated
// unless it is a registered code (FLOW-40).
func TestAuthorizationErrors(t *testing.T) {
	t.Parallel()
	t.Run("registered", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.CallbackError("access_denied", optest.HostileText))
		r := newRequest(nil)
		_, err := f.respond(f.authorize(r), r.State)
		answer, ok := errors.AsType[*rp.AuthorizationError](err)
		if !ok || answer.Code != "access_denied" || err.Error() != "the OP answered access_denied" {
			t.Fatalf("error %#v", err)
		}
	})
	t.Run("unregistered", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.CallbackError("<script>", strings.Repeat("x", 1000)))
		r := newRequest(nil)
		_, err := f.respond(f.authorize(r), r.State)
		answer, ok := errors.AsType[*rp.AuthorizationError](err)
		if !ok || answer.Code != "unknown" || err.Error() != "the OP answered unknown" {
			t.Errorf("error %#v", err)
		}
	})
	for name, fault := range map[string]optest.Fault{
		"FLOW-10": optest.CallbackWrongIssuer, "FLOW-11": optest.CallbackNoIssuer, "FLOW-05": optest.CallbackOtherState,
	} {
		t.Run("not the OP's "+name, func(t *testing.T) {
			f := startLoaded(t)
			f.op.Fault(optest.CallbackError("access_denied", ""), fault)
			r := newRequest(nil)
			_, err := f.respond(f.authorize(r), r.State)
			if _, ok := errors.AsType[*rp.AuthorizationError](err); ok || !errors.Is(err, rp.ErrResponse) {
				t.Errorf("error %v, want ErrResponse", err)
			}
		})
	}
}
