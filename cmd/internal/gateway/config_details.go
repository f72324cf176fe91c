package gateway

import (
	"bytes"
	"encoding/json"
)

// details reads a list of blocks as the JSON array that it would be, with ${ENV_VAR} filled in; nil when it is absent
// or empty.
func (b *block) details(key string) json.RawMessage {
	value := b.take(key)
	list, ok := value.([]node)
	if !ok && value != nil {
		b.fail(b.at(key), "must be a list of blocks, each beginning with a dash, not %s", describe(value))
	}
	if len(list) == 0 {
		return nil
	}
	var out bytes.Buffer
	b.writeJSON(&out, b.at(key), list)
	return out.Bytes()
}

// writeJSON writes a node as JSON. What it cannot write it reports, and writes null for it.
func (b *block) writeJSON(out *bytes.Buffer, path string, value node) {
	switch value := value.(type) {
	case string:
		text, _ := b.textOf(path, value)
		writeJSONString(out, text)
	case literal:
		if !json.Valid([]byte(value)) { // YAML has more ways to write a number than JSON: 0x10, 1_000, .inf
			b.fail(path, "must be true, false or a number in plain digits; write it so, or in quotes if it is text")
			value = "null"
		}
		out.WriteString(string(value))
	case []node:
		out.WriteByte('[')
		for i, element := range value {
			if i > 0 {
				out.WriteByte(',')
			}
			b.writeJSON(out, item(path, i), element)
		}
		out.WriteByte(']')
	case []pair:
		out.WriteByte('{')
		for i, p := range value {
			if i > 0 {
				out.WriteByte(',')
			}
			writeJSONString(out, p.key)
			out.WriteByte(':')
			b.writeJSON(out, join(path, p.key), p.value)
		}
		out.WriteByte('}')
	default: // reported when the file was parsed
		out.WriteString("null")
	}
}

func writeJSONString(out *bytes.Buffer, text string) {
	data, _ := json.Marshal(text) // a string always can be
	out.Write(data)
}

// validateDetails wants an array of objects, each with a type (RFC 9396 §2).
func validateDetails(r *report, key string, details json.RawMessage) {
	if details == nil {
		return
	}
	var list []json.RawMessage
	if json.Unmarshal(details, &list) != nil || len(list) == 0 {
		r.fail(key, "must be a list of blocks, each beginning with a dash")
	}
	for i, element := range list {
		var fields map[string]json.RawMessage
		var kind string
		switch {
		case json.Unmarshal(element, &fields) != nil || fields == nil:
			r.fail(item(key, i), "must be a block of keys with a type; write for example {type: payment_initiation}")
		case json.Unmarshal(fields["type"], &kind) != nil || kind == "":
			r.fail(item(key, i)+".type", "is missing; write the type of authorization that the OP defines, such as payment_initiation")
		}
	}
}
