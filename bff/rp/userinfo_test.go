package rp_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestUserinfo is UIN-01 to UIN-06.
func TestUserinfo(t *testing.T) {
	t.Parallel()
	userinfo := optest.UserInfoEndpoint
	const (
		used    = "used"
		dropped = "dropped in mode auto, fatal when required"
		fatal   = "fatal in both modes"
	)
	for _, tt := range []struct {
		id    string
		fault optest.Fault
		want  string
	}{
		{"UIN-02", optest.Fault{}, used},
		{"UIN-01", optest.UserInfoOtherSubject, fatal},
		{"UIN-01", optest.UserInfoNoSubject, fatal},
		{"UIN-01", optest.UserInfoClaim("sub", 7), fatal},
		{"UIN-03", optest.ContentType(userinfo, "application/jwt"), dropped},
		{"UIN-04", optest.HTML(userinfo), dropped},
		{"UIN-04", optest.ContentType(userinfo, "text/plain"), dropped},
		{"UIN-04", optest.Array(userinfo), dropped},
		{"UIN-05", optest.UserInfoConflictingClaims, used},
		{"UIN-05", optest.Status(userinfo, 500), dropped},
		{"UIN-05", optest.Status(userinfo, 403), dropped},
		{"UIN-05", optest.Gone(userinfo), dropped},
		{"UIN-06", optest.Redirect(userinfo, 307, trap(t).URL), dropped},
		{"DIS-18", optest.Huge(userinfo), dropped},
	} {
		for _, mode := range []rp.UserinfoMode{rp.UserinfoAuto, rp.UserinfoRequired} {
			t.Run(tt.id+" "+tt.fault.String()+" "+string(mode), func(t *testing.T) {
				f := startLoaded(t, func(_ *optest.Config, c *rp.Config) { c.Userinfo = mode })
				f.op.Fault(tt.fault)
				grant, err := f.exchange(nil)
				f.wantCount(userinfo, 1)
				f.wantCount(optest.TokenEndpoint, 1)
				f.wantQuiet(err)
				switch {
				case tt.want == fatal && !errors.Is(err, rp.ErrMismatch):
					t.Errorf("error %v, want ErrMismatch", err)
				case tt.want == dropped && mode == rp.UserinfoRequired && err == nil:
					t.Error("no error")
				case tt.want == dropped && mode == rp.UserinfoAuto && err != nil, tt.want == used && err != nil:
					t.Errorf("error %v", err)
				}
				if err != nil {
					return
				}
				if _, has := grant.Claims["name"]; has != (tt.want == used) {
					t.Errorf("claims %s", grant.Claims)
				}
				for name, value := range grant.Claims {
					if string(value) == `"from-userinfo"` || string(value) == "1" {
						t.Errorf("userinfo set %s", name)
					}
				}
			})
		}
	}
	t.Run("off", func(t *testing.T) {
		f := startLoaded(t, func(_ *optest.Config, c *rp.Config) { c.Userinfo = rp.UserinfoOff })
		f.login()
		f.wantCount(userinfo, 0)
	})
	t.Run("not at the OP", func(t *testing.T) {
		f := start(t)
		f.op.Fault(optest.WithoutMetadata("userinfo_endpoint"))
		f.load()
		f.login()
		f.wantCount(userinfo, 0)
	})
}

