package gateway

import "testing"

func TestExpand(t *testing.T) {
	env := func(name string) (string, bool) {
		value, set := map[string]string{"A": "one", "B_2": "$${A}", "EMPTY": ""}[name]
		return value, set
	}
	const malformed = "holds ${ without a variable's name and a closing }; write ${NAME}, or $${ for the two characters"
	for _, test := range []struct{ text, want, problem string }{
		{"", "", ""},
		{"plain", "plain", ""},
		{"${A}", "one", ""},
		{"x${A}y${A}z", "xoneyonez", ""},
		{"${B_2}", "$${A}", ""}, // values are not expanded again
		{"${EMPTY}", "", ""},
		{"$A $", "$A $", ""},
		{"$${A}", "${A}", ""},
		{"$$${A}", "$${A}", ""},
		{"$$", "$$", ""},
		{"${NONE}", "", "needs the environment variable NONE, which is not set; set it"},
		{"${A", "", malformed},
		{"${}", "", malformed},
		{"${A-x}", "", malformed},
		{"${1}", "", malformed},
		{"${ A }", "", malformed},
	} {
		got, problem := expand(test.text, env)
		if got != test.want || problem != test.problem {
			t.Errorf("expand(%q) = %q, %q; want %q, %q", test.text, got, problem, test.want, test.problem)
		}
	}
}
