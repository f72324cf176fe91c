package rp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// maxJWT bounds every JWT of the OP, in bytes, encrypted or not (IDT-30).
const maxJWT = 64 << 10

// jwtKind is what one kind of JWT from the OP must look like. The OP signs several kinds for us with the same keys, so
// it is the typ and the claims of each that keep one from passing for another (RFC 8725 §3.12).
type jwtKind struct {
	refused    error // what a failed check is
	alg        string
	encryption Encryption
	typ        func(string) bool
	forbidden  string // a claim that must not be there, not even as null; "" for none
}

// refuse makes an error that names a check of standards.md.
func (k jwtKind) refuse(id, why string) error { return fmt.Errorf("%w: %s (%s)", k.refused, why, id) }

// openJWT decrypts and verifies a JWT of the OP and returns its claims: decrypt and verifyJWT in one.
func (c *Client) openJWT(ctx context.Context, p *provider, raw string, k jwtKind) (object, error) {
	jws, err := c.decrypt(raw, k)
	if err != nil {
		return nil, err
	}
	return c.verifyJWT(ctx, p, jws, k)
}

// verifyJWT verifies a JWS of the OP and returns its claims. Form, algorithm, signature, iss and aud are then right;
// times and everything else are the caller's to check. The error is k.refused, or ErrUnavailable when keys could not be
// fetched.
//
// go-oidc verifies algorithm, signature, issuer and that we are in the audience; the rest is ours (GOI-01 to GOI-09).
// It reads with encoding/json, to which a claim named "ISS" is iss, too: what it has compared is compared once more by
// its exact name.
func (c *Client) verifyJWT(ctx context.Context, p *provider, raw string, k jwtKind) (object, error) {
	if err := k.checkHeader(raw); err != nil {
		return nil, err
	}
	signature := &signatureCheck{keys: c.verifierOf(p, k.alg), alg: k.alg}
	token, err := oidc.NewVerifier(p.Issuer, signature, &oidc.Config{
		ClientID:             c.cfg.ClientID,
		SupportedSigningAlgs: []string{k.alg},
		SkipExpiryCheck:      true, // checkTimes does it, with one leeway where go-oidc has two (GOI-08)
	}).Verify(ctx, raw)
	switch {
	case errors.Is(signature.err, ErrUnavailable):
		return nil, signature.err
	case signature.err != nil:
		return nil, k.refuse("IDT-02", signature.err.Error())
	}
	claims, notClaims := k.readClaims(signature.payload)
	if notClaims != nil {
		return nil, notClaims
	}
	if err != nil {
		return nil, c.nameFailure(k, claims)
	}
	if iss, _ := claims.text("iss"); iss != token.Issuer {
		return nil, k.refuse("IDT-06", "go-oidc has taken another claim for iss")
	}
	return claims, c.checkAudience(k, claims)
}

// readClaims reads the payload of a JWS as claims, without those that are null.
func (k jwtKind) readClaims(payload []byte) (object, error) {
	members, err := parseMembers(payload)
	if err != nil {
		return nil, k.refuse("IDT-25", "its claims are "+err.Error())
	}
	if k.forbidden != "" && members.has(k.forbidden) {
		return nil, k.refuse("IDT-22", k.forbidden+" says that it is another kind of token")
	}
	return members.withoutNull(), nil
}

// peek checks the header of a JWS and reads its claims. Nobody has looked at the signature: what they say can be a reason
// to refuse it, and for nothing else.
func (k jwtKind) peek(jws string) (unverified object, err error) {
	if err := k.checkHeader(jws); err != nil {
		return nil, err
	}
	payload, err := payloadOf(jws)
	if err != nil {
		return nil, k.refuse("IDT-30", err.Error())
	}
	return k.readClaims(payload)
}

// payloadOf is the second part of a JWS in compact form.
func payloadOf(jws string) ([]byte, error) {
	_, rest, _ := strings.Cut(jws, ".")
	part, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, errors.New("its payload is not base64url")
	}
	return payload, nil
}

// nameFailure says which of its checks go-oidc means, without the values that its own text holds.
func (c *Client) nameFailure(k jwtKind, claims object) error {
	if err := c.checkIssuer(k, claims); err != nil {
		return err
	}
	if err := c.checkAudience(k, claims); err != nil {
		return err
	}
	return k.refuse("IDT-25", "a claim has the wrong type")
}

func (c *Client) checkIssuer(k jwtKind, claims object) error {
	if iss, err := claims.text("iss"); err != nil || iss != c.cfg.Issuer {
		return k.refuse("IDT-06", "iss is not the configured issuer")
	}
	return nil
}

