package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session/problem"
)

const (
	insufficient = `error="insufficient_user_authentication"`
	bearer       = `Bearer ` + insufficient
)

// EXT-06: which answers of an upstream are a demand for a step-up, and what they ask for.
func TestStepUp(t *testing.T) {
	type params = map[string]string
	for name, test := range map[string]struct {
		lines []string
		want  params // nil: no demand, the 401 passes
	}{
		"both":               {[]string{bearer + `, acr_values="mfa otp", max_age="300"`}, params{"acr_values": "mfa otp", "max_age": "300"}},
		"tokens":             {[]string{`Bearer error=insufficient_user_authentication, acr_values=mfa, max_age=0`}, params{"acr_values": "mfa", "max_age": "0"}},
		"odd case":           {[]string{`bEaReR Error=insufficient_user_authentication , ACR_Values = "mfa"`}, params{"acr_values": "mfa"}},
		"DPoP":               {[]string{`dpop ` + insufficient + `, max_age=60`}, params{"max_age": "60"}},
		"second of a line":   {[]string{`Basic realm="x", Negotiate abc==, Bearer realm="y", ` + insufficient + `, max_age=60`}, params{"max_age": "60"}},
		"second line":        {[]string{`Basic realm="x"`, bearer + `, max_age=60`}, params{"max_age": "60"}},
		"after a broken one": {[]string{`Bearer "`, bearer + `, max_age=60`}, params{"max_age": "60"}},
		"neither":            {[]string{bearer}, params{}},
		"spaces":             {[]string{bearer + `, acr_values="  a   b "`}, params{"acr_values": "a b"}},
		"empty acr_values":   {[]string{bearer + `, acr_values=" "`}, params{}},
		"at most":            {[]string{bearer + `, acr_values="` + strings.Repeat("x", 512) + `"`}, params{"acr_values": strings.Repeat("x", 512)}},

		"nothing":             {nil, nil},
		"another error":       {[]string{`Bearer error="invalid_token", acr_values="mfa"`}, nil},
		"error in other case": {[]string{`Bearer error="Insufficient_User_Authentication", acr_values="mfa"`}, nil},
		"another scheme":      {[]string{`Basic ` + insufficient + `, acr_values="mfa"`}, nil},
		"too long":            {[]string{bearer + `, acr_values="` + strings.Repeat("x", 513) + `"`}, nil},
		"not ASCII":           {[]string{bearer + `, acr_values="é"`}, nil},
		"a tab":               {[]string{bearer + ", acr_values=\"a\tb\""}, nil},
		"negative":            {[]string{bearer + `, max_age=-1`}, nil},
		"signed":              {[]string{bearer + `, max_age="+1"`}, nil},
		"fractional":          {[]string{bearer + `, max_age=1.5`}, nil},
		"huge":                {[]string{bearer + `, max_age=99999999999`}, nil},
		"empty max_age":       {[]string{bearer + `, max_age=""`}, nil},
		"twice":               {[]string{bearer + `, max_age=1, max_age=2`}, nil},
		"broken":              {[]string{bearer + `, acr_values="mfa`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Www-Authenticate"] = test.lines
				w.Header().Set("X-Up", "1")
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, "of the upstream")
			})
			g := newGateway(t, alice, &Route{Path: "/", Upstream: up, Token: TokenUser})
			res := g.get(t, "/")
			if test.want == nil {
				if got := body(t, res); res.StatusCode != http.StatusUnauthorized || got != "of the upstream" || res.Header["Www-Authenticate"] != nil {
					t.Errorf("status %d, %v: %s", res.StatusCode, res.Header, got)
				}
				return
			}
			p := g.wantProblem(t, res, problem.StepUpRequired)
			demand, ok := errors.AsType[*StepUp](p)
			if !ok {
				t.Fatalf("%v", p)
			}
			if diff := cmp.Diff(test.want, demand.Params); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if res.Header.Get("X-Up") != "" { // nothing of the upstream's answer goes out
				t.Errorf("%v", res.Header)
			}
		})
	}
}

// EXT-06, EXT-07: only an upstream that got the user's token can say that it is not good enough, and only with a 401.
func TestStepUpNeedsTheToken(t *testing.T) {
	status := http.StatusUnauthorized
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", bearer+", max_age=0")
		w.WriteHeader(status)
	})
	g := newGateway(t, nil,
		&Route{Path: "/public", Upstream: up, Token: TokenNone},
		&Route{Path: "/maybe", Upstream: up, Token: TokenUserOrNone},
		&Route{Path: "/api", Upstream: up, Token: TokenUser})
	pass := func(path string) {
		t.Helper()
		if res := g.get(t, path); res.StatusCode != status || len(g.problem) != 0 {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
	pass("/public")
	pass("/maybe")
	g.who = alice
	pass("/public")
	g.wantProblem(t, g.get(t, "/maybe"), problem.StepUpRequired)
	g.wantProblem(t, g.do(t, http.MethodPost, "/api", strings.NewReader("hello")), problem.StepUpRequired)
	status = http.StatusForbidden
	pass("/api")
}
