package rp_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestIDTokenRefused: each fault fails the login with an error that names the check, after one token request and
// before userinfo is asked (FLOW-08).
func TestIDTokenRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id    string // in the error
		fault optest.Fault
	}{
		{"IDT-01", optest.NoIDToken},
		{"IDT-02", optest.BadSignature},
		{"IDT-03", optest.OtherAlg},
		{"IDT-03", optest.AlgNone}, // IDT-04
		{"IDT-03", optest.AlgNoneOddCase},
		{"IDT-03", optest.AlgHS256PublicKey}, // IDT-05
		{"IDT-06", optest.WrongIssuer},
		{"IDT-06", optest.IssuerTrailingSlash},
		{"IDT-06", optest.NoIssuer},
		{"IDT-07", optest.NoAudience},
		{"IDT-07", optest.OtherAudience},
		{"IDT-07", optest.IDTokenClaim("aud", []string{})},
		{"IDT-08", optest.ExtraAudience},
		{"IDT-09", optest.OtherAzp},
		{"IDT-09", optest.IDTokenClaim("azp", "")},
		{"IDT-10", optest.Expired},
		{"IDT-10", optest.NoExpiry},
		{"IDT-10", optest.IDTokenClaim("exp", "9999999999")},
		{"IDT-10", optest.IDTokenClaim("exp", 1e15)},
		{"IDT-11", optest.NoIssuedAt},
		{"IDT-11", optest.IssuedInFuture},
		{"IDT-11", optest.IssuedLongAgo},
		{"IDT-11", optest.IDTokenClaim("iat", "1700000000")},
		{"IDT-12", optest.NoSubject},
		{"IDT-12", optest.EmptySubject},
		{"IDT-12", optest.LongSubject},
		{"IDT-12", optest.IDTokenClaim("sub", "älice")},
		{"IDT-12", optest.IDTokenClaim("sub", "alice\r\nX-Evil: 1")},
		{"IDT-12", optest.IDTokenClaim("sub", "alice\x7f")},
		{"IDT-25", optest.IDTokenClaim("sub", 7)},
		{"IDT-25", optest.TwoSubjects},
		{"IDT-25", optest.IDTokenClaim("exp", json.RawMessage("1e400"))},
		{"IDT-13", optest.NotYetValid},
		{"IDT-14", optest.NoNonce},
		{"IDT-14", optest.OtherNonce},
		{"IDT-14", optest.IDTokenClaim("nonce", nil)},
		{"IDT-18", optest.WrongAtHash},
		{"IDT-18", optest.IDTokenClaim("at_hash", "")},
		{"IDT-02", optest.EmbeddedJWK}, // IDT-19
		{"IDT-02", optest.UnknownKid},
		{"IDT-21", optest.UnknownCrit},
		{"IDT-22", optest.LogoutEvents},
		{"IDT-22", optest.TypeLogout},
		{"IDT-22", optest.TypeAccess},
		{"IDT-22", optest.TypeLogoutOddCase}, // IDT-23
		{"IDT-22", optest.TypeDPoP},
		{"IDT-22", optest.TypeRequestObject},
		{"IDT-22", optest.TypeIntrospection},
		{"IDT-24", optest.TokenMember("id_token", "a.b.c.d.e")},
		{"IDT-24", optest.UnregisteredEncryption},
		{"IDT-30", optest.TokenMember("id_token", "a.b")},
		{"IDT-30", optest.TokenMember("id_token", "{}")},
		{"IDT-30", optest.ExtraPart},
		{"IDT-30", optest.IDTokenClaim("padding", strings.Repeat("a", 100<<10))},
	} {
		t.Run(tt.id+" "+tt.fault.String(), func(t *testing.T) {
			f := startLoaded(t)
			f.op.Fault(tt.fault)
			grant, err := f.exchange(nil)
			if !errors.Is(err, rp.ErrIDToken) || !strings.Contains(err.Error(), tt.id) || grant != nil {
				t.Errorf("error %v, want ErrIDToken naming %s", err, tt.id)
			}
			f.wantCount(optest.TokenEndpoint, 1)
			f.wantCount(optest.UserInfoEndpoint, 0)
			f.wantQuiet(err)
		})
	}
}

