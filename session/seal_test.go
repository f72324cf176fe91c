package session

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

func newSealed(t testing.TB, ring *KeyRing) (*Session, Record) {
	t.Helper()
	ticket := NewTicket()
	s := &Session{
		ID: ticket.ID(), Issuer: "https://op.example.com", Subject: "alice", ticket: ticket, version: 3,
		Tokens: Tokens{Access: secret.New("marker-access"), Refresh: secret.New("marker-refresh")},
	}
	rec, err := ring.seal(s)
	if err != nil {
		t.Fatal(err)
	}
	return s, rec
}

// TestSealNeedsRingAndTicket is SES-10: the key ring without the ticket opens nothing, nor does the ticket without the
// key ring, even if somebody claims that it is the same key.
func TestSealNeedsRingAndTicket(t *testing.T) {
	ring := NewKeyRing()
	s, rec := newSealed(t, ring)
	if _, err := ring.open(s.ticket, rec); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.open(NewTicket(), rec); !errors.Is(err, ErrEnded) {
		t.Errorf("another ticket: %v", err)
	}
	other := NewKeyRing()
	(*other.keys.Load())[0].id = (*ring.keys.Load())[0].id
	if _, err := other.open(s.ticket, rec); !errors.Is(err, ErrEnded) {
		t.Errorf("another ring: %v", err)
	}
	for name, moved := range map[string]Record{
		"another id":      {ID: NewTicket().ID(), Version: rec.Version, Sealed: rec.Sealed},
		"another version": {ID: rec.ID, Version: rec.Version + 1, Sealed: rec.Sealed},
	} {
		if _, err := ring.open(s.ticket, moved); !errors.Is(err, ErrEnded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, again := newSealed(t, ring)
	if bytes.Equal(rec.Sealed[len(rec.Sealed)-16:], again.Sealed[len(again.Sealed)-16:]) {
		t.Error("sealing repeats itself")
	}
}

// TestForeignKeyIDs: what cannot be a key id is damage, neither a retired key nor one to wait for.
func TestForeignKeyIDs(t *testing.T) {
	ring := NewKeyRing()
	s, rec := newSealed(t, ring)
	for _, id := range []string{"", "0", "zzz"} {
		rec.Sealed = append([]byte{sealFormat, byte(len(id))}, id+"what was sealed"...)
		if _, err := ring.open(s.ticket, rec); !errors.Is(err, errSealed) {
			t.Errorf("key id %q: %v", id, err)
		}
	}
}

// FuzzOpen: whatever is in the store, opening it gives the session that was sealed or an error.
func FuzzOpen(f *testing.F) {
	ring, err := ParseKeyRing([]byte(GenerateKey(time.Unix(1_700_000_000, 0))))
	if err != nil {
		f.Fatal(err)
	}
	s, rec := newSealed(f, ring)
	f.Add(rec.Sealed)
	f.Add([]byte{})
	f.Add([]byte{sealFormat, 255})
	f.Add([]byte{sealFormat, 0})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		tampered := rec
		tampered.Sealed = sealed
		_, err := ring.open(s.ticket, tampered)
		if (err == nil) != bytes.Equal(sealed, rec.Sealed) {
			t.Errorf("error %v", err)
		}
		if err != nil && !errors.Is(err, ErrEnded) && !errors.Is(err, ErrStoreUnavailable) {
			t.Errorf("error %v is of no known kind", err)
		}
	})
}
