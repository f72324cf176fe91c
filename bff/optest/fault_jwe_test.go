package optest_test

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func encryptedParty(t *testing.T, private []jose.JSONWebKey, alg string) *party {
	t.Helper()
	e := optest.Encryption{Alg: alg}
	return newParty(t, registered(func(c *optest.Client) {
		c.JWKS, c.UserInfoAlg = publicKeys(private), "RS256"
		c.IDTokenEncryption, c.UserInfoEncryption, c.ResponseEncryption = e, e, e
	}))
}

// IDT-24.
func TestEncryptionFaults(t *testing.T) {
	t.Parallel()
	private := encryptionKeys(t)
	for _, alg := range []string{"RSA-OAEP", "ECDH-ES"} {
		p := encryptedParty(t, private, alg)
		for _, test := range []struct {
			fault optest.Fault
			seen  func(text string) bool
		}{
			{optest.NotEncrypted, func(text string) bool { return strings.Count(text, ".") == 2 }},
			{optest.OtherKeyEncryption, func(text string) bool {
				_, header := decrypted(t, text, private)
				return header.Algorithm != alg && header.Algorithm[:3] == alg[:3]
			}},
			{optest.OtherContentEncryption, func(text string) bool {
				_, header := decrypted(t, text, private)
				return header.ExtraHeaders["enc"] == "A128GCM"
			}},
			{optest.EncryptedToStranger, func(text string) bool {
				jwe, err := jose.ParseEncryptedCompact(text, keyAlgs, contentAlgs)
				return err == nil && jwe.Header.Algorithm == alg &&
					(jwe.Header.KeyID == "rsa" || jwe.Header.KeyID == "ec") && !opens(jwe, private)
			}},
			{optest.BadCiphertext, func(text string) bool {
				jwe, err := jose.ParseEncryptedCompact(text, keyAlgs, contentAlgs)
				return err == nil && !opens(jwe, private)
			}},
			{optest.EncryptedUnsigned, func(text string) bool {
				plain, header := decrypted(t, text, private)
				return strings.Contains(plain, `"sub":"alice"`) && header.ExtraHeaders["cty"] == nil
			}},
			{optest.ZipBomb, func(text string) bool {
				jwe, err := jose.ParseEncryptedCompact(text, keyAlgs, contentAlgs)
				return err == nil && jwe.Header.ExtraHeaders["zip"] == "DEF" && len(text) < 1<<17
			}},
		} {
			t.Run(alg+" "+test.fault.String(), func(t *testing.T) {
				p := *p
				p.T = t
				p.op.Fault(test.fault)
				defer p.op.ClearFaults()
				if text := p.login()["id_token"].(string); !test.seen(text) {
					t.Errorf("not seen: %.200s", text)
				}
			})
		}
	}
}

func opens(jwe *jose.JSONWebEncryption, private []jose.JSONWebKey) bool {
	for _, k := range private {
		if _, err := jwe.Decrypt(k); err == nil {
			return true
		}
	}
	return false
}

// What encrypts ID tokens wrongly can be had for the other tokens too.
func TestEncryptionFaultsOfOtherTokens(t *testing.T) {
	t.Parallel()
	private := encryptionKeys(t)
	p := encryptedParty(t, private, "ECDH-ES")
	userInfo := func() string { return p.userInfo(p.login()["access_token"]).body }
	response := func() string { return p.response().outside.Get("response") }
	for _, test := range []struct {
		fault optest.Fault
		token func() string
		parts int
		plain string
	}{
		{optest.UserInfoNotEncrypted, userInfo, 3, ""},
		{optest.ResponseNotEncrypted, response, 3, ""},
		{optest.UserInfoUnsigned, userInfo, 5, `"sub":"alice"`},
		{optest.ResponseUnsigned, response, 5, `"state":"state-1"`},
	} {
		p.op.Fault(test.fault)
		text := test.token()
		p.op.ClearFaults()
		if strings.Count(text, ".") != test.parts-1 {
			t.Errorf("%s: %s", test.fault, text)
		} else if test.parts == 5 {
			if plain, _ := decrypted(t, text, private); !strings.Contains(plain, test.plain) {
				t.Errorf("%s: %s", test.fault, plain)
			}
		}
	}
}

// A JWE where none was registered goes to a key of the client, if it has one.
func TestUnregisteredEncryption(t *testing.T) {
	t.Parallel()
	private := encryptionKeys(t)
	for name, keys := range map[string][]jose.JSONWebKey{"EC": private[1:2], "RSA": private[2:], "none": nil} {
		t.Run(name, func(t *testing.T) {
			p := newParty(t, registered(func(c *optest.Client) { c.JWKS = publicKeys(keys) }))
			p.op.Fault(optest.UnregisteredEncryption)
			text := p.login()["id_token"].(string)
			if jwe, err := jose.ParseEncryptedCompact(text, keyAlgs, contentAlgs); err != nil {
				t.Errorf("%v: %s", err, text)
			} else if opens(jwe, private) != (keys != nil) {
				t.Errorf("encrypted to %s", jwe.Header.KeyID)
			}
		})
	}
}
