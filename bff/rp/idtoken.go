package rp

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/cloakroom/cloakroom/session/secret"
)

const (
	maxIDToken    = 64 << 10         // bytes (IDT-30)
	maxIDTokenAge = 10 * time.Minute // of an ID token that answers a code (IDT-11)
)

// idToken is an ID token that passed every check that does not depend on what it is for.
type idToken struct {
	Identity
	claims object
	token  *oidc.IDToken
}

// refuseIDToken makes an error that names a check of standards.md.
func refuseIDToken(id, why string) error { return fmt.Errorf("%w: %s (%s)", ErrIDToken, why, id) }

// verifyIDToken checks form, signature and claims of an ID token. The caller checks what it was asked for: checkLogin
// or checkContinues, and checkAccessToken. The error is ErrIDToken, or ErrUnavailable when keys could not be fetched.
//
// go-oidc verifies algorithm, signature, issuer and that we are in the audience; the rest is ours (GOI-01 to GOI-09),
// and with it all times, for which go-oidc has two leeways of its own (GOI-08). It reads with encoding/json, to which
// a claim named "ISS" is iss, too: what it has compared is compared once more by its exact name.
func (c *Client) verifyIDToken(ctx context.Context, p *provider, raw secret.String) (*idToken, error) {
	if err := c.checkHeader(raw.Reveal()); err != nil {
		return nil, err
	}
	signature := &signatureCheck{keys: p.keys}
	token, err := oidc.NewVerifier(p.Issuer, signature, &oidc.Config{
		ClientID:             c.cfg.ClientID,
		SupportedSigningAlgs: []string{c.cfg.SigningAlg},
		SkipExpiryCheck:      true, // checkTimes does it
	}).Verify(ctx, raw.Reveal())
	switch {
	case errors.Is(signature.err, ErrUnavailable):
		return nil, signature.err
	case signature.err != nil:
		return nil, refuseIDToken("IDT-02", signature.err.Error())
	case err != nil:
		return nil, c.nameFailure(signature.payload)
	}
	claims, err := parseObject(signature.payload)
	if err != nil {
		return nil, refuseIDToken("IDT-25", "its claims are "+err.Error())
	}
	id := &idToken{claims: claims, token: token}
	if iss, _ := claims.text("iss"); iss != token.Issuer {
		return nil, refuseIDToken("IDT-06", "go-oidc has taken another claim for iss")
	}
	id.Issuer = p.Issuer // compared by go-oidc, which lets Google leave out the scheme (GOI-16)
	if err := id.read(); err != nil {
		return nil, err
	}
	if err := c.checkTimes(id); err != nil {
		return nil, err
	}
	return id, c.checkClaims(id)
}

// signatureCheck is the key set during one verification. It keeps what go-oidc would turn into text, or not return.
type signatureCheck struct {
	keys    *keySet
	payload []byte
	err     error
}

func (s *signatureCheck) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	s.payload, s.err = s.keys.VerifySignature(ctx, jwt)
	return s.payload, s.err
}

// nameFailure says which of its checks go-oidc means, without the values that its own text holds.
func (c *Client) nameFailure(payload []byte) error {
	if claims, err := parseObject(payload); err == nil {
		if iss, err := claims.text("iss"); err != nil || iss != c.cfg.Issuer {
			return refuseIDToken("IDT-06", "iss is not the configured issuer")
		}
		if aud, err := claims.audience(); err != nil || !slices.Contains(aud, c.cfg.ClientID) {
			return refuseIDToken("IDT-07", "aud does not contain the client_id")
		}
	}
	return refuseIDToken("IDT-25", "it is malformed")
}