// TestIDTokenAccepted: what an OP may do.
func TestIDTokenAccepted(t *testing.T) {
	t.Parallel()
	trust := func(_ *optest.Config, c *rp.Config) { c.TrustedAudiences = []string{"another-client"} }
	soon := func(claim string, d time.Duration) optest.Fault {
		return optest.EditIDToken(claim+" within the leeway", func(t *optest.JWT) {
			t.Claims[claim] = time.Now().Add(d).Unix()
		})
	}
	for _, tt := range []struct {
		id     string
		fault  optest.Fault
		change func(*optest.Config, *rp.Config)
	}{
		{"IDT-07", optest.AudienceArray, nil},
		{"IDT-08", optest.ExtraAudience, trust},
		{"IDT-09", optest.IDTokenClaim("azp", clientID), nil},
		{"IDT-10", soon("exp", -30*time.Second), nil},
		{"IDT-11", soon("iat", 30*time.Second), nil},
		{"IDT-13", soon("nbf", 30*time.Second), nil},
		{"IDT-12", optest.Fault{}, nil},
		{"IDT-18", optest.NoAtHash, nil},
		{"IDT-20", optest.NoKid, nil},
		{"IDT-23", optest.NoType, nil},
		{"IDT-23", optest.TypeOddCase, nil},
		{"IDT-23", optest.IDTokenType("application/JWT"), nil},
		{"IDT-25", optest.FractionalDates, nil},
		{"IDT-25", optest.UnknownClaims, nil},
		{"IDT-25", optest.IDTokenClaim("azp", nil), nil},
		{"IDT-25", optest.IDTokenClaim("nbf", nil), nil},
		{"IDT-25", optest.IDTokenClaim("at_hash", nil), nil},
		{"IDT-25", optest.IDTokenClaim("events", nil), nil},
	} {
		t.Run(tt.id+" "+tt.fault.String(), func(t *testing.T) {
			var changes []func(*optest.Config, *rp.Config)
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			f := startLoaded(t, changes...)
			f.op.Fault(tt.fault)
			f.login()
		})
	}
}

// TestLeewayEnds: a minute, not more (IDT-10, IDT-11, IDT-13).
func TestLeewayEnds(t *testing.T) {
	t.Parallel()
	for claim, d := range map[string]time.Duration{"exp": -2 * time.Minute, "iat": 2 * time.Minute, "nbf": 2 * time.Minute} {
		f := startLoaded(t)
		f.op.Fault(optest.EditIDToken(claim, func(t *optest.JWT) { t.Claims[claim] = time.Now().Add(d).Unix() }))
		if _, err := f.exchange(nil); !errors.Is(err, rp.ErrIDToken) {
			t.Errorf("%s %v away: %v, want ErrIDToken", claim, d, err)
		}
	}
}

// macs configures HS256, at the client and at the OP.
func macs(_ *optest.Config, c *rp.Config) {
	c.SigningAlg, c.ClientSecret = "HS256", secret.New(clientSecret+" of 32 octets")
}

func TestSigningAlgorithms(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256",
	} {
		t.Run(alg, func(t *testing.T) {
			f := startLoaded(t, macs, func(op *optest.Config, c *rp.Config) {
				if c.SigningAlg = alg; alg != "HS256" {
					op.SigningAlg = alg
				}
			})
			f.login()
			for _, fault := range []optest.Fault{
				optest.WrongAtHash, // its hash follows the algorithm (IDT-18)
				optest.BadSignature,
				optest.AlgNone,
				optest.OtherAlg,
			} {
				f.op.ClearFaults()
				f.op.Fault(fault)
				if _, err := f.exchange(nil); !errors.Is(err, rp.ErrIDToken) {
					t.Errorf("%s: %v", fault, err)
				}
			}
		})
	}
}

func authTime(d time.Duration) optest.Fault {
	return optest.EditIDToken("auth_time moved by "+d.String(), func(t *optest.JWT) {
		t.Claims["auth_time"] = time.Now().Add(d).Unix()
	})
}

