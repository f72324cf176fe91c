package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/cloakroom/cloakroom/session/secret"
)

const ticketBytes = 32

// ErrTicket is returned for a text that cannot be a ticket.
var ErrTicket = errors.New("session: not a ticket")

// Ticket is what the session cookie carries: 256 random bits as 43 base64url characters, no data (CK-07). The session
// id and the key of the record are both derived from it, so that the store alone opens nothing.
type Ticket struct{ text secret.String }

// NewTicket draws a ticket from the system's randomness.
func NewTicket() Ticket {
	raw := make([]byte, ticketBytes)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	return Ticket{secret.New(base64.RawURLEncoding.EncodeToString(raw))}
}

// ParseTicket reads the value of a session cookie. The error is [ErrTicket].
func ParseTicket(text string) (Ticket, error) {
	if len(text) != base64.RawURLEncoding.EncodedLen(ticketBytes) { // the decoder skips line feeds
		return Ticket{}, ErrTicket
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != ticketBytes {
		return Ticket{}, ErrTicket
	}
	return Ticket{secret.New(text)}, nil
}

// Reveal returns the text for the session cookie, the only place it may go to.
func (t Ticket) Reveal() string { return t.text.Reveal() }

// ID is the name of the ticket's session in the store.
func (t Ticket) ID() ID {
	sum := t.digest()
	return ID(base64.RawURLEncoding.EncodeToString(sum[:]))
}

func (t Ticket) digest() digest { return sha256.Sum256([]byte(t.text.Reveal())) }

// Proof is a value that only a holder of the ticket can make, for one purpose: the sid of logout_url is one. It tells
// nothing of the ticket and of proofs for other purposes.
func (t Ticket) Proof(purpose string) string {
	mac := hmac.New(sha256.New, []byte(t.text.Reveal()))
	mac.Write([]byte("cloakroom proof " + purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
