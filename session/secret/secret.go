// Package secret holds strings that refuse to print.
//
// A token, a ticket, a code verifier or a client secret is a [String] from the moment it enters the program. Every
// way Go has of turning a value into text (fmt verbs, slog, encoding/json, encoding.TextMarshaler) gives
// "[REDACTED]"; the one way to the value is [String.Reveal], which is easy to search for. The value is behind a
// pointer, so that reflection-based printers of an enclosing struct find an address and not the text.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[REDACTED]"

// String is a secret text. The zero value is the empty secret.
type String struct{ v *string }

// New makes a secret of s.
func New(s string) String {
	if s == "" {
		return String{}
	}
	return String{&s}
}

// Reveal returns the text. Call it where the secret leaves the program for the party it is meant for, nowhere else.
func (s String) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.v == nil }

// Equal compares in time that does not depend on where the two differ.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Format implements [fmt.Formatter] for every verb, %#v included.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements [fmt.Stringer].
func (s String) String() string { return redacted }

// LogValue implements [slog.LogValuer].
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and with it JSON and YAML output.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
