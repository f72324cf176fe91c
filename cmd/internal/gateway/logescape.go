package gateway

import (
	"fmt"
	"io"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// escapedJSON writes lines of JSON so that a terminal shows them and does nothing else (SES-14). JSON escapes only part
// of what cannot be printed: DEL, the C1 control characters and the marks that turn the direction of text may stand in
// its strings as they are.
type escapedJSON struct{ io.Writer }

// Write implements [io.Writer] for whole lines.
func (e escapedJSON) Write(line []byte) (int, error) {
	if _, err := e.Writer.Write(escapeJSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// escapeJSON returns line itself where there is nothing to escape, as is the rule.
func escapeJSON(line []byte) []byte {
	if !slices.ContainsFunc(line, func(c byte) bool { return c >= 0x7f }) {
		return line
	}
	escaped := make([]byte, 0, len(line)+16)
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			escaped = append(escaped, line[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
		line = line[size:]
	}
	return escaped
}
