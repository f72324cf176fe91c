package bff

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gorilla/securecookie"

	"github.com/cloakroom/cloakroom/session"
)

// Lifetimes of sealed cookies.
const (
	flowLife   = 10 * time.Minute // FLOW-42
	logoutLife = 10 * time.Minute
	flashLife  = time.Minute
)

var errSeal = errors.New("bff: the cookie was not sealed by this gateway, or is too old")

// sealer encrypts and authenticates what a cookie carries for us, with keys derived from the key ring, so that every
// replica can open it and the browser cannot. The name of the cookie is part of the seal.
type sealer struct{ ring *session.KeyRing }

// codecs has one for each key of the ring, the one that seals first. They are made at each use, in microseconds and only
// where somebody signs in or out: so they follow a ring whose keys are rotated.
func (s sealer) codecs() []*securecookie.SecureCookie {
	var codecs []*securecookie.SecureCookie
	for _, key := range s.ring.Derive("bff cookies", 64) {
		sc := securecookie.New(key[:32], key[32:])
		sc.SetSerializer(securecookie.NopEncoder{}) // the default is gob (SCK-01)
		sc.MaxLength(maxCookie)
		sc.MaxAge(0) // each seal states its own age below, since one codec serves several lifetimes
		codecs = append(codecs, sc)
	}
	return codecs
}

// maxCookie bounds a sealed value; name, value and attributes of a cookie fit 4096 octets (CK-05).
const maxCookie = 3900

// envelope carries the time a seal ends at. securecookie dates its values too, but knows one lifetime for all names.
type envelope struct {
	Until int64           `json:"u"` // Unix seconds
	Value json.RawMessage `json:"v"`
}

func (s sealer) seal(name string, value any, until time.Time) (string, error) {
	inner, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	outer, err := json.Marshal(envelope{until.Unix(), inner})
	if err != nil {
		return "", err
	}
	return s.codecs()[0].Encode(name, outer)
}

// open fills value from a sealed cookie of this name. The error is errSeal, whatever was wrong with it.
func (s sealer) open(name, sealed string, value any, now time.Time) error {
	for _, sc := range s.codecs() {
		var outer []byte
		if sc.Decode(name, sealed, &outer) != nil {
			continue
		}
		var e envelope
		if json.Unmarshal(outer, &e) != nil || now.Unix() >= e.Until || json.Unmarshal(e.Value, value) != nil {
			return errSeal
		}
		return nil
	}
	return errSeal
}