// base64url is one part of a JWS in compact form. Neither whitespace nor padding nor the JSON form gets past it,
// which go-jose would read as well.
var base64url = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// checkHeader checks everything that can be known before the signature is looked at.
func (c *Client) checkHeader(raw string) error {
	if len(raw) > maxIDToken {
		return refuseIDToken("IDT-30", fmt.Sprintf("it is longer than %d bytes", maxIDToken))
	}
	parts := strings.Split(raw, ".")
	if len(parts) == 5 {
		return refuseIDToken("IDT-24", "it is encrypted, which is not supported; register it without encryption")
	}
	if len(parts) != 3 || !base64url.MatchString(parts[0]) || !base64url.MatchString(parts[1]) {
		return refuseIDToken("IDT-30", "it is no JWS in compact form")
	}
	decoded, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return refuseIDToken("IDT-30", "its header is no base64url")
	}
	header, err := parseObject(decoded)
	if err != nil {
		return refuseIDToken("IDT-30", "its header is "+err.Error())
	}
	if alg, err := header.text("alg"); err != nil || alg != c.cfg.SigningAlg { // none included (IDT-04)
		return refuseIDToken("IDT-03", "its alg is not the configured "+c.cfg.SigningAlg)
	}
	if parts[2] == "" || !base64url.MatchString(parts[2]) {
		return refuseIDToken("IDT-30", "it has no signature")
	}
	if header.has("crit") { // we understand no extension (RFC 7515 §4.1.11)
		return refuseIDToken("IDT-21", "its header has crit")
	}
	typ, err := header.text("typ")
	if err != nil || !isPlainJWT(typ) {
		return refuseIDToken("IDT-22", "its typ says that it is another kind of token")
	}
	return nil
}

// isPlainJWT reports whether typ is absent or JWT, whatever the case and with or without the prefix that RFC 7515
// §4.1.9 lets senders leave out (IDT-23).
func isPlainJWT(typ string) bool {
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return typ == "" || typ == "jwt"
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

// checkTimes reads all times of the token and checks those that do not depend on a request. exp and iat are required.
func (c *Client) checkTimes(id *idToken) error {
	var exp, nbf time.Time
	for _, t := range []struct {
		id, claim string
		field     *time.Time
	}{
		{"IDT-10", "exp", &exp}, {"IDT-11", "iat", &id.IssuedAt}, {"IDT-13", "nbf", &nbf}, {"IDT-17", "auth_time", &id.AuthTime},
	} {
		var err error
		if *t.field, err = id.claims.date(t.claim); err != nil {
			return refuseIDToken(t.id, err.Error())
		}
	}
	now := c.now()
	switch {
	case exp.Before(now.Add(-leeway)): // also when it is missing, and zero
		return refuseIDToken("IDT-10", "exp is missing or past")
	case id.IssuedAt.IsZero() || id.IssuedAt.After(now.Add(leeway)):
		return refuseIDToken("IDT-11", "iat is missing or in the future")
	case nbf.After(now.Add(leeway)):
		return refuseIDToken("IDT-13", "nbf is in the future")
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
	if !slices.Contains(id.Audience, c.cfg.ClientID) {
		return refuseIDToken("IDT-07", "aud does not contain the client_id")
	}
	for _, aud := range id.Audience {
		if aud != c.cfg.ClientID && !slices.Contains(c.cfg.TrustedAudiences, aud) {
			return refuseIDToken("IDT-08", "aud contains a party that is not in trusted_audiences")
		}
	}
	if id.claims.has("azp") && id.AZP != c.cfg.ClientID {
		return refuseIDToken("IDT-09", "azp is not the client_id")
	}
	if id.Subject == "" || len(id.Subject) > 255 || !isASCII(id.Subject) {
		return refuseIDToken("IDT-12", "sub must have 1 to 255 ASCII characters")
	}
	if id.claims.has("events") { // a logout token (Back-Channel §2.4)
		return refuseIDToken("IDT-22", "events says that it is another kind of token")
	}
	return nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
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
	return nil
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
	var err error
	if id.token.AccessTokenHash, err = id.claims.text("at_hash"); err != nil || id.token.VerifyAccessToken(access.Reveal()) != nil {
		return refuseIDToken("IDT-18", "at_hash does not belong to the access token")
	}
	return nil
}
