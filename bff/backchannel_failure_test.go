package bff

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// faultyStore fails one of the calls that a logout makes, or all.
type faultyStore struct {
	session.Store
	countdown atomic.Int64 // the call that makes it zero fails
	down      atomic.Bool
}

var errDown = errors.New("the store is down")

func (s *faultyStore) fails() error {
	if s.countdown.Add(-1) == 0 || s.down.Load() {
		return errDown
	}
	return nil
}

func (s *faultyStore) Consumed(ctx context.Context, name string) (bool, error) {
	if err := s.fails(); err != nil {
		return false, err
	}
	return s.Store.Consumed(ctx, name)
}

func (s *faultyStore) Consume(ctx context.Context, name string, keep time.Duration) error {
	if err := s.fails(); err != nil {
		return err
	}
	return s.Store.Consume(ctx, name, keep)
}

func (s *faultyStore) Bury(ctx context.Context, index session.Index, at time.Time, keep time.Duration) error {
	if err := s.fails(); err != nil {
		return err
	}
	return s.Store.Bury(ctx, index, at, keep)
}

func (s *faultyStore) Scan(ctx context.Context, index session.Index, cursor string, limit int) ([]session.ID, string, error) {
	if err := s.fails(); err != nil {
		return nil, "", err
	}
	return s.Store.Scan(ctx, index, cursor, limit)
}

func (s *faultyStore) Find(ctx context.Context, index session.Index) ([]session.ID, error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	return s.Store.Find(ctx, index)
}

func (s *faultyStore) LoadAll(ctx context.Context, ids []session.ID) ([]session.Found, error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	return s.Store.LoadAll(ctx, ids)
}

func (s *faultyStore) Delete(ctx context.Context, id session.ID, reason session.Reason) (session.Record, error) {
	if err := s.fails(); err != nil {
		return session.Record{}, err
	}
	return s.Store.Delete(ctx, id, reason)
}

// BCL-22: whichever call of the store fails, the answer is no 200, and the OP's next attempt ends the sessions.
func TestBackchannelStoreFailure(t *testing.T) {
	t.Parallel()
	var causes []error
	a := newApp(t, func(o *setup) {
		o.OnLogoutTokenRefused = func(_ *http.Request, cause error) { causes = append(causes, cause) }
		o.AdmitLogoutToken = func(*http.Request) (func(bool), error) {
			return func(good bool) {
				if !good {
					t.Error("a failure of the store counts against the OP")
				}
			}, nil
		}
	})
	store := &faultyStore{Store: a.store.Store}
	a.store.Store = store
	for call := int64(1); ; call++ {
		if call > 100 {
			t.Fatal("no logout works")
		}
		sessions := []*session.Session{a.visitor("alice", "s1"), a.visitor("alice", "s2")}
		token := a.logoutToken("alice", "")
		causes = nil
		store.countdown.Store(call)
		rec := a.postLogoutToken(token)
		if store.countdown.Load() > 0 { // there are not so many calls
			wantLoggedOut(t, rec)
			if call < 6 {
				t.Errorf("a logout makes %d calls only; which does this store not know of?", call-1)
			}
			return
		}
		store.countdown.Store(0)
		if rec.Code == http.StatusOK || rec.Header().Get("Cache-Control") != "no-store" || strings.Contains(rec.Body.String(), token) {
			t.Errorf("call %d fails: %d %s %v", call, rec.Code, rec.Body, rec.Header())
		}
		if len(causes) != 1 || !errors.Is(causes[0], session.ErrStoreUnavailable) {
			t.Errorf("call %d fails: causes %v", call, causes)
		}
		wantLoggedOut(t, a.postLogoutToken(token))
		for _, s := range sessions {
			if a.isOpen(s) {
				t.Errorf("call %d failed, and the next attempt ended nothing", call)
			}
		}
		a.advance(2 * time.Second) // the next round's logins are younger than this logout
	}
}

// Without the OP's metadata or keys a token cannot be verified: no 200, and no 400, which an OP would take for an answer.
func TestBackchannelWithoutProvider(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	s := a.visitor("alice", "s1")
	a.advance(2 * time.Hour)
	a.op.Fault(optest.Status(optest.JWKSEndpoint, 500))
	rec := a.postLogoutToken(a.logoutToken("alice", "s1"))
	if rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), string(problem.ProviderUnavailable)) {
		t.Errorf("answer %d %s", rec.Code, rec.Body)
	}
	if found, err := a.store.LoadAll(t.Context(), []session.ID{s.ID}); err != nil || len(found) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	// What is not of this OP is refused all the same.
	a.op.Fault(optest.LogoutWrongIssuer)
	wantRefused(t, a.postLogoutToken(a.logoutToken("alice", "s1")), badToken)
}

// BCL-27: of the few tokens that are looked at at a time none waits long for an OP whose keys do not come, or whoever posts
// made-up ones in its name would keep out the tokens of all. They count as no good.
func TestBackchannelHangingKeys(t *testing.T) {
	t.Parallel()
	var good []bool
	a := newApp(t, notified, func(o *setup) {
		o.AdmitLogoutToken = func(*http.Request) (func(bool), error) {
			return func(g bool) { good = append(good, g) }, nil
		}
	})
	_, claimsAndSignature, _ := strings.Cut(a.logoutToken("alice", "s1"), ".")
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	a.op.Fault(optest.Reply("hangs", optest.JWKSEndpoint, func(http.ResponseWriter, *http.Request, http.Handler) { <-over }))
	begun := time.Now()
	rec := a.postLogoutToken(encoded(`{"alg":"RS256","typ":"logout+jwt","kid":"made-up"}`) + "." + claimsAndSignature)
	if took := time.Since(begun); rec.Code != http.StatusServiceUnavailable || took > 5*time.Second || !slices.Equal(good, []bool{false}) {
		t.Errorf("answer %d after %s, admission was told %v", rec.Code, took, good)
	}
}

// BCL-27, DIS-11: thousands of tokens with keys that nobody knows make one request to the OP, and the key that the OP
// begins to sign with is found when the pause is over.
func TestBackchannelFlood(t *testing.T) {
	t.Parallel()
	a := newApp(t, notified)
	s := a.visitor("alice", "s1")
	_, claimsAndSignature, _ := strings.Cut(a.logoutToken("alice", "s1"), ".")
	a.op.ForgetRequests()
	begun := time.Now()
	var work sync.WaitGroup
	for sender := range 4 {
		work.Go(func() {
			for i := range 500 {
				header := encoded(fmt.Sprintf(`{"alg":"RS256","typ":"logout+jwt","kid":"k-%d-%d"}`, sender, i))
				if rec := a.postLogoutToken(header + "." + claimsAndSignature); rec.Code != http.StatusBadRequest {
					t.Errorf("answer %d", rec.Code)
				}
			}
		})
	}
	work.Wait()
	if n, most := a.op.Count(optest.JWKSEndpoint), 1+int(time.Since(begun)/(10*time.Second)); n < 1 || n > most {
		t.Errorf("2000 bad tokens made %d key fetches, want at most %d", n, most)
	}
	if err := a.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	a.advance(11 * time.Second)
	wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "s1")))
	if a.isOpen(s) {
		t.Error("the session is still open")
	}
}
