package rp_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// TestRefresh: the client authenticates as at login (RFR-10), a rotated token comes along (RFR-11), and userinfo is
// left alone.
func TestRefresh(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	first := f.login()
	f.clock.advance(time.Minute)
	second, err := f.client.Refresh(t.Context(), first.RefreshToken, first.Identity)
	if err != nil {
		t.Fatal(err)
	}
	if second.RefreshToken.IsZero() || second.RefreshToken.Equal(first.RefreshToken) || second.AccessToken.Equal(first.AccessToken) {
		t.Error("the tokens are the old ones")
	}
	if diff := cmp.Diff(first.Scope, second.Scope); diff != "" {
		t.Error(diff)
	}
	if !second.Identity.IssuedAt.After(first.Identity.IssuedAt) {
		t.Errorf("iat %v, want that of the new ID token, after %v", second.Identity.IssuedAt, first.Identity.IssuedAt)
	}
	third, err := f.client.Refresh(t.Context(), second.RefreshToken, second.Identity)
	if err != nil {
		t.Fatalf("refresh with the rotated token: %v", err)
	}
	if third.Identity.Nonce != first.Identity.Nonce || third.Identity.ACR != first.Identity.ACR ||
		!third.Identity.AuthTime.Equal(first.Identity.AuthTime) {
		t.Errorf("identity %+v, want that of the login %+v", third.Identity, first.Identity)
	}
	requests := f.op.Requests(optest.TokenEndpoint)
	if len(requests) != 3 || requests[1].Header.Get("Authorization") != requests[0].Header.Get("Authorization") {
		t.Errorf("%d token requests", len(requests))
	}
	f.wantCount(optest.UserInfoEndpoint, 1)
	f.wantQuiet()
}

// TestRefreshAccepted: what the answer to a refresh may be.
func TestRefreshAccepted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id     string
		fault  optest.Fault
		change func(*optest.Config, *rp.Config)
	}{
		{"RFR-01", optest.NoIDToken, nil},
		{"RFR-04", optest.AudienceArray, nil},
		{"RFR-06", optest.NoAuthTime, nil},
		{"RFR-07", optest.SameNonce, nil},
		{"RFR-07", optest.NoNonce, nil},
		{"RFR-07", optest.IDTokenClaim("nonce", nil), nil},
		{"RFR-13", optest.NoAtHash, nil},
		{"RFR-11", optest.NoRefreshToken, nil},
		{"RFR-11", optest.Fault{}, func(op *optest.Config, _ *rp.Config) { op.KeepRefreshTokens = true }},
	} {
		t.Run(tt.id+" "+tt.fault.String(), func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*optest.Config, *rp.Config) {}
			}
			f := startLoaded(t, change)
			first := f.login()
			f.op.Fault(optest.OnRefresh(tt.fault))
			second, err := f.client.Refresh(t.Context(), first.RefreshToken, first.Identity)
			if err != nil {
				t.Fatal(err)
			}
			if tt.id == "RFR-11" && !second.RefreshToken.IsZero() {
				t.Error("a refresh token that never came")
			}
			if tt.id == "RFR-01" && (!second.IDToken.IsZero() || second.Claims != nil || !second.Identity.IssuedAt.Equal(first.Identity.IssuedAt)) {
				t.Errorf("an ID token that never came: %+v", second)
			}
		})
	}
}

