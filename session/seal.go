package session

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// errSealed is the error for a record that is not what this ring and ticket have sealed: damaged, or another session's,
// or another version's (SES-10). It is no error of the store: asking again does not help.
var errSealed = fmt.Errorf("%w: the record does not open", ErrEnded)

// A sealed record is the format byte, the length of the key id, the key id, and what AES-256-GCM with a random nonce
// makes of the JSON of a plain. The key is derived from the ring's key and the ticket: neither is enough.
const (
	sealFormat = 1
	sealInfo   = "cloakroom session record"
)

// plain is a session inside a sealed record. Only here tokens are ordinary strings.
type plain struct {
	Provider  string                     `json:"provider"`
	Issuer    string                     `json:"iss"`
	Subject   string                     `json:"sub"`
	SID       string                     `json:"sid,omitempty"`
	Identity  []byte                     `json:"identity,omitempty"`
	Claims    map[string]json.RawMessage `json:"claims,omitempty"`
	UserAgent string                     `json:"user_agent,omitempty"`
	CreatedAt time.Time                  `json:"created_at"`
	ExpiresAt time.Time                  `json:"expires_at"`

	Access        string    `json:"access_token"`
	AccessExpires time.Time `json:"access_expires_at"`
	AccessIssued  time.Time `json:"access_issued_at"`
	Refresh       string    `json:"refresh_token,omitempty"`
	IDToken       string    `json:"id_token,omitempty"`
	Scope         []string  `json:"scope,omitempty"`
	Doubt         bool      `json:"refresh_in_doubt,omitempty"`

	Audiences map[string]plainToken `json:"audiences,omitempty"` // by resource
}

// plainToken is an access token for a resource.
type plainToken struct {
	Access  string    `json:"access_token"`
	Issued  time.Time `json:"issued_at"`
	Expires time.Time `json:"expires_at"`
	Scope   []string  `json:"scope,omitempty"`
}

// seal makes the record of a session, with the session's version.
func (r *KeyRing) seal(s *Session) (Record, error) {
	text, err := json.Marshal(plain{
		Provider: s.Provider, Issuer: s.Issuer, Subject: s.Subject, SID: s.SID,
		Identity: s.Identity, Claims: s.Claims,
		UserAgent: s.UserAgent, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt,
		Access: s.Tokens.Access.Reveal(), AccessExpires: s.Tokens.ExpiresAt, AccessIssued: s.Tokens.IssuedAt,
		Refresh: s.Tokens.Refresh.Reveal(), IDToken: s.Tokens.ID.Reveal(), Scope: s.Tokens.Scope, Doubt: s.doubt,
		Audiences: plainAudiences(s.audiences),
	})
	if err != nil {
		return Record{}, fmt.Errorf("session: claims are not JSON: %w", err)
	}
	key := (*r.keys.Load())[0]
	sealed := append([]byte{sealFormat, byte(len(key.id))}, key.id...)
	sealed = key.cipher(s.ticket).Seal(sealed, nil, text, associated(s.ID, s.version))
	return Record{
		ID: s.ID, Version: s.version, Sealed: sealed,
		Provider: s.Provider, Issuer: s.Issuer, Subject: s.Subject, SID: s.SID,
		UserAgent: s.UserAgent, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt,
	}, nil
}

// open is the reverse of seal. The activity is not in the record: the session's idle deadline is not set.
func (r *KeyRing) open(ticket Ticket, rec Record) (*Session, error) {
	if len(rec.Sealed) < 2 || rec.Sealed[0] != sealFormat {
		return nil, errSealed
	}
	end := 2 + int(rec.Sealed[1]) // of the key id
	if len(rec.Sealed) < end {
		return nil, errSealed
	}
	id, sealed := rec.Sealed[2:end], rec.Sealed[end:]
	key, err := r.find(string(id))
	if err != nil {
		return nil, err
	}
	text, err := key.cipher(ticket).Open(nil, nil, sealed, associated(rec.ID, rec.Version))
	if err != nil {
		return nil, errSealed
	}
	var p plain
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&p); err != nil {
		return nil, errors.Join(errSealed, err)
	}
	return &Session{
		ID: rec.ID, Provider: p.Provider, Issuer: p.Issuer, Subject: p.Subject, SID: p.SID,
		Identity: p.Identity, Claims: p.Claims,
		Tokens: Tokens{
			Access: secret.New(p.Access), ExpiresAt: p.AccessExpires, IssuedAt: p.AccessIssued,
			Refresh: secret.New(p.Refresh), ID: secret.New(p.IDToken), Scope: p.Scope,
		},
		UserAgent: p.UserAgent, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt,
		audiences: audiencesOf(p.Audiences),
		ticket:    ticket, version: rec.Version, doubt: p.Doubt,
	}, nil
}

func plainAudiences(audiences map[string]AudienceToken) map[string]plainToken {
	plain := make(map[string]plainToken, len(audiences))
	for resource, t := range audiences {
		plain[resource] = plainToken{t.Token.Reveal(), t.IssuedAt, t.ExpiresAt, t.Scope}
	}
	return plain
}

func audiencesOf(plain map[string]plainToken) map[string]AudienceToken {
	if len(plain) == 0 {
		return nil
	}
	audiences := make(map[string]AudienceToken, len(plain))
	for resource, p := range plain {
		audiences[resource] = AudienceToken{secret.New(p.Access), p.Issued, p.Expires, p.Scope}
	}
	return audiences
}

// cipher is AES-256-GCM with a random nonce in front, under a key that one ticket and this key make together. It seals
// a few hundred records in its life, far from where random nonces repeat.
func (k ringKey) cipher(ticket Ticket) cipher.AEAD {
	block, err := aes.NewCipher(k.derive([]byte(ticket.Reveal()), sealInfo, 32))
	if err != nil {
		panic("session: " + err.Error()) // 32 bytes are a key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("session: " + err.Error()) // AES has the block size of GCM
	}
	return aead
}

// associated binds what is sealed to its place: what was sealed for another session, or as another version of this one,
// does not open here. A whole record put back as it once was does open, as after a failover that lost a write; its
// refresh token is then the used one, and the OP says so (RFR-31).
func associated(id ID, version uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(id), version)
}
