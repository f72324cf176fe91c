package rp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// wantRefused does a login that must fail for the signature of its ID token.
func (f *fixture) wantRefused() {
	f.Helper()
	if _, err := f.exchange(nil); !errors.Is(err, rp.ErrIDToken) || !strings.Contains(err.Error(), "IDT-02") {
		f.Errorf("error %v, want ErrIDToken naming IDT-02", err)
	}
}

// TestBadTokensDoNotDriveTheOP is DIS-11 and GOI-12.
func TestBadTokensDoNotDriveTheOP(t *testing.T) {
	t.Parallel()
	t.Run("unknown kid", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.UnknownKid)
		for range 20 {
			f.wantRefused()
		}
		f.wantCount(optest.JWKSEndpoint, 1+1)
		f.clock.advance(11 * time.Second)
		f.wantRefused()
		f.wantRefused()
		f.wantCount(optest.JWKSEndpoint, 1+2)
	})
	t.Run("unknown kid, at the same time", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.UnknownKid)
		var logins sync.WaitGroup
		for range 20 {
			r := newRequest(nil)
			code := f.code(r)
			logins.Go(func() {
				if _, err := f.client.Exchange(t.Context(), code, r); !errors.Is(err, rp.ErrIDToken) {
					t.Errorf("error %v, want ErrIDToken", err)
				}
			})
		}
		logins.Wait()
		f.wantCount(optest.JWKSEndpoint, 1+1)
	})
	t.Run("known kid, bad signature", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.BadSignature)
		for range 20 {
			f.wantRefused()
		}
		f.wantCount(optest.JWKSEndpoint, 1)
	})
	t.Run("no kid, bad signature", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.BadSignature, optest.NoKid)
		for range 20 {
			f.wantRefused()
		}
		f.wantCount(optest.JWKSEndpoint, 1+1)
	})
	t.Run("key set down", func(t *testing.T) {
		f := startLoaded(t)
		f.clock.advance(16 * time.Minute)
		f.op.Fault(optest.Status(optest.JWKSEndpoint, 503))
		for range 20 {
			f.login()
		}
		f.wantCount(optest.JWKSEndpoint, 1+1)
	})
}

// TestKeyRotation is DIS-12, also when the OP signs with a new key in the moment it publishes it, and again right after.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault optest.Fault
	}{{"with kid", optest.Fault{}}, {"IDT-20 without kid", optest.NoKid}} {
		t.Run(tt.name, func(t *testing.T) {
			f := startLoaded(t)
			f.op.Fault(tt.fault)
			for range 3 {
				if err := f.op.RotateKeys(); err != nil {
					t.Fatal(err)
				}
				f.op.RetireKeys()
				f.login()
				f.login()
			}
			f.wantCount(optest.JWKSEndpoint, 1+3)
		})
	}
}

// TestKeyRotationJustBeforeSigning is DIS-12 with an OP that never signs twice with one key: every login needs one look
// at the set, and gets it.
func TestKeyRotationJustBeforeSigning(t *testing.T) {
	t.Parallel()
	for _, fault := range []optest.Fault{optest.RotateBeforeSigning, optest.ReplaceBeforeSigning} {
		f := startLoaded(t, func(op *optest.Config, c *rp.Config) { op.SigningAlg, c.SigningAlg = "EdDSA", "EdDSA" })
		f.op.Fault(fault)
		for range 4 {
			f.login()
		}
		f.wantCount(optest.JWKSEndpoint, 1+4)
	}
}

// TestKeySetMoves is DIS-08: another jwks_uri is used, with nothing left of the keys at the old one.
func TestKeySetMoves(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	another, err := optest.New(optest.Config{Issuer: f.op.Issuer()})
	if err != nil {
		t.Fatal(err)
	}
	moved := httptest.NewServer(another)
	defer moved.Close()
	f.op.Fault(optest.Metadata("jwks_uri", moved.URL+"/jwks"))
	f.load()
	f.wantRefused()
	if log := f.log.String(); !strings.Contains(log, "metadata changed") || !strings.Contains(log, moved.URL) {
		t.Errorf("the change was not logged: %s", log)
	}
	f.op.ClearFaults()
	f.load()
	f.login()
}

// TestSlowKeySet is DIS-18: a login does not wait for a slow key set longer than its caller does.
func TestSlowKeySet(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(optest.UnknownKid)
	r := newRequest(nil)
	code := f.code(r)
	_, err := f.client.Exchange(f.leaveAt(optest.JWKSEndpoint), code, r)
	if !errors.Is(err, rp.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want ErrUnavailable and Canceled", err)
	}
}

// TestNoKeySet is IDT-05: an OP whose every signature is a MAC needs no keys.
func TestNoKeySet(t *testing.T) {
	t.Parallel()
	f := start(t, macs)
	f.op.Fault(optest.MetadataNoJWKSURI)
	f.load()
	f.login()
	f.wantCount(optest.JWKSEndpoint, 0)

	f = start(t, macs, func(_ *optest.Config, c *rp.Config) { c.UserinfoSigningAlg = "RS256" })
	f.op.Fault(optest.MetadataNoJWKSURI)
	if err := f.client.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "jwks_uri is missing") {
		t.Errorf("Load: %v", err)
	}
}