// TestRefreshMismatch: the whole answer is dropped, but for the refresh token that the caller is to revoke (RFR-09).
func TestRefreshMismatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id    string
		fault optest.Fault
	}{
		{"IDT-06", optest.WrongIssuer}, // RFR-02
		{"RFR-03", optest.OtherSubject},
		{"RFR-04", optest.ExtraAudience},
		{"IDT-07", optest.OtherAudience},
		{"RFR-05", optest.IssuedLongAgo},
		{"RFR-05", optest.EditIDToken("iat a minute before", func(t *optest.JWT) {
			t.Claims["iat"] = time.Now().Add(-time.Minute).Unix()
		})},
		{"RFR-06", optest.StaleAuthTime},
		{"RFR-07", optest.OtherNonce},
		{"IDT-02", optest.BadSignature}, // RFR-08
		{"IDT-03", optest.AlgNone},
		{"IDT-10", optest.Expired},
		{"IDT-11", optest.NoIssuedAt},
		{"IDT-12", optest.NoSubject},
		{"IDT-22", optest.TypeAccess},
		{"IDT-18", optest.WrongAtHash}, // RFR-13
	} {
		t.Run(tt.id+" "+tt.fault.String(), func(t *testing.T) {
			f := startLoaded(t, func(_ *optest.Config, c *rp.Config) { c.TrustedAudiences = []string{"another-client"} })
			first := f.login()
			f.op.Fault(optest.OnRefresh(tt.fault))
			second, err := f.client.Refresh(t.Context(), first.RefreshToken, first.Identity)
			if second != nil || !errors.Is(err, rp.ErrMismatch) || !errors.Is(err, rp.ErrIDToken) || !strings.Contains(err.Error(), tt.id) {
				t.Fatalf("error %v, want ErrMismatch naming %s", err, tt.id)
			}
			mismatch, ok := errors.AsType[*rp.MismatchError](err)
			if !ok || mismatch.RefreshToken.IsZero() || mismatch.RefreshToken.Equal(first.RefreshToken) {
				t.Fatal("the new refresh token is not there to be revoked")
			}
			if err := f.client.Revoke(t.Context(), mismatch.RefreshToken, "refresh_token"); err != nil {
				t.Errorf("revoking it: %v", err)
			}
			f.wantQuiet(err)
		})
	}
}

// TestRefreshComparesWithTheLogin: what go-oidc accepts, since it is a good ID token, of someone else.
func TestRefreshComparesWithTheLogin(t *testing.T) {
	t.Parallel()
	for id, change := range map[string]func(*rp.Identity){
		"RFR-02": func(i *rp.Identity) { i.Issuer = "https://op.invalid" },
		"RFR-03": func(i *rp.Identity) { i.Subject = "bob" },
		"RFR-04": func(i *rp.Identity) { i.Audience = []string{clientID, "another"} },
	} {
		f := startLoaded(t)
		first := f.login()
		change(&first.Identity)
		if _, err := f.client.Refresh(t.Context(), first.RefreshToken, first.Identity); !errors.Is(err, rp.ErrMismatch) || !strings.Contains(err.Error(), id) {
			t.Errorf("%s: %v, want ErrMismatch", id, err)
		}
	}
}

// TestRefreshWithoutKeys: an ID token that cannot be verified ends the grant like a bad one. ErrUnavailable would let
// the caller go on with a refresh token that is spent.
func TestRefreshWithoutKeys(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	first := f.login()
	f.op.Fault(optest.Status(optest.JWKSEndpoint, 503))
	if err := f.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	_, err := f.client.Refresh(t.Context(), first.RefreshToken, first.Identity)
	if !errors.Is(err, rp.ErrMismatch) || errors.Is(err, rp.ErrUnavailable) {
		t.Errorf("%v, want ErrMismatch alone", err)
	}
}

// TestRefreshInvalidGrant: the OP has forgotten the grant (RFR-28).
func TestRefreshInvalidGrant(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	first := f.login()
	f.op.RevokeGrants("alice")
	if _, err := f.client.Refresh(t.Context(), first.RefreshToken, first.Identity); !errors.Is(err, rp.ErrInvalidGrant) {
		t.Errorf("%v, want ErrInvalidGrant", err)
	}
}

// TestScopeAtRefresh is RFR-12: narrower counts, wider does not, absent means unchanged.
func TestScopeAtRefresh(t *testing.T) {
	t.Parallel()
	granted := []string{"openid", "profile", "email", "offline_access"}
	for name, tt := range map[string]struct {
		fault optest.Fault
		want  []string
	}{
		"same":     {optest.Fault{}, granted},
		"absent":   {optest.NoScope, granted},
		"narrower": {optest.NarrowerScope, []string{"openid"}},
		"wider":    {optest.WiderScope, granted},
	} {
		f := startLoaded(t)
		first := f.login()
		f.op.Fault(optest.OnRefresh(tt.fault))
		second, err := f.client.Refresh(t.Context(), first.RefreshToken, first.Identity)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, second.Scope); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if strings.Contains(f.log.String(), "widened") != (name == "wider") {
			t.Errorf("%s: log %s", name, f.log)
		}
	}
}
