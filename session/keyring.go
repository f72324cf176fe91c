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
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	keyBytes  = 32
	keyIDTime = "20060102T150405Z"
)

// errRetired is the error for a record under a key that has been removed from the ring.
var errRetired = fmt.Errorf("%w: the key that sealed it is retired", ErrEnded)

var keyIDForm = regexp.MustCompile(`^([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{6}$`)

// KeyRing holds the keys of a cluster of replicas. The first seals; all open. Every replica needs every key that any
// replica seals with. The keys of a file change with the file, see [OpenKeyRing]. All methods may be called at the same
// time.
type KeyRing struct {
	keys atomic.Pointer[[]ringKey] // at least one; replaced as a whole, never changed
	file *keyFile                  // nil for keys that stay as they are
}

type ringKey struct {
	id    string        // begins with the time of creation, so that ids sort by age
	bytes secret.String // keyBytes of randomness
	line  int           // of the file, from 1
}

// ParseKeyRing reads a key file: one key per line, a key id and 32 bytes in base64url as [GenerateKey] writes them,
// with empty lines and lines that begin with # between. The first key seals. Errors name the line, never the key.
func ParseKeyRing(text []byte) (*KeyRing, error) {
	keys, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	return newKeyRing(keys), nil
}

func newKeyRing(keys []ringKey) *KeyRing {
	ring := &KeyRing{}
	ring.keys.Store(&keys)
	return ring
}

func parseKeys(text []byte) ([]ringKey, error) {
	var keys []ringKey
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
		key.line = number
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key; `cloakroom keygen session` prints one")
	}
	return keys, nil
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
	return ringKey{id: fields[0], bytes: secret.New(string(raw))}, nil
}

// NewKeyRing makes a ring of one random key that lives as long as the process, for the in-process store.
func NewKeyRing() *KeyRing {
	raw := make([]byte, keyBytes)
	rand.Read(raw) // never fails
	return newKeyRing([]ringKey{{id: newKeyID(time.Now()), bytes: secret.New(string(raw))}})
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

// Derive makes one key of size bytes for a purpose from each key that the ring has now, in the order of the file. Keys
// for different purposes tell nothing of each other. It takes microseconds; a caller that keeps the result does not
// follow the ring.
func (r *KeyRing) Derive(purpose string, size int) [][]byte {
	keys := *r.keys.Load()
	derived := make([][]byte, len(keys))
	for i, key := range keys {
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

// find returns the key with this id. If it is not there the file is looked at, which may have it by now. Then the id
// tells what its absence means to the session: a key that is older than all of ours has been retired, and the session
// with it (errRetired). Any other has not reached this replica yet, and the session may be fine (ErrStoreUnavailable).
func (r *KeyRing) find(id string) (ringKey, error) {
	if key, ok := findKey(*r.keys.Load(), id); ok {
		return key, nil
	}
	if !keyIDForm.MatchString(id) {
		return ringKey{}, errSealed // we have not written that
	}
	r.look(lookPause)
	keys := *r.keys.Load()
	if key, ok := findKey(keys, id); ok {
		return key, nil
	}
	if !slices.ContainsFunc(keys, func(key ringKey) bool { return key.id < id }) {
		r.look(0) // no session ends because of a file that was being written at the last look
		if key, ok := findKey(*r.keys.Load(), id); ok {
			return key, nil
		}
		return ringKey{}, fmt.Errorf("%w: %.40q", errRetired, id)
	}
	return ringKey{}, fmt.Errorf("%w: a session is sealed under key %.40q, which this replica's key ring lacks",
		ErrStoreUnavailable, id)
}

func findKey(keys []ringKey, id string) (ringKey, bool) {
	i := slices.IndexFunc(keys, func(key ringKey) bool { return key.id == id })
	if i < 0 {
		return ringKey{}, false
	}
	return keys[i], true
}
