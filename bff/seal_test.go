package bff

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

func TestSealerRefuses(t *testing.T) {
	s := sealer{session.NewKeyRing()}
	now := time.Now()
	sealed, err := s.seal("a", "the value", now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sealed, "value") {
		t.Errorf("the value is readable: %s", sealed)
	}
	tampered := []byte(sealed)
	tampered[len(tampered)/2] ^= 1
	for name, test := range map[string]struct {
		sealer       sealer
		name, sealed string
		now          time.Time
		ok           bool
	}{
		"as sealed":             {s, "a", sealed, now, true},
		"under another name":    {s, "b", sealed, now, false},
		"tampered with":         {s, "a", string(tampered), now, false}, // FLOW-07
		"a second before":       {s, "a", sealed, now.Add(59 * time.Second), true},
		"a minute later":        {s, "a", sealed, now.Add(time.Minute), false}, // FLOW-42, SCK-01
		"by another gateway":    {sealer{session.NewKeyRing()}, "a", sealed, now, false},
		"nothing":               {s, "a", "", now, false},
		"longer than any of us": {s, "a", strings.Repeat("A", 8192), now, false},
	} {
		var got string
		err := test.sealer.open(test.name, test.sealed, &got, test.now)
		if ok := err == nil && got == "the value"; ok != test.ok {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// CK-17: what one replica sealed before a key came to the front of the ring, another opens after it.
func TestSealerRotates(t *testing.T) {
	now := time.Now()
	older, newer := session.GenerateKey(now.Add(-time.Hour)), session.GenerateKey(now)
	ring := func(lines ...string) sealer {
		r, err := session.ParseKeyRing([]byte(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		return sealer{r}
	}
	sealed, err := ring(older).seal("a", 1, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if err := ring(newer, older).open("a", sealed, &got, now); err != nil {
		t.Errorf("with both keys: %v", err)
	}
	if err := ring(newer).open("a", sealed, &got, now); err == nil {
		t.Error("a removed key still opens")
	}
}

// CK-17: a sealer follows the ring whose file changes under it.
func TestSealerFollowsTheRing(t *testing.T) {
	now := time.Now()
	file := filepath.Join(t.TempDir(), "keys")
	put := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	older, newer := session.GenerateKey(now.Add(-time.Hour)), session.GenerateKey(now)
	put(older)
	ring, err := session.OpenKeyRing(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := sealer{ring}
	before, err := s.seal("a", 1, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	put(newer, older)
	ring.Reload()
	after, err := s.seal("a", 1, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if err := s.open("a", before, &got, now); err != nil {
		t.Errorf("sealed before the new key: %v", err)
	}
	put(newer)
	ring.Reload()
	if err := s.open("a", after, &got, now); err != nil {
		t.Errorf("sealed after the new key came to the front: %v", err)
	}
	if err := s.open("a", before, &got, now); err == nil {
		t.Error("a removed key still opens")
	}
}

func TestSealerBoundsCookies(t *testing.T) {
	s := sealer{session.NewKeyRing()}
	if _, err := s.seal("a", strings.Repeat("x", 4096), time.Now()); err == nil {
		t.Error("a value that no cookie can hold was sealed (CK-05)")
	}
}
