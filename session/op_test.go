package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/secret"
)

// testOP is the OP as a session.Refresher sees it. It rotates refresh tokens strictly: one that comes a second time
// revokes the grant (RFC 9700 §4.14.2).
type testOP struct {
	now func() time.Time
	// answer, if set, is called with each request and what it would get, and decides what it gets.
	answer func(ctx context.Context, s *session.Session, got *session.Refreshed) (*session.Refreshed, error)
	// answerFor, if set, is answer for any audience.
	answerFor func(a session.Audience, s *session.Session, got *session.Refreshed) (*session.Refreshed, error)
	// claims, if set, answers for Claims.
	claims func(ctx context.Context, s *session.Session) (map[string]json.RawMessage, error)
	// exchange, if set, answers for Exchange.
	exchange func(ctx context.Context, s *session.Session, a session.Audience) (*session.AudienceToken, error)

	mu      sync.Mutex
	serial  int
	current map[string]bool // refresh tokens: true while good, false when used or revoked
	calls   int
	reused  int
	revoked []string // refresh tokens, by us
}

const tokenLife = 5 * time.Minute

// grant issues the first tokens of a login.
func (op *testOP) grant() session.Tokens {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.serial++
	refresh := fmt.Sprintf("marker-refresh-%d", op.serial)
	op.current[refresh] = true
	return session.Tokens{
		Access:    secret.New(fmt.Sprintf("marker-access-%d", op.serial)),
		IssuedAt:  op.now(),
		ExpiresAt: op.now().Add(tokenLife),
		Refresh:   secret.New(refresh),
		ID:        secret.New("marker-id-token"),
		Scope:     []string{"openid"},
	}
}

func (op *testOP) Refresh(ctx context.Context, s *session.Session) (*session.Refreshed, error) {
	return op.refresh(ctx, s, session.Audience{})
}

func (op *testOP) refresh(ctx context.Context, s *session.Session, a session.Audience) (*session.Refreshed, error) {
	op.mu.Lock()
	op.calls++
	refresh := s.Tokens.Refresh.Reveal()
	good := op.current[refresh]
	if good {
		op.current[refresh] = false
	} else {
		op.reused++
		clear(op.current)
	}
	op.mu.Unlock()
	if !good {
		return nil, fmt.Errorf("%w: invalid_grant", session.ErrGrantRefused)
	}
	got := &session.Refreshed{Tokens: op.grant()}
	if a.Resource != "" {
		got.Tokens.Access = secret.New(got.Tokens.Access.Reveal() + " for " + a.Resource)
		got.Tokens.Scope = []string{"read"}
	}
	if op.answerFor != nil {
		return op.answerFor(a, s, got)
	}
	if op.answer != nil {
		return op.answer(ctx, s, got)
	}
	return got, nil
}

// unprocessed takes back the rotation, for an answer that says that there was none.
func (op *testOP) unprocessed(s *session.Session, got *session.Refreshed) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.current[s.Tokens.Refresh.Reveal()] = true
	delete(op.current, got.Tokens.Refresh.Reveal())
}

func (op *testOP) Revoke(_ context.Context, provider string, t session.Tokens) error {
	if provider != "default" {
		return errors.New("unknown provider")
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	op.revoked = append(op.revoked, t.Refresh.Reveal())
	return nil
}

func (op *testOP) count() (calls, reused int) {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.calls, op.reused
}

func (op *testOP) revocations() []string {
	op.mu.Lock()
	defer op.mu.Unlock()
	return append([]string(nil), op.revoked...)
}

// Claims implements [session.Refresher].
func (op *testOP) Claims(ctx context.Context, s *session.Session) (map[string]json.RawMessage, error) {
	if op.claims == nil {
		return nil, nil
	}
	return op.claims(ctx, s)
}

// RefreshFor implements [session.Refresher].
func (op *testOP) RefreshFor(ctx context.Context, s *session.Session, a session.Audience) (*session.Refreshed, error) {
	return op.refresh(ctx, s, a)
}

// Exchange implements [session.Refresher].
func (op *testOP) Exchange(ctx context.Context, s *session.Session, a session.Audience) (*session.AudienceToken, error) {
	if op.exchange == nil {
		return nil, errors.New("no exchange")
	}
	return op.exchange(ctx, s, a)
}
