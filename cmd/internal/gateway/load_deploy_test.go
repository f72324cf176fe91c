package gateway

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// deployOutside stands for the machine that the files under deploy/ are for.
var deployOutside = Outside{
	Env:        func(name string) (string, bool) { return "x", name == "CLIENT_SECRET" },
	ReadFile:   func(string) ([]byte, error) { return []byte("x\n"), nil },
	OpenFolder: func(string) (fs.FS, error) { return openFolder("testdata/dist") },
}

const exampleFile = "../../../deploy/cloakroom.example.yaml"

func TestExampleIsValid(t *testing.T) {
	if _, err := Parse("cloakroom.example.yaml", read(t, exampleFile), deployOutside); err != nil {
		t.Error(err)
	}
}

// TestExampleHasEveryKey asks each block which keys it knows, by way of its message about one that it does not.
func TestExampleHasEveryKey(t *testing.T) {
	const nonsense = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
	_, err := Parse("nonsense.yaml", []byte(strings.ReplaceAll(`
?: 1
tls: {?: 1}
admin: {?: 1}
providers: [{?: 1}]
session: {?: 1, redis: {?: 1}}
logout: {?: 1}
login: {?: 1}
routes: [{?: 1}]
`, "?", nonsense)), deployOutside)

	example := newReport("")
	parseYAML(read(t, exampleFile), example, deployOutside)
	index := regexp.MustCompile(`\[\d+\]`)
	var present []string
	for path := range example.lines {
		present = append(present, index.ReplaceAllString(path, ""))
	}
	blocks := 0
	for _, one := range err.(Errors) {
		block, ok := strings.CutSuffix(one.Key, nonsense)
		if !ok {
			continue
		}
		blocks++
		_, list, _ := strings.Cut(one.Problem, "write one of ")
		for key := range strings.SplitSeq(list, ", ") {
			path := index.ReplaceAllString(block, "") + key
			if !slices.Contains(present, path) {
				t.Errorf("%s is not in the example", path)
			}
		}
	}
	if blocks != 9 {
		t.Errorf("%d blocks answered, want 9", blocks)
	}
}

func TestKubernetesConfigIsValid(t *testing.T) {
	for document := range strings.SplitSeq(string(read(t, "../../../deploy/kubernetes.yaml")), "\n---\n") {
		var object struct {
			Kind string            `yaml:"kind"`
			Data map[string]string `yaml:"data"`
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind != "ConfigMap" {
			continue
		}
		if _, err := Parse("cloakroom.yaml", []byte(object.Data["cloakroom.yaml"]), deployOutside); err != nil {
			t.Error(err)
		}
		return
	}
	t.Error("there is no ConfigMap")
}

// TestExampleApplications: each has the configuration that its visitors need, with the values of the file env.
func TestExampleApplications(t *testing.T) {
	values := map[string]string{}
	for field := range strings.FieldsSeq(string(read(t, "../../../deploy/examples/env"))) {
		if name, value, ok := strings.Cut(field, "="); ok {
			values[name] = value
		}
	}
	outside := deployOutside
	outside.Env = func(name string) (string, bool) { value, ok := values[name]; return value, ok }
	files := glob(t, "../../../deploy/examples/*/cloakroom.yaml")
	if len(files) < 2 {
		t.Errorf("only %q", files)
	}
	for _, file := range files {
		if _, err := Parse(file, read(t, file), outside); err != nil {
			t.Error(err)
		}
	}
}

// The README's configuration is what a new user copies.
func TestReadmeIsValid(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```yaml\n")
	example, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("there is no yaml in the README")
	}
	if _, err := Parse("README.md", []byte(example), deployOutside); err != nil {
		t.Error(err)
	}
}
