package proxy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// EXT-06: RFC 9110 §11.6.1, with everything in which implementations differ.
func TestParseChallenges(t *testing.T) {
	type params = map[string]string
	for value, want := range map[string][]challenge{
		"":                    nil,
		" , ,\t":              nil,
		"Bearer":              {{"Bearer", params{}}},
		"Bearer ,":            {{"Bearer", params{}}},
		"Bearer, DPoP":        {{"Bearer", params{}}, {"DPoP", params{}}},
		`Bearer realm="a b"`:  {{"Bearer", params{"realm": "a b"}}},
		"bEARER  REALM = x":   {{"bEARER", params{"realm": "x"}}},
		`Bearer a="1" , b=2,`: {{"Bearer", params{"a": "1", "b": "2"}}},
		`Bearer a="1,\"x\\y"`: {{"Bearer", params{"a": `1,"x\y`}}},
		`Bearer a=""`:         {{"Bearer", params{"a": ""}}},
		`Bearer,a=1`:          {{"Bearer", params{"a": "1"}}},
		"Negotiate YWJj==":    {{"Negotiate", nil}},
		"Negotiate abc, Bearer a=1, Basic": {
			{"Negotiate", nil}, {"Bearer", params{"a": "1"}}, {"Basic", params{}},
		},
		`Bearer a=1, DPoP algs="ES256 RS256", b=2`: {
			{"Bearer", params{"a": "1"}}, {"DPoP", params{"algs": "ES256 RS256", "b": "2"}},
		},
	} {
		got, ok := parseChallenges(value)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(challenge{})); !ok || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", value, ok, diff)
		}
	}
	for _, value := range []string{
		`a=1`, `a=1, Bearer`, `Bearer a=1 b=2`, `Bearer a="1`, `Bearer a="1\`, `Bearer a=1, A=2`, `Bearer a="1"b`, `"Bearer"`,
		"Bearer a=\"\x01\"", "Bearer a=\"\\\x7f\"", `Bearer a=@`, `Negotiate abc, b=2`, `Bearer =`, `Bearer a=b=c`, `Bearer "x"`,
	} {
		if got, ok := parseChallenges(value); ok {
			t.Errorf("%q was read as %+v", value, got)
		}
	}
}

// What is read means the same when it is written in its plainest form.
func FuzzChallenges(f *testing.F) {
	for _, seed := range []string{
		`Bearer error="insufficient_user_authentication", acr_values="mfa otp", max_age=300`, "Negotiate abc==, DPoP", `a="\""`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		list, ok := parseChallenges(value)
		if !ok {
			return
		}
		var plain strings.Builder
		for _, c := range list {
			if !isToken(c.scheme) {
				t.Fatalf("%q: scheme %q", value, c.scheme)
			}
			plain.WriteString(c.scheme)
			if c.params == nil {
				plain.WriteString(" x")
			}
			separator := " "
			for name, text := range c.params {
				quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
				plain.WriteString(separator + name + `="` + quoted + `"`)
				separator = ", "
			}
			plain.WriteString(", ")
		}
		again, ok := parseChallenges(plain.String())
		if diff := cmp.Diff(list, again, cmp.AllowUnexported(challenge{})); !ok || diff != "" {
			t.Errorf("%q means %q: %v\n%s", value, plain.String(), ok, diff)
		}
		for _, c := range list {
			demand := c.stepUp()
			if demand == nil {
				continue
			}
			invisible := func(r rune) bool { return r < ' ' || r > '~' }
			if acr := demand.Params["acr_values"]; len(acr) > maxACRValues || acr != strings.TrimSpace(acr) || strings.ContainsFunc(acr, invisible) {
				t.Errorf("%q: acr_values %q", value, acr)
			}
			if age := demand.Params["max_age"]; strings.Trim(age, "0123456789") != "" || len(age) > 10 {
				t.Errorf("%q: max_age %q", value, age)
			}
		}
	})
}
