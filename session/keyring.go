package session

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	keyBytes  = 32
	keyIDTime = "20060102T150405Z"
)

var keyIDForm = regexp.MustCompile(`^([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{6}$`)

// KeyRing holds the keys of a cluster of replicas. The first seals; all open. Every replica needs every key that any
// replica seals with.
type KeyRing struct{ keys []ringKey }

type ringKey struct {
	id    string        // begins with the time of creation, so that ids sort by age
	bytes secret.String // keyBytes of randomness
}

// ParseKeyRing reads a key file: one key per line, a key id and 32 bytes in base64url as [GenerateKey] writes them,
// with empty lines and lines that begin with # between. The first key seals. Errors name the line, never the key.
func ParseKeyRing(text []byte) (*KeyRing, error) {
	ring := &KeyRing{}
	ids, bytes := map[string]int{}, map[string]int{}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		key, err := parseKey(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if other, ok := ids[key.id]; ok {
			return nil, fmt.Errorf("line %d: the key id is that of line %d", number, other)
		}
		if other, ok := bytes[key.bytes.Reveal()]; ok {
			return nil, fmt.Errorf("line %d: the key is that of line %d", number, other)
		}
		ids[key.id], bytes[key.bytes.Reveal()] = number, number
		ring.keys = append(ring.keys, key)
	}
	if len(ring.keys) == 0 {
		return nil, errors.New("there is no key; `cloakroom keygen session` prints one")
	}
	return ring, nil
}

func parseKey(fields []string) (ringKey, error) {
	if len(fields) != 2 {
		return ringKey{}, errors.New("want a key id, a space and a key, as `cloakroom keygen session` prints them")
	}
	form := keyIDForm.FindStringSubmatch(fields[0])
	if form == nil {
		return ringKey{}, errors.New("want a key id like 20261122T053000Z-3f9a1c first")
	}
	if _, err := time.Parse(keyIDTime, form[1]); err != nil {
		return ringKey{}, errors.New("the key id does not begin with a valid time")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(fields[1], "="))
	if err != nil {
		return ringKey{}, errors.New("the key is not base64url")
	}
	if len(raw) != keyBytes {
		return ringKey{}, fmt.Errorf("the key has %d bytes, want %d", len(raw), keyBytes)
	}
	return ringKey{fields[0], secret.New(string(raw))}, nil
}

// NewKeyRing makes a ring of one random key that lives as long as the process, for the in-process store.
func NewKeyRing() *KeyRing {
	raw := make([]byte, keyBytes)
	rand.Read(raw) // never fails
	return &KeyRing{[]ringKey{{newKeyID(time.Now()), secret.New(string(raw))}}}
}

// GenerateKey makes a line for the key file, without the line feed. It is a secret.
func GenerateKey(now time.Time) string {
	raw := make([]byte, keyBytes)
	rand.Read(raw) // never fails
	return newKeyID(now) + " " + base64.RawURLEncoding.EncodeToString(raw)
}

func newKeyID(now time.Time) string {
	suffix := make([]byte, 3)
	rand.Read(suffix) // never fails
	return now.UTC().Format(keyIDTime) + "-" + hex.EncodeToString(suffix)
}

// Derive makes one key of size bytes for a purpose from each key of the ring, in the order of the file. Keys for
// different purposes tell nothing of each other.
func (r *KeyRing) Derive(purpose string, size int) [][]byte {
	derived := make([][]byte, len(r.keys))
	for i, key := range r.keys {
		derived[i] = key.derive(nil, "cloakroom "+purpose, size)
	}
	return derived
}

func (k ringKey) derive(salt []byte, info string, size int) []byte {
	key, err := hkdf.Key(sha256.New, []byte(k.bytes.Reveal()), salt, info, size)
	if err != nil {
		panic("session: " + err.Error()) // a size that no caller asks for
	}
	return key
}

// find returns the key with this id. For a key that is not there it tells what that means to the session: a key that
// is older than all of ours has been retired, and the session with it (ErrEnded). Any other has not reached this
// replica yet, and the session may be fine (ErrStoreUnavailable).
func (r *KeyRing) find(id string) (ringKey, error) {
	older := true
	for _, key := range r.keys {
		if key.id == id {
			return key, nil
		}
		older = older && id < key.id
	}
	if older {
		return ringKey{}, fmt.Errorf("%w: it is sealed under key %.40q, which is retired", ErrEnded, id)
	}
	return ringKey{}, fmt.Errorf("%w: a session is sealed under key %.40q, which this replica's key ring lacks",
		ErrStoreUnavailable, id)
}
