package rp_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// payments asks for two types of authorization details.
const payments = `[{"type":"payment","amount":"1"},{"type":"account"}]`

func withDetails(details string) func(*optest.Config, *rp.Config) {
	return func(_ *optest.Config, c *rp.Config) { c.AuthorizationDetails = json.RawMessage(details) }
}

func granted(details any) optest.Fault { return optest.TokenMember("authorization_details", details) }

type detail map[string]any

// TestAuthorizationDetails is EXT-09: what was granted is kept, and stays the measure of every refresh.
func TestAuthorizationDetails(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, withDetails(payments))
	f.op.Fault(granted([]detail{{"type": "payment", "amount": "1", "id": "p1"}}))
	grant := f.login()
	const want = `[{"amount":"1","id":"p1","type":"payment"}]`
	if string(grant.Details) != want || string(grant.Identity.Details) != want {
		t.Errorf("granted %s, identity %s", grant.Details, grant.Identity.Details)
	}
	if !strings.Contains(f.log.String(), "missing_types=[account]") {
		t.Errorf("what is missing was not logged: %s", f.log)
	}
	stored, err := json.Marshal(grant.Identity)
	if err != nil {
		t.Fatal(err)
	}
	var identity rp.Identity
	if err := json.Unmarshal(stored, &identity); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(grant.Identity, identity); diff != "" {
		t.Error(diff)
	}
	f.op.ClearFaults()
	f.op.Fault(optest.OnRefresh(granted(nil)))
	refreshed, err := f.client.Refresh(t.Context(), grant.RefreshToken, identity)
	if err != nil {
		t.Fatal(err)
	}
	if string(refreshed.Details) != want || string(refreshed.Identity.Details) != want {
		t.Errorf("after a refresh that says nothing: %s, identity %s", refreshed.Details, refreshed.Identity.Details)
	}

	f.op.ClearFaults()
	f.op.Fault(optest.OnRefresh(granted([]detail{{"type": "payment"}, {"type": "account"}}))) // asked for, not granted at login
	_, err = f.client.Refresh(t.Context(), refreshed.RefreshToken, identity)
	mismatch, ok := errors.AsType[*rp.MismatchError](err)
	if !ok || !strings.Contains(err.Error(), "EXT-09") || mismatch.RefreshToken.IsZero() {
		t.Errorf("widened at a refresh: %v, want a MismatchError", err)
	}
}

// TestAuthorizationDetailsRefused: a login with details that were not asked for is dropped and given back (EXT-09).
func TestAuthorizationDetailsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		asked   string
		granted any
	}{
		"another type":     {payments, []detail{{"type": "payment"}, {"type": "admin"}}},
		"nothing asked":    {"", []detail{{"type": "payment"}}},
		"type missing":     {payments, []detail{{"amount": "1"}}},
		"type no string":   {payments, []detail{{"type": 7}}},
		"no objects":       {payments, []string{"payment"}},
		"null in the list": {payments, []any{nil}},
		"no array":         {payments, detail{"type": "payment"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := startLoaded(t, withDetails(tt.asked))
			f.op.Fault(granted(tt.granted))
			grant, err := f.exchange(nil)
			if !errors.Is(err, rp.ErrMismatch) || !strings.Contains(err.Error(), "EXT-09") || grant != nil {
				t.Errorf("error %v, want ErrMismatch naming EXT-09", err)
			}
			f.wantCount(optest.RevocationEndpoint, 1)
		})
	}
}

// TestAuthorizationDetailsAreSent as they are configured, and a browser adds none (EXT-09).
func TestAuthorizationDetailsAreSent(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, withDetails(payments), func(_ *optest.Config, c *rp.Config) { c.PushedRequests = rp.PushedOff })
	r := newRequest(nil)
	f.authorize(r)
	if got := f.op.Requests(optest.AuthorizationEndpoint)[0].Query.Get("authorization_details"); got != payments {
		t.Errorf("sent %s", got)
	}
	r.Params = map[string][]string{"authorization_details": {payments}}
	if _, _, err := f.client.AuthorizationURL(t.Context(), r); !errors.Is(err, rp.ErrParameter) {
		t.Errorf("%v, want ErrParameter", err)
	}
}

// TestResource is EXT-01: the same set at the authorization request, the token request and the refresh.
func TestResource(t *testing.T) {
	t.Parallel()
	want := []string{"https://api.example.com/a", "https://api.example.com/b"}
	for _, pushed := range []rp.PushedRequests{rp.PushedRequired, rp.PushedOff} {
		f := startLoaded(t, func(op *optest.Config, c *rp.Config) {
			op.Resources, c.Resource, c.PushedRequests = want, want, pushed
		})
		grant := f.login()
		second, err := f.client.Refresh(t.Context(), grant.RefreshToken, grant.Identity)
		if err != nil {
			t.Fatal(err)
		}
		grant.Identity.Resource = want[:1] // a session of before the configuration changed
		if _, err := f.client.Refresh(t.Context(), second.RefreshToken, grant.Identity); err != nil {
			t.Fatal(err)
		}
		requests := f.op.Requests(optest.TokenEndpoint)
		if diff := cmp.Diff(want[:1], requests[2].Form["resource"]); diff != "" {
			t.Error(diff)
		}
		sent := [][]string{requests[0].Form["resource"], requests[1].Form["resource"]}
		if pushed == rp.PushedOff {
			sent = append(sent, f.op.Requests(optest.AuthorizationEndpoint)[0].Query["resource"])
		} else {
			sent = append(sent, f.op.Requests(optest.PushedEndpoint)[0].Form["resource"])
		}
		if diff := cmp.Diff([][]string{want, want, want}, sent); diff != "" {
			t.Error(diff)
		}
	}
}

// TestResourceRefused: the token endpoint's invalid_target names what to change (EXT-01).
func TestResourceRefused(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(optest.TokenError("invalid_target", optest.HostileText))
	_, err := f.exchange(nil)
	if err == nil || !strings.Contains(err.Error(), "resource") || errors.Is(err, rp.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}