// TestEmptyNonce: a request without a nonce does not make a token without one right (IDT-14).
func TestEmptyNonce(t *testing.T) {
	f := startLoaded(t)
	f.op.Fault(optest.NoNonce)
	r := newRequest(nil)
	code := f.code(r)
	r.Nonce = ""
	if _, err := f.client.Exchange(t.Context(), code, r); !errors.Is(err, rp.ErrIDToken) || !strings.Contains(err.Error(), "IDT-14") {
		t.Errorf("error %v, want ErrIDToken naming IDT-14", err)
	}
}

// TestRequestedAuthentication: acr and auth_time are what was asked for (IDT-16, IDT-17), whoever asked.
func TestRequestedAuthentication(t *testing.T) {
	t.Parallel()
	fixed := func(name, value string) func(*optest.Config, *rp.Config) {
		return func(_ *optest.Config, c *rp.Config) { c.AuthorizationParams = map[string]string{name: value} }
	}
	none := func(*optest.Config, *rp.Config) {}
	for _, tt := range []struct {
		name   string
		params url.Values
		change func(*optest.Config, *rp.Config)
		fault  optest.Fault
		want   string // "": accepted
	}{
		{"acr met", url.Values{"acr_values": {"gold mfa"}}, none, optest.Fault{}, ""},
		{"acr not asked for", nil, none, optest.OtherACR, ""},
		{"acr other", url.Values{"acr_values": {"gold mfa"}}, none, optest.OtherACR, "IDT-16"},
		{"acr missing", url.Values{"acr_values": {"mfa"}}, none, optest.NoACR, "IDT-16"},
		{"acr fixed", nil, fixed("acr_values", "mfa"), optest.OtherACR, "IDT-16"},
		{"acr fixed and asked for", url.Values{"acr_values": {"another-acr"}}, fixed("acr_values", "mfa"), optest.OtherACR, "IDT-16"},
		{"acr essential, met", nil, fixed("claims", `{"id_token":{"acr":{"essential":true,"values":["pwd"]}}}`), optest.Fault{}, ""},
		{"acr voluntary", nil, fixed("claims", `{"id_token":{"acr":{"values":["mfa"]}}}`), optest.OtherACR, ""},
		{"acr essential, other", nil, fixed("claims", `{"id_token":{"acr":{"essential":true,"values":["mfa"]}}}`), optest.OtherACR, "IDT-16"},
		{"acr essential, one value", nil, fixed("claims", `{"id_token":{"acr":{"essential":true,"value":"mfa"}}}`), optest.OtherACR, "IDT-16"},
		{"acr essential, missing", nil, fixed("claims", `{"id_token":{"acr":{"essential":true}}}`), optest.NoACR, "IDT-16"},
		{"auth_time essential, missing", nil, fixed("claims", `{"id_token":{"auth_time":{"essential":true}}}`), optest.NoAuthTime, "IDT-17"},
		{"max_age met", url.Values{"max_age": {"0"}}, none, optest.Fault{}, ""},
		{"max_age not asked for", nil, none, optest.StaleAuthTime, ""},
		{"auth_time stale", url.Values{"max_age": {"60"}}, none, optest.StaleAuthTime, "IDT-17"},
		{"auth_time stale by more than the leeway", url.Values{"max_age": {"60"}}, none, authTime(-3 * time.Minute), "IDT-17"},
		{"auth_time missing", url.Values{"max_age": {"60"}}, none, optest.NoAuthTime, "IDT-17"},
		{"auth_time in the future", url.Values{"max_age": {"60"}}, none, authTime(2 * time.Minute), "IDT-17"},
		{"auth_time in the future, not asked for", nil, none, authTime(2 * time.Minute), "IDT-17"},
		{"auth_time within the leeway", url.Values{"max_age": {"60"}}, none, authTime(30 * time.Second), ""},
		{"auth_time of the wrong type", nil, none, optest.IDTokenClaim("auth_time", "now"), "IDT-17"},
		{"max_age fixed", nil, fixed("max_age", "60"), optest.StaleAuthTime, "IDT-17"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := startLoaded(t, tt.change)
			f.op.Fault(tt.fault)
			_, err := f.exchange(tt.params)
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (!errors.Is(err, rp.ErrIDToken) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want ErrIDToken naming %s", err, tt.want)
			}
		})
	}
}

