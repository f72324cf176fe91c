package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// block is a mapping of the file while it is decoded. Each reader takes the value of one key, or the default where the
// key is absent or wrong, and remembers that the key exists; end reports the keys that no reader asked for.
type block struct {
	*report
	outside Outside
	path    string // of the block, "" at the top
	pairs   []pair
	known   []string
}

func (b *block) at(key string) string { return join(b.path, key) }

// take returns the value of a key, nil when it is absent.
func (b *block) take(key string) node {
	b.known = append(b.known, key)
	for _, p := range b.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// end reports the keys that do not exist.
func (b *block) end() {
	for _, p := range b.pairs {
		if !slices.Contains(b.known, p.key) {
			b.fail(b.at(p.key), "%s", unknownKey(p.key, b.known))
		}
	}
}

// text reads a string.
func (b *block) text(key, otherwise string) string {
	if value := b.take(key); value != nil {
		if text, ok := b.textOf(b.at(key), value); ok {
			return text
		}
	}
	return otherwise
}

// textOf reads a node as a string, with ${ENV_VAR} filled in.
func (b *block) textOf(path string, value node) (string, bool) {
	switch value := value.(type) {
	case string:
		text, problem := expand(value, b.outside.Env)
		if problem == "" {
			return text, true
		}
		b.fail(path, "%s", problem)
	case literal:
		b.fail(path, "must be text; write it in quotes")
	default:
		b.fail(path, "must be text, not %s", describe(value))
	}
	return "", false
}

// scalar reads and parses a literal. An environment variable may hold one too, and a duration is text to YAML.
func scalar[T any](b *block, key string, otherwise T, parse func(string) (T, error), must string) T {
	var text string
	switch value := b.take(key).(type) {
	case nil:
		return otherwise
	case literal:
		text = string(value)
	case string:
		var ok bool
		if text, ok = b.textOf(b.at(key), value); !ok {
			return otherwise
		}
	}
	parsed, err := parse(text)
	if err != nil {
		b.fail(b.at(key), "%s", must)
		return otherwise
	}
	return parsed
}

// flag reads true or false.
func (b *block) flag(key string, otherwise bool) bool {
	return scalar(b, key, otherwise, func(text string) (bool, error) {
		if text != "true" && text != "false" {
			return false, strconv.ErrSyntax
		}
		return text == "true", nil
	}, "must be true or false")
}

// onOff reads on or off.
func (b *block) onOff(key string, otherwise bool) bool {
	return scalar(b, key, otherwise, func(text string) (bool, error) {
		if text != "on" && text != "off" {
			return false, strconv.ErrSyntax
		}
		return text == "on", nil
	}, "must be on or off")
}

// number reads a whole number.
func (b *block) number(key string, otherwise int64) int64 {
	return scalar(b, key, otherwise, func(text string) (int64, error) {
		return strconv.ParseInt(text, 10, 64)
	}, "must be a whole number in plain digits, such as 10485760")
}

// duration reads a Go duration.
func (b *block) duration(key string, otherwise time.Duration) time.Duration {
	return scalar(b, key, otherwise, time.ParseDuration, "must be a duration with its unit; write for example 30s, 5m or 12h")
}

// link reads a URL. The message does not repeat the text, which may hold a password.
func (b *block) link(key, example string) *url.URL {
	text := b.text(key, "")
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		b.fail(b.at(key), "is not a URL; write for example %s", example)
		return nil
	}
	return u
}

// list reads a sequence of strings.
func (b *block) list(key string, otherwise ...string) []string {
	value := b.take(key)
	if value == nil {
		return otherwise
	}
	values, ok := value.([]node)
	if !ok {
		b.fail(b.at(key), "must be a list, not %s; write [one, two]", describe(value))
		return otherwise
	}
	list := make([]string, len(values))
	for i, value := range values {
		if value != nil {
			list[i], _ = b.textOf(item(b.at(key), i), value)
		}
	}
	return list
}

// table reads a mapping of strings whose keys are for the file to choose.
func (b *block) table(key string) map[string]string {
	inner := b.block(key)
	table := make(map[string]string, len(inner.pairs))
	for _, p := range inner.pairs {
		table[p.key], _ = b.textOf(inner.at(p.key), p.value)
	}
	return table
}

// block reads a mapping; an absent one is empty.
func (b *block) block(key string) *block { return b.blockOf(b.at(key), b.take(key)) }

func (b *block) blockOf(path string, value node) *block {
	pairs, ok := value.([]pair)
	if !ok && value != nil {
		b.fail(path, "must be a block of keys, not %s", describe(value))
	}
	return &block{report: b.report, outside: b.outside, path: path, pairs: pairs}
}

// blocks reads a sequence of mappings.
func (b *block) blocks(key string) []*block {
	value := b.take(key)
	values, ok := value.([]node)
	if !ok && value != nil {
		b.fail(b.at(key), "must be a list of blocks, each beginning with a dash, not %s", describe(value))
	}
	blocks := make([]*block, len(values))
	for i, value := range values {
		blocks[i] = b.blockOf(item(b.at(key), i), value)
	}
	return blocks
}

// secret reads a secret from a key, or from the file that its twin named *_file names, without a last newline.
func (b *block) secret(key string) secret.String {
	fileKey := key + "_file"
	text, file := b.text(key, ""), b.text(fileKey, "")
	switch {
	case b.failed[b.at(fileKey)]:
		b.silence(b.at(key))
	case text != "" && file != "":
		b.fail(b.at(fileKey), "contradicts %s; keep one of the two", key)
	case file != "":
		return b.secretFile(key, file)
	case isShellVariable(text):
		b.fail(b.at(key), "is read to the letter; write ${%s}, or name a file with the secret in %s", text[1:], fileKey)
	}
	return secret.New(text)
}

// item is the path of an element of a list.
func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func (b *block) secretFile(key, file string) secret.String {
	data, err := b.outside.ReadFile(file)
	if err != nil {
		b.fail(b.at(key+"_file"), "cannot be read: %s; name a file that this process may read", reason(err))
		b.silence(b.at(key))
		return secret.String{}
	}
	text := trimNewline(data)
	if text == "" {
		b.fail(b.at(key+"_file"), "is an empty file; write the secret into it")
		b.silence(b.at(key))
	}
	return secret.New(text)
}

// trimNewline is what a file of one line holds.
func trimNewline(data []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
}
