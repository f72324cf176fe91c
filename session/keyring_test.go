package session_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

const (
	oneKey     = "20261122T053000Z-3f9a1c AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	anotherKey = "20250101T000000Z-aaaaaa ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
)

func TestParseKeyRing(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"one", oneKey, ""},
		{"comments, blank lines, CRLF, padding", "# newest first\r\n\r\n" + oneKey + "=\r\n\t" + anotherKey + "  \n", ""},
		{"empty", "", "there is no key; `cloakroom keygen session` prints one"},
		{"only comments", "# soon\n", "there is no key; `cloakroom keygen session` prints one"},
		{
			"no id", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
			"line 1: want a key id, a space and a key, as `cloakroom keygen session` prints them",
		},
		{
			"three fields", "\n" + oneKey + " # new",
			"line 2: want a key id, a space and a key, as `cloakroom keygen session` prints them",
		},
		{
			"swapped", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 20261122T053000Z-3f9a1c",
			"line 1: want a key id like 20261122T053000Z-3f9a1c first",
		},
		{
			"no such day", strings.Replace(oneKey, "20261122", "20261131", 1),
			"line 1: the key id does not begin with a valid time",
		},
		{"not base64url", oneKey[:len(oneKey)-1] + "!", "line 1: the key is not base64url"},
		{"short", oneKey[:len(oneKey)-3], "line 1: the key has 30 bytes, want 32"},
		{"long", oneKey[:len(oneKey)-3] + "AAAAAA", "line 1: the key has 34 bytes, want 32"},
		{"id twice", oneKey + "\n" + oneKey[:24] + anotherKey[24:], "line 2: the key id is that of line 1"},
		{"key twice", oneKey + "\n\n" + anotherKey[:24] + oneKey[24:], "line 3: the key is that of line 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := session.ParseKeyRing([]byte(test.text))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
		})
	}
}

func TestGenerateKey(t *testing.T) {
	now := time.Date(2026, 11, 22, 5, 30, 0, 0, time.FixedZone("", 3600))
	line := session.GenerateKey(now)
	if !strings.HasPrefix(line, "20261122T043000Z-") || strings.ContainsAny(line, "\r\n") {
		t.Errorf("%d characters: %.17s", len(line), line)
	}
	if _, err := session.ParseKeyRing([]byte(line)); err != nil {
		t.Error(err)
	}
	if session.GenerateKey(now) == line {
		t.Error("twice the same key")
	}
}

func TestDerive(t *testing.T) {
	ring, err := session.ParseKeyRing([]byte(oneKey + "\n" + anotherKey))
	must(t, err)
	keys := ring.Derive("flow", 64)
	if len(keys) != 2 || len(keys[0]) != 64 || bytes.Equal(keys[0], keys[1]) {
		t.Fatalf("%d keys", len(keys))
	}
	if bytes.Equal(ring.Derive("other", 64)[0], keys[0]) {
		t.Error("two purposes, one key")
	}
	alone, err := session.ParseKeyRing([]byte(oneKey))
	must(t, err)
	if !bytes.Equal(alone.Derive("flow", 64)[0], keys[0]) {
		t.Error("the key depends on its neighbours")
	}
}

// TestKeyRingDoesNotPrint is CA-14 for the key ring.
func TestKeyRingDoesNotPrint(t *testing.T) {
	ring, err := session.ParseKeyRing([]byte(oneKey))
	must(t, err)
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "ring", ring, "keys", ring.Keys())
	fmt.Fprintf(&out, "%v %+v %#v %v %+v %#v", ring, ring, ring, ring.Keys(), ring.Keys(), ring.Keys())
	for _, leak := range []string{"\x00\x01\x02", "000102", "0 1 2 3", "AAECAw", "0x0, 0x1"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the key was printed: %s", out.String())
		}
	}
}

// FuzzParseKeyRing: no panic, and an error never repeats what may be a key.
func FuzzParseKeyRing(f *testing.F) {
	f.Add([]byte(oneKey + "\n" + anotherKey))
	f.Add([]byte(oneKey[:40]))
	f.Add([]byte("x y\n# z\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		ring, err := session.ParseKeyRing(text)
		if (ring == nil) == (err == nil) {
			t.Errorf("ring %v, error %v", ring, err)
		}
		if err == nil {
			return
		}
		for _, word := range bytes.Fields(text) {
			if len(word) > 24 && strings.Contains(err.Error(), string(word)) {
				t.Errorf("the error repeats the file: %v", err)
			}
		}
	})
}