// TestMaxAgeCountsFromTheStart: reading the consent page for minutes does not make a fresh sign-in old (IDT-17).
func TestMaxAgeCountsFromTheStart(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(authTime(-3 * time.Minute))
	r := newRequest(url.Values{"max_age": {"0"}})
	r.Started = time.Now().Add(-4 * time.Minute)
	if _, err := f.client.Exchange(t.Context(), f.code(r), r); err != nil {
		t.Error(err)
	}
}

// TestDistributedClaimsAreNotFetched is IDT-29.
func TestDistributedClaimsAreNotFetched(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(
		optest.IDTokenClaim("_claim_names", map[string]string{"address": "src"}),
		optest.IDTokenClaim("_claim_sources", map[string]any{"src": map[string]string{"endpoint": trap(t).URL}}),
	)
	f.login()
}

// TestIdentity: what a later refresh is compared with (IDT-31), and that it survives the store.
func TestIdentity(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(optest.IDTokenClaim("sid", "s1"), optest.IDTokenClaim("azp", clientID), optest.UnknownClaims)
	r := newRequest(nil)
	grant, err := f.client.Exchange(t.Context(), f.code(r), r)
	if err != nil {
		t.Fatal(err)
	}
	id := grant.Identity
	if id.Issuer != f.op.Issuer() || id.Subject != "alice" || id.SID != "s1" || id.Nonce != r.Nonce || id.AZP != clientID ||
		id.ACR != "pwd" || len(id.Audience) != 1 || id.AuthTime.IsZero() || time.Since(id.IssuedAt).Abs() > time.Minute {
		t.Errorf("identity %+v", id)
	}
	data, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	var back rp.Identity
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.Refresh(t.Context(), grant.RefreshToken, back); err != nil {
		t.Errorf("refresh with the stored identity: %v", err)
	}
	if string(grant.Claims["urn:optest:claim"]) != `{"a":1}` {
		t.Errorf("claims %s", grant.Claims)
	}
}

// encrypted registers encryption to a key of ours.
func encrypted(t *testing.T, alg string) func(*optest.Config, *rp.Config) {
	t.Helper()
	key := keyFor(t, alg)
	key.Use = "enc"
	keys := clientKeysOf(t, key)
	return func(_ *optest.Config, c *rp.Config) {
		c.Keys = keys
		c.UserinfoSigningAlg = "RS256"
		c.IDTokenEncryption, c.UserinfoEncryption = rp.Encryption{Alg: alg}, rp.Encryption{Alg: alg, Enc: "A256GCM"}
	}
}

// TestEncryptedLogin is IDT-24 and UIN-03 with an OP that encrypts, and one that does not do it as registered.
func TestEncryptedLogin(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RSA-OAEP-256", "ECDH-ES"} {
		change := encrypted(t, alg)
		for _, tt := range []struct {
			fault optest.Fault
			want  string
		}{
			{optest.Fault{}, ""},
			{optest.NotEncrypted, "IDT-24"},
			{optest.OtherKeyEncryption, "IDT-24"},
			{optest.OtherContentEncryption, "IDT-24"},
			{optest.EncryptedToStranger, "IDT-24"},
			{optest.BadCiphertext, "IDT-24"},
			{optest.ZipBomb, "IDT-24"},
			{optest.EncryptedUnsigned, "IDT-30"},
			{optest.BadSignature, "IDT-02"},
			{optest.OtherNonce, "IDT-14"},
		} {
			t.Run(alg+" "+tt.fault.String(), func(t *testing.T) {
				f := startLoaded(t, change)
				f.op.Fault(tt.fault)
				grant, err := f.exchange(nil)
				f.wantQuiet(err)
				if tt.want == "" {
					if err != nil || strings.Count(grant.IDToken.Reveal(), ".") != 2 || string(grant.Claims["name"]) != `"Alice"` {
						t.Errorf("grant %+v, error %v", grant, err)
					}
					return
				}
				if !errors.Is(err, rp.ErrIDToken) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want ErrIDToken naming %s", err, tt.want)
				}
			})
		}
	}
}