// TestSignedUserinfo is UIN-03: the JWT that is registered, checked like any other of the OP's, and nothing else.
func TestSignedUserinfo(t *testing.T) {
	t.Parallel()
	userinfo := optest.UserInfoEndpoint
	const ok = ""
	within := func(claim string, d time.Duration) optest.Fault {
		return optest.EditUserInfoJWT("userinfo: "+claim+" moved by "+d.String(), func(t *optest.JWT) {
			t.Claims[claim] = time.Now().Add(d).Unix()
		})
	}
	for _, tt := range []struct {
		fault optest.Fault
		want  string
	}{
		{optest.Fault{}, ok},
		{optest.UserInfoAudienceArray, ok},
		{within("exp", time.Minute), ok},
		{within("nbf", 30*time.Second), ok},
		{optest.UserInfoPlain, "not application/jwt"},
		{optest.ContentType(userinfo, "application/json"), "not application/jwt"},
		{optest.ContentType(userinfo, "text/plain"), "not application/jwt"},
		{optest.UserInfoWrongIssuer, "IDT-06"},
		{optest.UserInfoNoIssuer, "IDT-06"},
		{optest.UserInfoOtherAudience, "IDT-07"},
		{optest.UserInfoNoAudience, "IDT-07"},
		{optest.EditUserInfoJWT("userinfo: extra aud", func(t *optest.JWT) { t.Claims["aud"] = []string{clientID, "x"} }), "IDT-08"},
		{optest.UserInfoExpired, "IDT-10"},
		{within("nbf", 2*time.Minute), "IDT-13"},
		{optest.UserInfoTypeLogout, "IDT-22"},
		{optest.UserInfoBadSignature, "IDT-02"},
		{optest.UserInfoUnknownKid, "IDT-02"},
		{optest.UserInfoOtherAlg, "IDT-03"},
		{optest.UserInfoAlgNone, "IDT-03"},
		{optest.UserInfoAlgHS256PublicKey, "IDT-03"},
		{optest.UserInfoOversized, "larger than"}, // DIS-18
		{optest.EditUserInfoJWT("userinfo: long", func(t *optest.JWT) { t.Claims["x"] = strings.Repeat("a", 100<<10) }), "IDT-30"},
		{optest.UserInfoEncrypted, "IDT-24"},
		{optest.UserInfoOtherSubject, "UIN-01"},
		{optest.UserInfoNoSubject, "UIN-01"},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			f := startLoaded(t, func(_ *optest.Config, c *rp.Config) {
				c.Userinfo, c.UserinfoSigningAlg = rp.UserinfoRequired, "RS256"
			})
			f.op.Fault(tt.fault)
			grant, err := f.exchange(nil)
			f.wantQuiet(err)
			if got := f.op.Requests(userinfo); len(got) != 1 || got[0].Header.Get("Accept") != "application/jwt" {
				t.Errorf("userinfo requests %+v", got)
			}
			switch {
			case tt.want == ok && (err != nil || string(grant.Claims["name"]) != `"Alice"`):
				t.Errorf("error %v", err)
			case tt.want != ok && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want it to contain %q", err, tt.want)
			}
		})
	}
	t.Run("not registered", func(t *testing.T) {
		f := startLoaded(t, func(_ *optest.Config, c *rp.Config) { c.Userinfo = rp.UserinfoRequired })
		f.op.Fault(optest.UserInfoUnrequestedJWT)
		if _, err := f.exchange(nil); err == nil || !strings.Contains(err.Error(), "not application/json") {
			t.Errorf("error %v", err)
		}
	})
}

