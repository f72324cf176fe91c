package rp_test

import (
	"context"
	"encoding/base64"
	"errors"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// wantOnlyRequestURI is PAR-04: the browser carries nothing else.
func wantOnlyRequestURI(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || names(u.Query()) != "client_id request_uri" || u.Query().Get("client_id") != clientID {
		t.Errorf("the browser is sent to %s, %v", address, err)
	}
}

// TestPushedRequest is PAR-02, PAR-04 and PAR-05: the whole request is pushed, with our authentication, each time.
func TestPushedRequest(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, func(op *optest.Config, c *rp.Config) {
		c.AuthorizationParams = map[string]string{"audience": "https://api"}
		c.Resource = []string{"https://api.example.com/a", "https://api.example.com/b"}
		op.RequirePushedRequests = true
	})
	r := newRequest(url.Values{"max_age": {"300"}})
	first, expiresIn, err := f.client.AuthorizationURL(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if expiresIn != time.Minute {
		t.Errorf("the address works for %v", expiresIn)
	}
	wantOnlyRequestURI(t, first)
	second, _, err := f.client.AuthorizationURL(t.Context(), r)
	if err != nil || first == second {
		t.Errorf("PAR-05: twice %s, %v", second, err)
	}
	f.wantCount(optest.PushedEndpoint, 2)
	pushed := f.op.Requests(optest.PushedEndpoint)[0]
	want := url.Values{
		"response_type":         {"code"},
		"client_id":             {clientID},
		"redirect_uri":          {redirectURI},
		"scope":                 {"openid profile email offline_access"},
		"state":                 {r.State},
		"nonce":                 {r.Nonce},
		"code_challenge":        {oauth2.S256ChallengeFromVerifier(r.Verifier.Reveal())},
		"code_challenge_method": {"S256"},
		"audience":              {"https://api"},
		"max_age":               {"300"},
		"resource":              {"https://api.example.com/a", "https://api.example.com/b"},
	}
	if diff := cmp.Diff(want, pushed.Form); diff != "" {
		t.Error(diff)
	}
	credentials := "Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":"+url.QueryEscape(clientSecret)))
	if got := pushed.Header.Get("Authorization"); got != credentials || len(pushed.Query) > 0 {
		t.Errorf("Authorization %q, query %v", got, pushed.Query)
	}
	if _, err := f.receive(f.comeBack(first), r.State); err != nil {
		t.Error(err)
	}
}

// TestPushedRequestFails is PAR-03: whatever is not exactly a success fails the login, after one request and without
// another way to the OP.
func TestPushedRequestFails(t *testing.T) {
	t.Parallel()
	par := optest.PushedEndpoint
	set := optest.PushedMember
	refuse := func(status int, code string) optest.Fault {
		return optest.Reply(code, par, answer(status, `{"error":"`+code+`","error_description":"marker"}`))
	}
	const good = `{"request_uri":"urn:a:b","expires_in":60}`
	for _, tt := range []struct {
		name  string
		fault optest.Fault
		want  error // nil: a *TokenError of no kind
	}{
		{"no request_uri", optest.PushedNoRequestURI, rp.ErrUnavailable},
		{"request_uri empty", set("request_uri", ""), rp.ErrUnavailable},
		{"request_uri no string", set("request_uri", 7), rp.ErrUnavailable},
		{"request_uri no URI", set("request_uri", "abc"), rp.ErrUnavailable},
		{"request_uri with a space", set("request_uri", "urn:a b"), rp.ErrUnavailable},
		{"request_uri too long", set("request_uri", "urn:"+strings.Repeat("a", 2048)), rp.ErrUnavailable},
		{"no expires_in", optest.PushedNoExpiresIn, rp.ErrUnavailable},
		{"expires_in 0", set("expires_in", 0), rp.ErrUnavailable},
		{"expires_in negative", set("expires_in", -1), rp.ErrUnavailable},
		{"expires_in a fraction", set("expires_in", 1.5), rp.ErrUnavailable},
		{"expires_in a string", set("expires_in", "60"), rp.ErrUnavailable},
		{"status 200", optest.Reply("200", par, answer(200, good)), rp.ErrUnavailable},
		{"status 202", optest.Reply("202", par, answer(202, good)), rp.ErrUnavailable},
		{"text", optest.ContentType(par, "text/plain"), rp.ErrUnavailable},
		{"array", optest.Reply("array", par, answer(201, `[]`)), rp.ErrUnavailable},
		{"huge", optest.Huge(par), rp.ErrUnavailable},
		{"drop", optest.Drop(par), rp.ErrUnavailable},
		{"gone", optest.Gone(par), rp.ErrUnavailable},
		{"redirect", optest.Redirect(par, 307, trap(t).URL), rp.ErrUnavailable},
		{"429", optest.Status(par, 429), rp.ErrUnavailable},
		{"500", optest.Status(par, 500), rp.ErrUnavailable},
		{"413", optest.Status(par, 413), nil},
		{"400", refuse(400, "invalid_request"), nil},
		{"EXT-01", refuse(400, "invalid_target"), nil},
		{"unregistered code", refuse(400, "marker"), nil},
		{"401", refuse(401, "invalid_client"), rp.ErrInvalidClient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := startLoaded(t)
			f.op.Fault(tt.fault)
			address, _, err := f.client.AuthorizationURL(t.Context(), newRequest(nil))
			if address != "" || err == nil {
				t.Fatalf("%q, %v", address, err)
			}
			_, refused := errors.AsType[*rp.TokenError](err)
			if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && (!refused || errors.Is(err, rp.ErrUnavailable)) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if strings.Contains(err.Error(), "marker") {
				t.Errorf("the OP's text is repeated: %v", err)
			}
			f.wantCount(par, 1)
			f.wantCount(optest.AuthorizationEndpoint, 0)
			f.wantCount(optest.TokenEndpoint, 0)
			f.wantQuiet(err)
		})
	}
}

