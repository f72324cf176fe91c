package gateway

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session/secret"
)

// RFR-32: a token that an upstream refuses is replaced, but at most once in ten seconds, and stays in use meanwhile.
func TestAnotherClientToken(t *testing.T) {
	testClientToken(t, time.Hour, func(t *testing.T, s *tokenSource) {
		first := s.good()
		_, err := s.Another(t.Context(), secret.New(first)) // young: the OP would not be the one to ask
		s.wantUnavailable(err)
		s.wantRequests(1)

		time.Sleep(11 * time.Second)
		s.op.Fault(optest.SlowToken(2 * time.Second))
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				token, err := s.Another(t.Context(), secret.New(first))
				if err != nil || token.Reveal() == first {
					t.Errorf("another: %v", err)
				}
			})
		}
		time.Sleep(time.Second)
		if s.good() != first {
			t.Error("the others do not go on with the first token")
		}
		group.Wait()
		s.wantRequests(2)

		s.op.ClearFaults()
		second := s.good()
		if token, err := s.Another(t.Context(), secret.New(first)); err != nil || token.Reveal() != second {
			t.Errorf("late to say so: %v", err)
		}
		for range 100 {
			time.Sleep(time.Second)
			_, _ = s.Another(t.Context(), secret.New(s.good())) // an upstream that refuses everything
		}
		if n := s.op.CountGrants("client_credentials"); n > 12 {
			t.Errorf("%d token requests", n)
		}
	})
}

// While the OP is down an upstream that refuses the token takes it away from nobody else, and does not have it asked for
// without a pause.
func TestAnotherClientTokenWhileTheOPIsDown(t *testing.T) {
	testClientToken(t, time.Hour, func(t *testing.T, s *tokenSource) {
		first := s.good()
		s.op.Fault(optest.Status(optest.TokenEndpoint, 503))
		time.Sleep(11 * time.Second)
		for range 100 {
			_, err := s.Another(t.Context(), secret.New(first))
			s.wantUnavailable(err)
			if s.good() != first {
				t.Fatal("another token")
			}
		}
		s.wantRequests(2)
		s.op.ClearFaults()
		time.Sleep(time.Second)
		second, err := s.Another(t.Context(), secret.New(first))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Another(t.Context(), second); err == nil || !strings.Contains(err.Error(), "a new one") {
			t.Errorf("%v, want that the refused token is new", err)
		}
	})
}
