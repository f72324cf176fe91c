package gateway

import (
	"fmt"
	"strings"
)

// expand fills in ${ENV_VAR}. $${ stands for a literal ${; any other $ stands for itself. The problem is for the
// reader of the file and never holds a value.
func expand(text string, env func(string) (string, bool)) (expanded, problem string) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), ""
		}
		if literal, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(literal + "${")
			text = after
			continue
		}
		b.WriteString(before)
		name, rest, closed := strings.Cut(after, "}")
		if !closed || !isEnvName(name) {
			return "", "holds ${ without a variable's name and a closing }; write ${NAME}, or $${ for the two characters"
		}
		value, set := env(name)
		if !set {
			return "", fmt.Sprintf("needs the environment variable %s, which is not set; set it", name)
		}
		b.WriteString(value)
		text = rest
	}
}

// isShellVariable reports whether a whole value looks like $NAME, which nothing expands here.
func isShellVariable(text string) bool {
	name, dollar := strings.CutPrefix(text, "$")
	return dollar && isEnvName(name) && name == strings.ToUpper(name)
}

func isEnvName(name string) bool {
	if name == "" || '0' <= name[0] && name[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool { return c != '_' && !isAlphanumeric(c) })
}
