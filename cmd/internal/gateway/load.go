package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// maxFile bounds the configuration file and each file that holds a secret, in bytes.
const maxFile = 1 << 20

// Outside is everything that a configuration file may point to and that loading looks at. Nothing else is touched.
type Outside struct {
	Env        func(name string) (string, bool)
	ReadFile   func(name string) ([]byte, error) // of a *_file key that holds a secret
	OpenFolder func(name string) (fs.FS, error)  // of a static route
}

// System is the [Outside] of a real process. Relative names start at the working directory.
var System = Outside{Env: os.LookupEnv, ReadFile: readFile, OpenFolder: openFolder}

// Load reads and validates a configuration file. The error is of type [Errors]: everything that is wrong, at once.
func Load(file string) (*Config, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, Errors{{File: file, Problem: "cannot be read: " + reason(err)}}
	}
	return Parse(file, data, System)
}

// Parse is [Load] for a file already read. The name is for messages only.
func Parse(name string, data []byte, outside Outside) (*Config, error) {
	report := newReport(name)
	var config Config
	if top := parseYAML(data, report, outside); top != nil {
		config.decode(top)
		config.validate(report)
	}
	if err := report.err(); err != nil {
		return nil, err
	}
	return &config, nil
}

// Validate checks a configuration that a program has filled in. It touches nothing, and fills in no default. The
// error is of type [Errors].
func (c *Config) Validate() error {
	report := newReport("")
	c.validate(report)
	return report.err()
}

// Error is one thing wrong in a configuration.
type Error struct {
	File    string // "" when there is no file
	Line    int    // from 1; 0 when it is not known
	Key     string // providers[0].client_id; "" for the file as a whole
	Problem string // what is wrong and what to write instead, on one line
}

// Error is FILE:LINE: key.path: what is wrong and what to write instead.
func (e Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem)
	return b.String()
}

// Errors is everything wrong in a configuration, in the order of the file.
type Errors []Error

// Error puts each error on a line of its own.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// report collects what is wrong and knows where each key stands in the file.
type report struct {
	file   string
	lines  map[string]int // key path to line
	failed map[string]bool
	errors Errors
}

func newReport(file string) *report {
	return &report{file: file, lines: map[string]int{}, failed: map[string]bool{}}
}

// fail records an error about a key. The first error about a key or the block around it is the cause; later ones are
// its consequences and are dropped. A key that is missing is reported where its block begins.
func (r *report) fail(key, format string, args ...any) {
	for around := key; around != ""; around = parent(around) {
		if r.failed[around] {
			return
		}
	}
	r.failed[key] = true
	r.failAt(r.line(key), key, format, args...)
}

// failAt records an error whatever else is wrong with the key.
func (r *report) failAt(line int, key, format string, args ...any) {
	r.errors = append(r.errors, Error{File: r.file, Line: line, Key: key, Problem: fmt.Sprintf(format, args...)})
}

// silence drops every later error about a key, because its cause is reported under another key.
func (r *report) silence(key string) { r.failed[key] = true }

func (r *report) line(key string) int {
	for ; key != ""; key = parent(key) {
		if line, ok := r.lines[key]; ok {
			return line
		}
	}
	return r.lines[""]
}

// parent is the key path of the block or list that a key stands in, "" at the top.
func parent(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

// oneOf refuses a value that is not built. The values of contract.md that come later are told apart from mistakes.
func (r *report) oneOf(key, value string, built []string, later ...string) {
	switch {
	case slices.Contains(built, value):
	case slices.Contains(later, value):
		r.fail(key, "%s is not built yet; write %s", value, choice(built))
	default:
		r.fail(key, "must be %s, not %q", choice(built), value)
	}
}

// failUnlessEmpty refuses any value of a key that has no place beside the others.
func (r *report) failUnlessEmpty(key, value, problem string) {
	if value != "" {
		r.fail(key, "%s", problem)
	}
}

// choice is "a", "a or b", "a, b or c".
func choice(values []string) string {
	last := len(values) - 1
	if last == 0 {
		return values[0]
	}
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// err returns the errors in the order of the file, or nil.
func (r *report) err() error {
	if len(r.errors) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errors, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) })
	return r.errors
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	return data, nil
}

// openFolder confines a static route to its folder: no path and no symbolic link leads out of it.
func openFolder(name string) (fs.FS, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return root.FS(), nil
}

// reason is the text of a file error without the file's name, which the message has already.
func reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}