// TestKeysForEverythingSigned: keys are asked for by every algorithm that is registered, not only by that of ID tokens.
func TestKeysForEverythingSigned(t *testing.T) {
	t.Parallel()
	f := start(t, func(_ *optest.Config, c *rp.Config) { c.UserinfoSigningAlg = "ES384" })
	f.op.Fault(optest.EditJWKS("without ES384", func(set optest.JWKS) optest.JWKS {
		return slices.DeleteFunc(set, func(key map[string]any) bool { return key["alg"] == "ES384" })
	}))
	if err := f.client.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "no key for the signing algorithm ES384") {
		t.Errorf("Load: %v", err)
	}
}

// TestKeyRotationAfterTTL: a fetch that the TTL asked for starts no cooldown.
func TestKeyRotationAfterTTL(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.clock.advance(16 * time.Minute)
	f.login()
	if err := f.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	f.login()
	f.wantCount(optest.JWKSEndpoint, 3)
}

// TestKeyRotationUnderAttack: bad tokens delay the look at a new key by the cooldown, not for ever.
func TestKeyRotationUnderAttack(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	f.op.Fault(optest.UnknownKid)
	f.wantRefused()
	f.op.ClearFaults()
	if err := f.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	f.wantRefused()
	f.clock.advance(11 * time.Second)
	f.login()
}

// TestRemovedKeys is DIS-13: trusted for the TTL, and longer only while the OP cannot be asked.
func TestRemovedKeys(t *testing.T) {
	t.Parallel()
	t.Run("removed", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.JWKSEmpty)
		f.clock.advance(14 * time.Minute)
		f.login()
		f.clock.advance(2 * time.Minute)
		f.wantRefused()
	})
	t.Run("cannot be asked", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.Status(optest.JWKSEndpoint, 503))
		f.clock.advance(59 * time.Minute)
		f.login()
		f.clock.advance(2 * time.Minute)
		if _, err := f.exchange(nil); !errors.Is(err, rp.ErrUnavailable) {
			t.Errorf("error %v, want ErrUnavailable", err)
		}
		f.op.ClearFaults()
		f.clock.advance(11 * time.Second)
		f.login()
	})
	t.Run("withdrawn at a reload", func(t *testing.T) {
		f := startLoaded(t)
		f.op.Fault(optest.JWKSEmpty)
		if err := f.client.Load(t.Context()); err == nil {
			t.Error("a key set without keys was loaded")
		}
		f.wantRefused()
	})
}

// TestKeysThatDoNotCount is DIS-14 to DIS-16: with these alone the OP is not usable.
func TestKeysThatDoNotCount(t *testing.T) {
	t.Parallel()
	for _, fault := range []optest.Fault{
		optest.JWKSEncryptionUse, optest.JWKSEncryptionOps, optest.JWKSOtherAlg, optest.JWKSPrivateKeys, optest.JWKSSymmetricKeys,
	} {
		t.Run(fault.String(), func(t *testing.T) {
			f := start(t)
			f.op.Fault(fault)
			if err := f.client.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "holds no key") {
				t.Errorf("Load: %v", err)
			}
			if warned := strings.Contains(f.log.String(), "level=WARN"); warned != strings.Contains(f.log.String(), "private") {
				t.Errorf("log %s", f.log)
			}

			// Nor do they when they come later.
			f.op.ClearFaults()
			f.load()
			f.op.Fault(fault)
			if err := f.op.RotateKeys(); err != nil {
				t.Fatal(err)
			}
			f.wantRefused()
		})
	}
	t.Run("DIS-16 weak key", func(t *testing.T) {
		f := start(t)
		f.op.Fault(optest.WeakKey)
		f.load()
		f.wantRefused()
	})
}

// TestKeysThatDoNotMatter: what else is in the set spoils nothing (DIS-17, IDT-20).
func TestKeysThatDoNotMatter(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]optest.Fault{
		"DIS-17 unknown types":    {optest.JWKSUnknownKeyType},
		"IDT-20 decoys":           {optest.JWKSDecoys},
		"IDT-20 decoys, no kid":   {optest.JWKSDecoys, optest.NoKid},
		"IDT-20 keys without kid": {optest.JWKSNoKids},
		"IDT-20 no kid anywhere":  {optest.JWKSNoKids, optest.NoKid},
		"DIS-17 nonsense entries": {optest.EditJWKS("", func(s optest.JWKS) optest.JWKS { return append(optest.JWKS{nil, {}}, s...) })},
		"certificate nonsense": {optest.EditJWKS("", func(s optest.JWKS) optest.JWKS {
			for _, key := range s {
				key["x5c"], key["x5u"] = []string{"AAAA"}, "::"
			}
			return s
		})},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.op.Fault(faults...)
			f.load()
			f.login()
			f.wantCount(optest.JWKSEndpoint, 1)
		})
	}
}

// TestFetchOutlivesItsCaller is GOI-18: the login that made us look at the keys is given up, and the look still serves
// the next one.
func TestFetchOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	f := startLoaded(t)
	if err := f.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}), make(chan struct{})
	f.op.Fault(optest.Reply("held", optest.JWKSEndpoint, func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		close(asked)
		<-release
		honest.ServeHTTP(w, r)
	}))

	ctx, cancel := context.WithCancel(t.Context())
	r := newRequest(nil)
	code := f.code(r)
	ended := make(chan error)
	go func() {
		_, err := f.client.Exchange(ctx, code, r)
		ended <- err
	}()
	<-asked
	cancel()
	if err := <-ended; !errors.Is(err, rp.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that went away: %v", err)
	}
	close(release)
	f.login()
	f.wantCount(optest.JWKSEndpoint, 2)
}
