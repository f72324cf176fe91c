package rp

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session/secret"
)

// maxIDTokenAge is that of an ID token that answers a code (IDT-11).
const maxIDTokenAge = 10 * time.Minute

// idToken is an ID token that passed every check that does not depend on what it is for.
type idToken struct {
	Identity
	claims object
	alg    string
	jws    secret.String // decrypted, if it was encrypted to us
}

// refuseIDToken makes an error that names a check of standards.md.
func refuseIDToken(id, why string) error { return fmt.Errorf("%w: %s (%s)", ErrIDToken, why, id) }

// verifyIDToken checks form, signature and claims of an ID token. The caller checks what it was asked for: checkLogin
// or checkContinues, and checkAccessToken. The error is ErrIDToken, or ErrUnavailable when keys could not be fetched.
func (c *Client) verifyIDToken(ctx context.Context, p *provider, raw secret.String) (*idToken, error) {
	kind := jwtKind{refused: ErrIDToken, alg: c.cfg.SigningAlg, encryption: c.cfg.IDTokenEncryption, typ: isPlainJWT}
	jws, err := c.decrypt(raw.Reveal(), kind)
	if err != nil {
		return nil, err
	}
	claims, err := c.verifyJWT(ctx, p, jws, kind)
	if err != nil {
		return nil, err
	}
	id := &idToken{claims: claims, alg: kind.alg, jws: secret.New(jws)}
	id.Issuer = p.Issuer // compared by go-oidc, which lets Google leave out the scheme (GOI-16)
	if err := id.read(); err != nil {
		return nil, err
	}
	t, err := c.checkTimes(kind, claims, "exp", "iat")
	if err != nil {
		return nil, err
	}
	id.IssuedAt = t.iat
	if id.AuthTime, err = claims.date("auth_time"); err != nil {
		return nil, refuseIDToken("IDT-17", err.Error())
	}
	if id.AuthTime.After(c.now().Add(leeway)) { // it would outlive every max_age
		return nil, refuseIDToken("IDT-17", "auth_time is in the future")
	}
	return id, c.checkClaims(id)
}

// read takes the claims that we use out of the token. A claim of the wrong type is a failed check, not a missing claim.
func (id *idToken) read() error {
	for name, field := range map[string]*string{
		"sub": &id.Subject, "azp": &id.AZP, "sid": &id.SID, "nonce": &id.Nonce, "acr": &id.ACR,
	} {
		if err := id.claims.read(name, field); err != nil {
			return refuseIDToken("IDT-25", err.Error())
		}
	}
	var err error
	if id.Audience, err = id.claims.audience(); err != nil {
		return refuseIDToken("IDT-07", err.Error())
	}
	return nil
}

// audience returns aud, a string or an array of strings.
func (o object) audience() ([]string, error) {
	var list []string
	if json.Unmarshal(o["aud"], &list) == nil {
		return list, nil
	}
	one, err := o.text("aud")
	return []string{one}, err
}

// checkClaims holds at login and at refresh alike.
func (c *Client) checkClaims(id *idToken) error {
	if id.claims.has("azp") && id.AZP != c.cfg.ClientID {
		return refuseIDToken("IDT-09", "azp is not the client_id")
	}
	if id.Subject == "" || len(id.Subject) > 255 || !isPrintable(id.Subject) {
		return refuseIDToken("IDT-12", "sub must have 1 to 255 printable ASCII characters")
	}
	if id.claims.has("events") { // a logout token (Back-Channel §2.4)
		return refuseIDToken("IDT-22", "events says that it is another kind of token")
	}
	return nil
}

// isPrintable is what the subject is held to, since it goes into headers, logs and pages.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// checkLogin compares the ID token with the authorization request that it answers.
func (c *Client) checkLogin(id *idToken, r AuthorizationRequest) error {
	if r.Nonce == "" || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(r.Nonce)) != 1 {
		return refuseIDToken("IDT-14", "the nonce is missing or wrong")
	}
	now := c.now()
	if r.Started.IsZero() {
		r.Started = now
	}
	if id.IssuedAt.Before(now.Add(-maxIDTokenAge)) {
		return refuseIDToken("IDT-11", "iat is too long ago")
	}
	if acrs := strings.Fields(c.asked(r, "acr_values")); len(acrs) > 0 && !slices.Contains(acrs, id.ACR) {
		return refuseIDToken("IDT-16", "acr is none of those asked for")
	}
	if asked := c.asked(r, "max_age"); asked != "" {
		maxAge, err := parseMaxAge(asked)
		if err != nil || id.AuthTime.Before(r.Started.Add(-maxAge-leeway)) { // a missing auth_time is before everything
			return refuseIDToken("IDT-17", "auth_time is missing or longer ago than max_age")
		}
	}
	return id.checkEssential(c.asked(r, "claims"))
}

// checkContinues compares the ID token of a refresh with that of the login (Core §12.2).
func (id *idToken) checkContinues(original Identity) error {
	switch {
	case id.Issuer != original.Issuer:
		return refuseIDToken("RFR-02", "iss is not that of the login")
	case id.Subject != original.Subject:
		return refuseIDToken("RFR-03", "sub is not that of the login")
	case !slices.Equal(slices.Sorted(slices.Values(id.Audience)), slices.Sorted(slices.Values(original.Audience))):
		return refuseIDToken("RFR-04", "aud is not that of the login")
	case id.IssuedAt.Before(original.IssuedAt):
		return refuseIDToken("RFR-05", "iat is before that of the login")
	case !id.AuthTime.IsZero() && !original.AuthTime.IsZero() && !id.AuthTime.Equal(original.AuthTime):
		return refuseIDToken("RFR-06", "auth_time is not that of the login")
	case id.claims.has("nonce") && id.Nonce != original.Nonce:
		return refuseIDToken("RFR-07", "nonce is not that of the login")
	}
	return nil
}

// checkAccessToken compares at_hash, when the ID token has it, with the access token that came with it (IDT-18,
// RFR-13).
func (id *idToken) checkAccessToken(access secret.String) error {
	if !id.claims.has("at_hash") {
		return nil
	}
	hash, err := id.claims.text("at_hash")
	if err != nil || subtle.ConstantTimeCompare([]byte(hash), []byte(leftHalf(id.alg, access.Reveal()))) != 1 {
		return refuseIDToken("IDT-18", "at_hash does not belong to the access token")
	}
	return nil
}

// leftHalf is the left half of the hash that belongs to a signature algorithm (Core §3.1.3.6); EdDSA on Ed25519 hashes
// with SHA-512. go-oidc has the same but for MACs.
func leftHalf(alg, token string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "256"):
		s := sha256.Sum256([]byte(token))
		sum = s[:]
	case strings.HasSuffix(alg, "384"):
		s := sha512.Sum384([]byte(token))
		sum = s[:]
	default:
		s := sha512.Sum512([]byte(token))
		sum = s[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