// TestEndlessPush: an expires_in that no duration can hold does not turn into one that is past (PAR-03).
func TestEndlessPush(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(optest.PushedMember("expires_in", int64(math.MaxInt64)))
	_, expiresIn, err := f.client.AuthorizationURL(t.Context(), newRequest(nil))
	if want := 365 * 24 * time.Hour; err != nil || expiresIn != want {
		t.Errorf("expiresIn %v, error %v, want %v", expiresIn, err, want)
	}
}

// TestRefusedPushTellsTheOperator: a bad resource is a mistake of the configuration, and named as such (EXT-01).
func TestRefusedPushTellsTheOperator(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, func(op *optest.Config, c *rp.Config) {
		op.Resources = []string{"https://api.example.com/a"}
		c.Resource = []string{"https://api.example.com/b"}
	})
	_, _, err := f.client.AuthorizationURL(t.Context(), newRequest(nil))
	refused, ok := errors.AsType[*rp.TokenError](err)
	if !ok || refused.Code != "invalid_target" || !strings.Contains(err.Error(), "resource") {
		t.Errorf("error %v", err)
	}
}

// TestPushEnds: nobody waits for a push longer than the caller does.
func TestPushEnds(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	_, _, err := f.client.AuthorizationURL(f.leaveAt(optest.PushedEndpoint), newRequest(nil))
	if !errors.Is(err, rp.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want ErrUnavailable and Canceled", err)
	}
}

// TestWhetherToPush is PAR-01.
func TestWhetherToPush(t *testing.T) {
	t.Parallel()
	without := optest.WithoutMetadata("pushed_authorization_request_endpoint")
	require := optest.Metadata("require_pushed_authorization_requests", true)
	for _, tt := range []struct {
		name   string
		mode   rp.PushedRequests
		faults []optest.Fault
		pushes int    // at an OP that is usable
		want   string // what Load says of one that is not
	}{
		{"by default", "", nil, 1, ""},
		{"auto", rp.PushedAuto, nil, 1, ""},
		{"auto, endpoint missing", rp.PushedAuto, []optest.Fault{without}, 0, ""},
		{"auto, required by the OP", rp.PushedAuto, []optest.Fault{require}, 1, ""},
		{"auto, required by the OP, endpoint missing", rp.PushedAuto, []optest.Fault{require, without}, 0, "pushed"},
		{"required", rp.PushedRequired, nil, 1, ""},
		{"required, endpoint missing", rp.PushedRequired, []optest.Fault{without}, 0, "pushed"},
		{"off", rp.PushedOff, nil, 0, ""},
		{"off, required by the OP", rp.PushedOff, []optest.Fault{require}, 0, "pushed"},
		{"endpoint not https", rp.PushedAuto, []optest.Fault{optest.InsecureEndpoint("pushed_authorization_request_endpoint")}, 0, "must be https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, func(_ *optest.Config, c *rp.Config) { c.PushedRequests = tt.mode })
			f.op.Fault(tt.faults...)
			err := f.client.Load(t.Context())
			if tt.want != "" {
				if !errors.Is(err, rp.ErrUnavailable) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Load: %v, want ErrUnavailable and %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f.login()
			f.wantCount(optest.PushedEndpoint, tt.pushes)
		})
	}
}
