package optest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// logoutFaults are all faults of logout tokens, and how a client sees them.
var logoutFaults = []struct {
	fault optest.Fault
	seen  func(t jws) bool
}{
	{optest.LogoutWrongIssuer, logoutClaim("iss", "https://op.invalid")},
	{optest.LogoutNoIssuer, noLogoutClaim("iss")},
	{optest.LogoutOtherAudience, logoutClaim("aud", "another-client")},
	{optest.LogoutExtraAudience, func(t jws) bool {
		aud, _ := t.claims["aud"].([]any)
		return len(aud) == 2 && aud[0] == "app"
	}},
	{optest.LogoutNoAudience, noLogoutClaim("aud")},
	{optest.LogoutNoSubject, func(t jws) bool { return t.claims["sub"] == nil && t.claims["sid"] != nil }},
	{optest.LogoutNoSession, func(t jws) bool { return t.claims["sid"] == nil && t.claims["sub"] != nil }},
	{optest.LogoutNobody, func(t jws) bool { return t.claims["sid"] == nil && t.claims["sub"] == nil }},
	{optest.LogoutOtherSubject, logoutClaim("sub", "another-user")},
	{optest.LogoutOtherSession, logoutClaim("sid", "another-session")},
	{optest.LogoutExpired, logoutDate("exp", -time.Hour)},
	{optest.LogoutNoExpiry, noLogoutClaim("exp")},
	{optest.LogoutLongLived, logoutDate("exp", 10*365*24*time.Hour)},
	{optest.LogoutNoIssuedAt, noLogoutClaim("iat")},
	{optest.LogoutIssuedLong, logoutDate("iat", -365*24*time.Hour)},
	{optest.LogoutIssuedFuture, logoutDate("iat", 24*time.Hour)},
	{optest.LogoutNoID, noLogoutClaim("jti")},
	{optest.LogoutSameID, logoutClaim("jti", "the-same-for-all")},
	{optest.LogoutNoEvents, noLogoutClaim("events")},
	{optest.LogoutNullEvents, nullLogoutClaim("events")},
	{optest.LogoutWrongEvent, func(t jws) bool { e := logoutEvents(t); _, ok := e["urn:x"]; return ok && len(e) == 1 }},
	{optest.LogoutNullEvent, func(t jws) bool { v, ok := logoutEvents(t)[backchannelEvent]; return ok && v == nil }},
	{optest.LogoutStringEvent, func(t jws) bool { return logoutEvents(t)[backchannelEvent] == "logout" }},
	{optest.LogoutNonce, logoutClaim("nonce", "nonce")},
	{optest.LogoutNullNonce, nullLogoutClaim("nonce")},
	{optest.LogoutTypeAccess, logoutType("at+jwt")},
	{optest.LogoutTypeJWT, logoutType("JWT")},
	{optest.LogoutTypeOddCase, logoutType("application/Logout+JWT")},
	{optest.LogoutNoType, func(t jws) bool { _, ok := t.header["typ"]; return !ok }},
	{optest.LogoutBadSignature, func(t jws) bool { return !t.good && t.header["alg"] == "RS256" }},
	{optest.LogoutOtherAlg, func(t jws) bool { return t.good && t.header["alg"] == "ES256" }},
	{optest.LogoutUnknownKid, func(t jws) bool { return !t.good && t.header["kid"] != nil }},
	{optest.LogoutAlgHS256PublicKey, func(t jws) bool { return !t.good && t.header["alg"] == "HS256" }},
	{optest.LogoutEmbeddedJWK, func(t jws) bool { return !t.good && t.header["jwk"] != nil && t.header["kid"] == nil }},
	{optest.LogoutAlgNone, func(t jws) bool { return !t.good && t.header["alg"] == "none" }},
}

func logoutClaim(name string, value any) func(jws) bool {
	return func(t jws) bool { return t.claims[name] == value }
}

func noLogoutClaim(name string) func(jws) bool {
	return func(t jws) bool { _, ok := t.claims[name]; return t.claims != nil && !ok }
}

func nullLogoutClaim(name string) func(jws) bool {
	return func(t jws) bool { value, ok := t.claims[name]; return ok && value == nil }
}

func logoutDate(name string, d time.Duration) func(jws) bool {
	return func(t jws) bool { return fromNow(t.claims[name]) == d }
}

func logoutType(typ string) func(jws) bool { return func(t jws) bool { return t.header["typ"] == typ } }

func logoutEvents(t jws) map[string]any {
	events, _ := t.claims["events"].(map[string]any)
	return events
}

func TestLogoutFaults(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	logoutToken := func() jws {
		token, err := p.op.LogoutToken("app", "alice", "sid-1")
		if err != nil {
			t.Fatal(err)
		}
		return open(token, p.get(p.op.EndpointURL(optest.JWKSEndpoint)).body)
	}
	for _, test := range logoutFaults {
		t.Run(test.fault.String(), func(t *testing.T) {
			if test.seen(logoutToken()) {
				t.Error("seen without the fault")
			}
			p.op.Fault(test.fault)
			defer p.op.ClearFaults()
			if got := logoutToken(); !test.seen(got) {
				t.Errorf("not seen: %v %v", got.header, got.claims)
			}
		})
	}
}

// BCL-17.
func TestLogoutNotEncrypted(t *testing.T) {
	t.Parallel()
	signatures := clientSignatures(t)
	public := signatures["RS256"].publicKey()
	public.Use = "enc"
	p := keyParty(t, nil, func(c *optest.Client) {
		c.AuthMethod, c.Secret = optest.ClientSecretBasic, secret
		c.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}
		c.IDTokenEncryption = optest.Encryption{Alg: "RSA-OAEP-256"}
	})
	dots := func() int {
		token, err := p.op.LogoutToken("keys", "alice", "")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(token, ".")
	}
	if n := dots(); n != 4 {
		t.Errorf("the honest token is no JWE: %d dots", n)
	}
	p.op.Fault(optest.LogoutNotEncrypted)
	if n := dots(); n != 2 {
		t.Errorf("%d dots with the fault", n)
	}
}

// RPL-06.
func TestLogoutStateFaults(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	back := func() url.Values {
		a := p.logout("client_id", "app", "post_logout_redirect_uri", byeURL, "state", "state-1")
		location, err := a.Location()
		if err != nil || a.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s: %v", a.Status, err)
		}
		return location.Query()
	}
	p.op.Fault(optest.LogoutOtherState)
	if got := back(); got.Get("state") != "another-state" {
		t.Errorf("other state: %v", got)
	}
	p.op.ClearFaults()
	p.op.Fault(optest.LogoutNoState)
	if got := back(); len(got) != 0 {
		t.Errorf("no state: %v", got)
	}
}
