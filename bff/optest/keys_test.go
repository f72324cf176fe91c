package optest_test

import (
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	kids := func() map[any]bool {
		set := map[any]bool{}
		for _, k := range p.ok(p.get(p.op.EndpointURL(optest.JWKSEndpoint)))["keys"].([]any) {
			k := k.(map[string]any)
			if k["use"] != "sig" || k["d"] != nil {
				t.Errorf("published key %v", k)
			}
			set[k["kid"]] = true
		}
		return set
	}
	before := p.login()["id_token"]
	_, oldHeader := p.verified(before)
	if err := p.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	_, newHeader := p.verified(p.login()["id_token"])
	if oldHeader["kid"] == newHeader["kid"] {
		t.Error("the new ID token is signed with the old key")
	}
	if got := kids(); len(got) != 4 || !got[oldHeader["kid"]] || !got[newHeader["kid"]] {
		t.Errorf("published after rotation: %v", got)
	}
	p.op.RetireKeys()
	if got := kids(); len(got) != 2 || got[oldHeader["kid"]] || !got[newHeader["kid"]] {
		t.Errorf("published after retirement: %v", got)
	}
	// A retired key still counts in an id_token_hint.
	a := p.get(p.op.EndpointURL(optest.EndSessionEndpoint) + "?id_token_hint=" + before.(string))
	if a.StatusCode != 200 {
		t.Errorf("logout with an old hint: %s %s", a.Status, a.body)
	}
}

// Two OPs of one process must not accept each other's tokens.
func TestKeysAreNotShared(t *testing.T) {
	t.Parallel()
	a, b := newParty(t, config()), newParty(t, config())
	_, headerA := a.verified(a.login()["id_token"])
	setA := a.get(a.op.EndpointURL(optest.JWKSEndpoint)).body
	setB := b.get(b.op.EndpointURL(optest.JWKSEndpoint)).body
	if setA == setB || headerA["kid"] == nil {
		t.Error("the same keys")
	}
}