func (c *Client) checkAudience(k jwtKind, claims object) error {
	audience, err := claims.audience()
	if err != nil {
		return k.refuse("IDT-07", err.Error())
	}
	if !slices.Contains(audience, c.cfg.ClientID) {
		return k.refuse("IDT-07", "aud does not contain the client_id")
	}
	for _, aud := range audience {
		if aud != c.cfg.ClientID && !slices.Contains(c.cfg.TrustedAudiences, aud) {
			return k.refuse("IDT-08", "aud contains a party that is not in trusted_audiences")
		}
	}
	return nil
}

// signatureVerifier verifies a JWS in compact form and returns its payload. No other algorithm than alg will do. The
// error is ErrUnavailable when keys could not be fetched.
type signatureVerifier interface {
	verify(ctx context.Context, jws, alg string) ([]byte, error)
}

// verifierOf returns what can verify signatures with an algorithm: our secret for a MAC, and for everything else the
// OP's published keys. Neither ever sees what belongs to the other (IDT-05).
func (c *Client) verifierOf(p *provider, alg string) signatureVerifier {
	if alg == macAlg {
		return macKey{c.cfg.ClientSecret}
	}
	return p.keys
}

// signatureCheck is the oidc.KeySet of one verification. It keeps what go-oidc would turn into text, or not return.
type signatureCheck struct {
	keys    signatureVerifier
	alg     string
	payload []byte
	err     error
}

func (s *signatureCheck) VerifySignature(ctx context.Context, jws string) ([]byte, error) {
	s.payload, s.err = s.keys.verify(ctx, jws, s.alg)
	return s.payload, s.err
}

// isBase64URL reports whether a text can be one part of a JWS or JWE in compact form. Neither whitespace nor padding nor
// the JSON form gets past it, which go-jose would read as well.
func isBase64URL(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// checkHeader checks everything that can be known before the signature is looked at.
func (k jwtKind) checkHeader(raw string) error {
	parts := strings.SplitN(raw, ".", 4)
	if len(parts) != 3 || !isBase64URL(parts[1]) {
		return k.refuse("IDT-30", "it is no JWS in compact form")
	}
	header, err := parseHeader(parts[0])
	if err != nil {
		return k.refuse("IDT-30", err.Error())
	}
	if alg, err := header.text("alg"); err != nil || alg != k.alg { // none included (IDT-04)
		return k.refuse("IDT-03", "its alg is not the configured "+k.alg)
	}
	if !isBase64URL(parts[2]) {
		return k.refuse("IDT-30", "it has no signature")
	}
	if header.has("crit") { // we understand no extension (RFC 7515 §4.1.11)
		return k.refuse("IDT-21", "its header has crit")
	}
	if typ, err := header.text("typ"); err != nil || !k.typ(typ) {
		return k.refuse("IDT-22", "its typ says that it is another kind of token")
	}
	return nil
}

// parseHeader reads the first part of a JWS or JWE.
func parseHeader(part string) (object, error) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || !isBase64URL(part) { // the decoder skips line ends
		return nil, errors.New("its header is not base64url")
	}
	header, err := parseObject(decoded)
	if err != nil {
		return nil, fmt.Errorf("its header is %w", err)
	}
	return header, nil
}

// mediaType brings typ and cty to one form: RFC 7515 §4.1.9 lets senders choose the case and leave out the prefix
// (IDT-23).
func mediaType(s string) string { return strings.TrimPrefix(strings.ToLower(s), "application/") }

// isPlainJWT reports whether typ is absent or JWT.
func isPlainJWT(typ string) bool { return typ == "" || mediaType(typ) == "jwt" }

// times are those of a JWT, zero where it has none.
type times struct{ exp, iat, nbf time.Time }

// checkTimes reads the times of a JWT and checks them against our clock (IDT-10, IDT-11, IDT-13). Those that are
// required must be there.
func (c *Client) checkTimes(k jwtKind, claims object, required ...string) (times, error) {
	var t times
	for _, r := range []struct {
		id, claim string
		field     *time.Time
	}{{"IDT-10", "exp", &t.exp}, {"IDT-11", "iat", &t.iat}, {"IDT-13", "nbf", &t.nbf}} {
		var err error
		if *r.field, err = claims.date(r.claim); err != nil {
			return times{}, k.refuse(r.id, err.Error())
		}
		if !claims.has(r.claim) && slices.Contains(required, r.claim) {
			return times{}, k.refuse(r.id, r.claim+" is missing")
		}
	}
	now := c.now()
	switch {
	case claims.has("exp") && t.exp.Before(now.Add(-leeway)):
		return times{}, k.refuse("IDT-10", "exp is past")
	case t.iat.After(now.Add(leeway)):
		return times{}, k.refuse("IDT-11", "iat is in the future")
	case t.nbf.After(now.Add(leeway)):
		return times{}, k.refuse("IDT-13", "nbf is in the future")
	}
	return t, nil
}
