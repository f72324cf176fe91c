package rp

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// ClientKeys are our own private keys. Those of a file are read again when the file has changed, so that they are
// rotated without a restart (CA-09): put the new key behind the old one, give the OP the time to fetch it, move it to
// the front, and remove the old one when nothing encrypted to it is under way any more.
// All methods may be called at the same time.
type ClientKeys struct {
	path string // "" for keys from memory
	log  *slog.Logger

	mu        sync.Mutex
	keys      []jose.JSONWebKey // newest first; replaced as a whole, never changed
	seen      os.FileInfo       // the file that they were read from
	complaint string            // what was last logged about the file
}

// OpenClientKeys reads a file with a private JWK, a JWK Set of private keys, or private keys in PEM (PKCS #8, SEC 1 or
// PKCS #1), newest first. They may be EC keys on P-256 or P-384, Ed25519 keys, and RSA keys of at least 2048 bits.
//
// A JWK with use enc decrypts and never signs; any other signs and never decrypts. A key signs with its alg, which is
// ES256, ES384, EdDSA or PS256 when it has none: RS256 needs to be asked for (CA-08). A key without kid gets its
// thumbprint (RFC 7638).
//
// A file that has changed and cannot be used leaves the keys from before in use, and is logged once.
func OpenClientKeys(path string, log *slog.Logger) (*ClientKeys, error) {
	k := &ClientKeys{path: path, log: log}
	if err := k.read(); err != nil {
		return nil, err
	}
	return k, nil
}

// NewClientKeys takes private keys, newest first; what they may be is said at OpenClientKeys.
func NewClientKeys(set jose.JSONWebKeySet) (*ClientKeys, error) {
	keys := slices.Clone(set.Keys)
	if err := adoptKeys(keys); err != nil {
		return nil, err
	}
	return &ClientKeys{keys: keys}, nil
}

// Format implements [fmt.Formatter] for every verb: an Ed25519 key would otherwise be printed with all its octets.
func (k *ClientKeys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[REDACTED]")) }

// current returns the keys, after a look at the file.
func (k *ClientKeys) current() []jose.JSONWebKey {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.path == "" {
		return k.keys
	}
	seen := k.seen
	switch err := k.read(); {
	case err != nil && err.Error() != k.complaint:
		k.complaint = err.Error()
		k.log.Error("the client keys cannot be read again, those from before stay in use", "err", err)
	case err == nil && k.seen != seen:
		k.complaint = ""
		k.log.Info("the client keys were read again", "file", k.path, "keys", len(k.keys))
	}
	return k.keys
}

// read takes the keys of the file if it is another one than they were read from.
func (k *ClientKeys) read() error {
	info, err := os.Stat(k.path) // before the content, so that a change in between is seen the next time
	if err != nil {
		return err
	}
	if s := k.seen; s != nil && os.SameFile(s, info) && s.Size() == info.Size() && s.ModTime().Equal(info.ModTime()) {
		return nil
	}
	data, err := os.ReadFile(k.path)
	if err != nil {
		return err
	}
	keys, err := parseClientKeys(data)
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	k.keys, k.seen = keys, info
	return nil
}

// signer returns the newest key that signs with alg; alg "" means the newest that signs at all.
func (k *ClientKeys) signer(alg string) (jose.JSONWebKey, error) {
	for _, key := range k.current() {
		if key.Use == "sig" && (alg == "" || key.Algorithm == alg) {
			return key, nil
		}
	}
	if alg == "" {
		return jose.JSONWebKey{}, errors.New("there is no key for signing; `cloakroom keygen client` prints one")
	}
	return jose.JSONWebKey{}, fmt.Errorf("there is no key for signing with %s; add one whose alg says so", alg)
}

// decrypters returns the keys that the OP may encrypt to, newest first.
func (k *ClientKeys) decrypters() []jose.JSONWebKey {
	return slices.DeleteFunc(slices.Clone(k.current()), func(key jose.JSONWebKey) bool { return key.Use != "enc" })
}

// public returns the public halves of all keys.
func (k *ClientKeys) public() jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}} // in JSON an empty array, not null
	for _, key := range k.current() {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: key.Key.(crypto.Signer).Public(), KeyID: key.KeyID, Algorithm: key.Algorithm, Use: key.Use,
		})
	}
	return set
}

// PublicKeys is the set to publish at our jwks_uri (Core §10.1); empty without keys.
func (c *Client) PublicKeys() jose.JSONWebKeySet { return c.cfg.Keys.public() }
