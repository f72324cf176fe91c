package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// SES-14: no line of the log does anything to a terminal, and none says anything else than before.
func TestEscapedJSON(t *testing.T) {
	var b bytes.Buffer
	log := NewLogger(&b)
	for _, value := range []string{
		"plain", "Zoë 你好 👍", "\r\n\t\x00\x1b[2J", "\x7f\u0080\u009b\u2028\u202e\ufeff", "\U000e0041", "\\u0041", `"}`,
	} {
		b.Reset()
		log.Info(value, "key", value)
		line := strings.TrimSuffix(b.String(), "\n")
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is logged as %q", value, line)
		}
		var entry map[string]string
		decode(t, line, &entry)
		if entry["key"] != value || entry["msg"] != value {
			t.Errorf("%q reads %q", value, entry["key"])
		}
	}
}

func FuzzEscapeJSON(f *testing.F) {
	f.Add("\u009b\U000e0041é\x7f\xff")
	f.Fuzz(func(t *testing.T, value string) {
		line, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if err := json.Unmarshal(line, &before); err != nil {
			t.Fatal(err)
		}
		escaped := escapeJSON(line)
		if err := json.Unmarshal(escaped, &after); err != nil || before != after {
			t.Errorf("%q became %q: %v", before, after, err)
		}
		if bytes.ContainsFunc(escaped, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", escaped)
		}
	})
}
