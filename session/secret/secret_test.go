package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session/secret"
)

// TestStringNeverPrints is BFF-03 and CA-14 at the root: no formatter of the standard library shows the value.
func TestStringNeverPrints(t *testing.T) {
	const marker = "marker-5f2a"
	s := secret.New(marker)
	nested := struct {
		Token  secret.String
		Tokens []secret.String
		ByName map[string]secret.String
	}{s, []secret.String{s}, map[string]secret.String{"a": s}}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v", "%10.3s"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", nested)
	}
	fmt.Fprintln(&out, s, nested, fmt.Errorf("wrapped: %w", fmt.Errorf("%v", s)))
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("m", "s", s, "p", &s, "nested", nested)
	}
	if err := json.NewEncoder(&out).Encode(nested); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), marker) || strings.Contains(out.String(), fmt.Sprintf("%x", marker)) {
		t.Errorf("the secret was printed:\n%s", out.String())
	}
	if s.Reveal() != marker {
		t.Errorf("Reveal() = %q", s.Reveal())
	}
}

func TestStringEqualAndZero(t *testing.T) {
	if !secret.New("").IsZero() || secret.New("x").IsZero() {
		t.Error("IsZero")
	}
	if !secret.New("x").Equal(secret.New("x")) || secret.New("x").Equal(secret.New("y")) || secret.New("x").Equal(secret.String{}) {
		t.Error("Equal")
	}
}
