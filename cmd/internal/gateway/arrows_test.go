package gateway

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cloakroom/cloakroom/"

// The import arrows of the design. Each package may import these of ours, directly or not, and no others.
var arrows = map[string][]string{
	"session/secret":      {},
	"session/problem":     {},
	"session":             {"session/secret"},
	"session/memstore":    {"session", "session/secret"},
	"session/redisstore":  {"session", "session/secret"},
	"session/sessiontest": {"session", "session/secret"},
	"bff/rp":              {"session/secret"},
	"bff/optest":          {},
	"bff":                 {"bff/rp", "session", "session/secret", "session/problem"},
	"proxy":               {"session", "session/secret", "session/problem"},
	"cmd/internal/gateway": {
		"bff", "bff/rp", "proxy",
		"session", "session/memstore", "session/redisstore", "session/secret", "session/problem",
	},
}

// Who alone imports optest and the tools of an operator.
var reserved = map[string]string{
	"bff/optest":               "cmd/internal/demo",
	"prometheus/client_golang": "cmd/internal/gateway",
	"go.opentelemetry.io":      "cmd/internal/gateway",
}

func TestImportArrows(t *testing.T) {
	const format = `{{.ImportPath}},{{join .Imports " "}},{{join .Deps " "}}`
	out, err := exec.Command("go", "list", "-f", format, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(line, ",")
		name := strings.TrimPrefix(fields[0], module)
		allowed, listed := arrows[name]
		if !listed && !strings.HasPrefix(name, "cmd/") {
			t.Errorf("%s is a new package; add it to the design and to this test", name)
		}
		for pattern, user := range reserved {
			if name != user && strings.Contains(fields[1], pattern) {
				t.Errorf("%s imports %s", name, pattern)
			}
		}
		for dep := range strings.FieldsSeq(fields[2]) {
			if ours, ok := strings.CutPrefix(dep, module); ok && listed && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", name, ours)
			}
		}
	}
}
