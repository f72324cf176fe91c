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

func withResources(_ *optest.Config, c *rp.Config) { c.Resource = []string{ordersAPI, stockAPI} }

// RFC 8707 §2.2 (EXT-01, EXT-02): an access token for one resource of the login's, with the session going on as after any
// refresh (RFR-10, RFR-11): the next one is for all resources again.
func TestRefreshFor(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, withResources)
	login := f.login()
	f.op.ForgetRequests()
	f.clock.advance(time.Minute)
	one, err := f.client.RefreshFor(t.Context(), login.RefreshToken, login.Identity, stockAPI)
	if err != nil {
		t.Fatal(err)
	}
	form := f.askedForm()
	if diff := cmp.Diff([]string{stockAPI}, form["resource"]); diff != "" || form.Has("scope") || form.Has("audience") {
		t.Errorf("form %v", form)
	}
	issued, ok := f.op.AccessToken(one.AccessToken.Reveal())
	if diff := cmp.Diff([]string{stockAPI}, issued.Audience); diff != "" || !ok {
		t.Errorf("audience %s", diff)
	}
	if one.RefreshToken.IsZero() || one.RefreshToken.Equal(login.RefreshToken) ||
		!one.Identity.IssuedAt.After(login.Identity.IssuedAt) || !cmp.Equal(one.Identity.Resource, login.Identity.Resource) {
		t.Errorf("grant %+v", one)
	}
	all, err := f.client.Refresh(t.Context(), one.RefreshToken, one.Identity)
	if err != nil {
		t.Fatal(err)
	}
	issued, _ = f.op.AccessToken(all.AccessToken.Reveal())
	if diff := cmp.Diff([]string{ordersAPI, stockAPI}, issued.Audience); diff != "" {
		t.Error(diff)
	}
	f.wantQuiet()
}

// EXT-01: a resource beyond those of the login, and what can be none, is never sent.
func TestRefreshForAnotherResource(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, withResources)
	login := f.login()
	f.op.ForgetRequests()
	named, unnamed := login.Identity, login.Identity
	unnamed.Resource = nil
	for _, tt := range []struct {
		original rp.Identity
		resource string
	}{
		{named, "https://another.example.com"},
		{unnamed, ""},
		{unnamed, "/relative"},
		{unnamed, ordersAPI + "#part"},
	} {
		grant, err := f.client.RefreshFor(t.Context(), login.RefreshToken, tt.original, tt.resource)
		if grant != nil || !errors.Is(err, rp.ErrInvalidTarget) {
			t.Errorf("%q: %v, want ErrInvalidTarget", tt.resource, err)
		}
	}
	f.wantCount(optest.TokenEndpoint, 0)
}

// EXT-01: where the login has named no resource the OP decides. Its refusal says where to look, is not one of the grant,
// and leaves the refresh token as good as it was.
func TestRefreshForInvalidTarget(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	login := f.login()
	_, err := f.client.RefreshFor(t.Context(), login.RefreshToken, login.Identity, ordersAPI)
	if !errors.Is(err, rp.ErrInvalidTarget) || errors.Is(err, rp.ErrInvalidGrant) || errors.Is(err, rp.ErrMismatch) ||
		!strings.Contains(err.Error(), "EXT-01") {
		t.Errorf("%v, want ErrInvalidTarget alone, naming EXT-01", err)
	}
	f.wantCount(optest.TokenEndpoint, 2)
	if _, err := f.client.Refresh(t.Context(), login.RefreshToken, login.Identity); err != nil {
		t.Errorf("the refresh token afterwards: %v", err)
	}
	f.wantQuiet(err)
}

// RFR-01 to RFR-13 hold as at any refresh.
func TestRefreshForChecksAsRefresh(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id    string
		fault optest.Fault
		want  error
	}{
		{"RFR-03", optest.OtherSubject, rp.ErrMismatch},
		{"RFR-05", optest.IssuedLongAgo, rp.ErrMismatch},
		{"RFR-07", optest.OtherNonce, rp.ErrMismatch},
		{"IDT-02", optest.BadSignature, rp.ErrMismatch},
		{"IDT-18", optest.WrongAtHash, rp.ErrMismatch},
		{"EXT-09", optest.OtherAuthorizationDetails, rp.ErrMismatch},
		{"invalid_grant", optest.TokenError("invalid_grant", ""), rp.ErrInvalidGrant},
		{"FLOW-30", optest.TokenTypeDPoP, rp.ErrUncertain},
		{"RFR-01", optest.NoIDToken, nil},
		{"RFR-11", optest.NoRefreshToken, nil},
		{"RFR-12", optest.WiderScope, nil},
	} {
		f := startLoaded(t, withResources)
		login := f.login()
		f.op.Fault(optest.OnRefresh(tt.fault))
		grant, err := f.client.RefreshFor(t.Context(), login.RefreshToken, login.Identity, ordersAPI)
		if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.id) {
			t.Errorf("%s: %v, want %v", tt.id, err, tt.want)
		}
		if mismatch, ok := errors.AsType[*rp.MismatchError](err); ok && mismatch.RefreshToken.IsZero() {
			t.Errorf("%s: the new refresh token is not there to be revoked (RFR-09)", tt.id)
		}
		if err == nil && !cmp.Equal(grant.Scope, login.Scope) {
			t.Errorf("%s: scope %v", tt.id, grant.Scope)
		}
		f.wantQuiet(err)
	}
}
