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
	"session/secret":       {},
	"session/problem":      {},
	"session":              {"session/secret"},
	"session/memstore":     {"session", "session/secret"},
	"session/redisstore":   {"session", "session/secret"},
	"session/sessiontest":  {"session", "session/secret"},
	"bff/rp":               {"session/secret"},
	"bff/optest":           {},
	"bff":                  {"bff/rp", "session", "session/secret", "session/problem"},
	"proxy":                {"session", "session/secret", "session/problem"},
	"cmd/internal/gateway": {"bff", "bff/rp", "proxy", "session", "session/memstore", "session/redisstore", "session/secret", "session/problem"},
}

// Who else may import optest and the tools of an operator.
var reserved = map[string][]string{
	"bff/optest":               {"cmd/internal/demo", "cmd/cloakroom"},
	"prometheus/client_golang": {"cmd/internal/gateway", "cmd/internal/demo", "cmd/cloakroom"},
	"go.opentelemetry.io":      {"cmd/internal/gateway", "cmd/internal/demo", "cmd/cloakroom"},
}

func TestImportArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Deps}} {{.}}{{end}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(fields[0], module)
		allowed, listed := arrows[name]
		if !listed && !strings.HasPrefix(name, "cmd/") {
			t.Errorf("%s is a new package; add it to the design and to this test", name)
		}
		for _, dep := range fields[1:] {
			if ours, ok := strings.CutPrefix(dep, module); ok && listed && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", name, ours)
			}
			for pattern, users := range reserved {
				if strings.Contains(dep, pattern) && !slices.Contains(users, name) {
					t.Errorf("%s imports %s", name, dep)
				}
			}
		}
	}
}
