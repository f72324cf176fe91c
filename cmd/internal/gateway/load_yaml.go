package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is a YAML value reduced to what a configuration needs: a string, a literal, a []node or a []pair.
type node any

// literal is a number or a boolean, as written.
type literal string

// pair is one key of a mapping with its value.
type pair struct {
	key   string
	value node
}

// parseYAML reads a file into its top block and records the line of every key. It works on the syntax tree because
// goccy's decoder stops at the first mistake. The result is nil when the file has no keys that could be read.
func parseYAML(data []byte, report *report, outside Outside) *block {
	report.lines[""] = 1
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors begin a file with it, YAML 1.2 §5.2 ignores it
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		reportSyntax(report, data, err)
		return nil
	}
	top := &block{report: report, outside: outside}
	documents := 0
	for _, document := range file.Docs {
		if document.Body == nil {
			continue
		}
		if documents++; documents > 1 {
			report.failAt(lineOf(document.Body), "", "a second YAML document begins here; keep one")
			return nil
		}
		pairs, ok := reduce(report, "", document.Body).([]pair)
		if !ok {
			report.failAt(lineOf(document.Body), "", "must begin with a key, such as public_url: https://app.example.com")
			return nil
		}
		top.pairs = pairs
	}
	return top
}

// reportSyntax takes the message of goccy's error without its excerpt of the file, which may show a secret.
func reportSyntax(report *report, data []byte, err error) {
	line, message := 1, "unknown error"
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		message = syntax.Message
		if syntax.Token != nil {
			line = syntax.Token.Position.Line
		}
	}
	hint := ""
	lines := strings.Split(string(data), "\n")
	if line <= len(lines) {
		switch text := lines[line-1]; {
		case strings.Contains(text, "${") && strings.ContainsAny(text, "[{"):
			hint = `; inside [ ] and { } write "${NAME}" in quotes`
		case strings.Contains(text, "memory:"):
			hint = `; write "memory:" in quotes`
		}
	}
	report.failAt(line, "", "is not valid YAML: %s%s", message, hint)
}

// reduce turns a syntax tree into a node. It returns nil for what it has reported.
func reduce(report *report, path string, tree ast.Node) node {
	if _, known := report.lines[path]; !known {
		report.lines[path] = lineOf(tree)
	}
	switch tree := tree.(type) {
	case *ast.StringNode:
		return tree.Value
	case *ast.LiteralNode:
		return tree.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return literal(tree.GetToken().Value)
	case *ast.SequenceNode:
		list := make([]node, 0, len(tree.Values))
		for i, value := range tree.Values {
			list = append(list, reduce(report, fmt.Sprintf("%s[%d]", path, i), value))
		}
		return list
	case *ast.MappingNode:
		return reduceMapping(report, path, tree)
	case *ast.NullNode:
		report.fail(path, "has no value; give it one or remove the key")
	default:
		report.fail(path, "uses an anchor, an alias or a tag, which are not read here; write the value itself")
	}
	return nil
}

func reduceMapping(report *report, path string, tree *ast.MappingNode) node {
	pairs := make([]pair, 0, len(tree.Values))
	first := map[string]int{}
	for _, p := range tree.Values {
		name, ok := p.Key.(*ast.StringNode)
		if !ok {
			report.failAt(lineOf(p.Key), path, "%q cannot be a key; write it in quotes", p.Key.String())
			continue
		}
		key, line := name.Value, lineOf(name)
		full := join(path, key)
		if earlier, twice := first[key]; twice {
			report.failAt(line, full, "is given twice, first in line %d; keep one", earlier)
			continue
		}
		first[key] = line
		report.lines[full] = line
		if value := reduce(report, full, p.Value); value != nil {
			pairs = append(pairs, pair{key, value})
		}
	}
	return pairs
}

// join is the path of a key in a block. A key that is no plain word is quoted, so that a message stays on one line.
func join(path, key string) string {
	if strings.ContainsFunc(key, func(c rune) bool { return c != '-' && c != '_' && !isAlphanumeric(c) }) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func isAlphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func lineOf(tree ast.Node) int {
	var t *token.Token = tree.GetToken()
	if t == nil || t.Position == nil {
		return 1
	}
	return t.Position.Line
}

// describe names the kind of a node for a message.
func describe(value node) string {
	switch value.(type) {
	case string:
		return "text"
	case literal:
		return "a number or true/false"
	case []node:
		return "a list"
	default:
		return "a block of keys"
	}
}