// TestEncryptedUserinfo is UIN-03 for a registration with encryption.
func TestEncryptedUserinfo(t *testing.T) {
	t.Parallel()
	change := encrypted(t, "ECDH-ES")
	for _, tt := range []struct {
		fault optest.Fault
		want  string
	}{
		{optest.Fault{}, ""},
		{optest.UserInfoNotEncrypted, "IDT-24"},
		{optest.UserInfoUnsigned, "IDT-30"},
		{optest.UserInfoBadSignature, "IDT-02"},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			f := startLoaded(t, change, func(_ *optest.Config, c *rp.Config) { c.Userinfo = rp.UserinfoRequired })
			f.op.Fault(tt.fault)
			_, err := f.exchange(nil)
			if (err == nil) != (tt.want == "") || err != nil && (errors.Is(err, rp.ErrIDToken) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestClaims: userinfo is asked again, with the checks of a login (UIN-01 to UIN-06).
func TestClaims(t *testing.T) {
	t.Parallel()
	userinfo := optest.UserInfoEndpoint
	const (
		used   = "used"
		absent = "nothing is known in mode auto, an error when required"
		fatal  = "ErrMismatch in both modes"
	)
	for _, tt := range []struct {
		id    string
		fault optest.Fault
		want  string
	}{
		{"UIN-02", optest.Fault{}, used},
		{"UIN-05", optest.UserInfoConflictingClaims, used},
		{"UIN-01", optest.UserInfoOtherSubject, fatal},
		{"UIN-01", optest.UserInfoNoSubject, fatal},
		{"UIN-03", optest.ContentType(userinfo, "application/jwt"), absent},
		{"UIN-04", optest.HTML(userinfo), absent},
		{"UIN-05", optest.Status(userinfo, 401), absent},
		{"UIN-06", optest.Redirect(userinfo, 307, trap(t).URL), absent},
		{"DIS-18", optest.Huge(userinfo), absent},
	} {
		for _, mode := range []rp.UserinfoMode{rp.UserinfoAuto, rp.UserinfoRequired} {
			t.Run(tt.id+" "+tt.fault.String()+" "+string(mode), func(t *testing.T) {
				f := startLoaded(t, func(_ *optest.Config, c *rp.Config) { c.Userinfo = mode })
				grant := f.login()
				f.op.ForgetRequests()
				f.op.Fault(tt.fault, optest.UserInfoClaim("name", "Alice B."))
				claims, err := f.client.Claims(t.Context(), grant.AccessToken, grant.IDToken, grant.Claims)
				f.wantCount(userinfo, 1)
				f.wantQuiet(err)
				switch {
				case tt.want == used && (err != nil || string(claims["name"]) != `"Alice B."`):
					t.Errorf("claims %s, error %v", claims, err)
				case tt.want == fatal && !errors.Is(err, rp.ErrMismatch),
					tt.want == absent && mode == rp.UserinfoRequired && (err == nil || errors.Is(err, rp.ErrMismatch)),
					tt.want == absent && mode == rp.UserinfoAuto && err != nil:
					t.Errorf("error %v", err)
				case tt.want != used && claims != nil:
					t.Errorf("claims %s", claims)
				}
				for name, value := range claims {
					if string(value) == `"from-userinfo"` || string(value) == "1" {
						t.Errorf("userinfo set %s", name)
					}
				}
			})
		}
	}
	for _, fault := range []optest.Fault{{}, optest.WithoutMetadata("userinfo_endpoint")} {
		t.Run("not asked "+fault.String(), func(t *testing.T) {
			f := start(t, func(_ *optest.Config, c *rp.Config) {
				if fault.String() == "" {
					c.Userinfo = rp.UserinfoOff
				}
			})
			f.op.Fault(fault)
			f.load()
			grant := f.login()
			claims, err := f.client.Claims(t.Context(), grant.AccessToken, grant.IDToken, grant.Claims)
			if claims != nil || err != nil {
				t.Errorf("claims %s, error %v", claims, err)
			}
			f.wantCount(userinfo, 0)
		})
	}
}

// TestClaimsAfterChanges: a claim that the OP has ceased to make is gone, one of the newest ID token is there, and how the
// user signed in stays when the ID token of a refresh does not say it.
func TestClaimsAfterChanges(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(optest.UserInfoClaim("groups", []string{"admin"}), optest.IDTokenClaim("acr", "mfa"), optest.IDTokenClaim("plan", "free"))
	first := f.login()
	if string(first.Claims["groups"]) != `["admin"]` {
		t.Fatalf("claims %s", first.Claims)
	}
	f.op.ClearFaults()
	f.op.Fault(optest.WithoutIDTokenClaim("acr"), optest.WithoutIDTokenClaim("auth_time"), optest.IDTokenClaim("plan", "paid"))
	second, err := f.client.Refresh(t.Context(), first.RefreshToken, first.Identity)
	if err != nil {
		t.Fatal(err)
	}
	known := maps.Clone(first.Claims)
	maps.Copy(known, second.Claims) // as a session keeps them
	claims, err := f.client.Claims(t.Context(), second.AccessToken, second.IDToken, known)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"groups": "", "acr": `"mfa"`, "auth_time": string(first.Claims["auth_time"]), "plan": `"paid"`, "name": `"Alice"`, "sub": `"alice"`,
	} {
		if got := string(claims[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if string(known["groups"]) == "" {
		t.Error("the claims of the session have been changed")
	}
	if _, err := f.client.Claims(t.Context(), second.AccessToken, secret.String{}, known); err == nil {
		t.Error("without an ID token: no error")
	}
}
