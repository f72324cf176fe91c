package demo

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestKeyRotation: a kid nobody has heard of makes the API look again, but a stream of them does not make a stream of
// requests.
func TestKeyRotation(t *testing.T) {
	first, second := newRSAKey(t), newRSAKey(t)
	op := newKeyServer(t, publicKey("first", "sig", first.Public()))
	now := testTime
	keys, err := discoverKeys(t.Context(), op.Client(), op.URL, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	check := func(kid string, wantErr error, wantFetches int) {
		t.Helper()
		if _, err := keys.key(t.Context(), kid); !errors.Is(err, wantErr) {
			t.Errorf("key %q: error %v, want %v", kid, err, wantErr)
		}
		if got := op.fetches(); got != wantFetches {
			t.Errorf("key %q: %d fetches in all, want %d", kid, got, wantFetches)
		}
	}
	check("first", nil, 1)
	op.publish(publicKey("second", "sig", second.Public()))
	check("first", nil, 1)
	check("second", nil, 2)
	check("first", errUnknownKey, 2) // withdrawn, and the API has just looked
	now = now.Add(keyCooldown - time.Second)
	check("third", errUnknownKey, 2)
	now = now.Add(time.Second)
	check("third", errUnknownKey, 3)
	check("fourth", errUnknownKey, 3)

	op.Close()
	check("second", nil, 3) // known keys need no OP
	now = now.Add(keyCooldown)
	if _, err := keys.key(t.Context(), "fifth"); err == nil || errors.Is(err, errUnknownKey) {
		t.Errorf("with the OP down: %v, want an error that does not blame the token", err)
	}
}

func TestDiscoverKeysRefusesForeignMetadata(t *testing.T) {
	op := newKeyServer(t)
	op.issuer = "https://op.example"
	_, err := discoverKeys(t.Context(), op.Client(), op.URL, time.Now)
	if err == nil || !strings.Contains(err.Error(), "names the issuer") {
		t.Errorf("error %v, want one about the issuer", err)
	}
}
