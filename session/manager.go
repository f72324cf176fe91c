package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// What a caller can be told. Compare with [errors.Is].
var (
	ErrNone               = errors.New("session: there is none")
	ErrIdle               = errors.New("session: idle for too long")
	ErrExpired            = errors.New("session: expired")
	ErrEnded              = errors.New("session: ended")
	ErrReplaced           = fmt.Errorf("%w: a newer login in the same browser has replaced it", ErrEnded)
	ErrStoreUnavailable   = errors.New("session: the store is unavailable")
	ErrRefreshUnavailable = errors.New("session: the tokens cannot be refreshed at the moment")
	ErrTooMany            = errors.New("session: too many requests under way")
)

var errPanic = errors.New("session: panic")

// maxUserAgent bounds what a browser makes us keep, in bytes.
const maxUserAgent = 256

// Options of a [Manager].
type Options struct {
	IdleTimeout   time.Duration // without activity; default 30 minutes
	Lifetime      time.Duration // at most, from login; default 12 hours
	RefreshBefore time.Duration // the access token's expiry, at most a third of the token's lifetime; 0 is not before
	Refresher     Refresher     // nil: tokens are never refreshed nor revoked
	RevokeTokens  bool          // at the OP, when a session ends and its tokens are at hand
	PerUserLimit  int           // sessions of one user at a time (SES-03); 0 is no limit
	MaxRequests   int           // of one session under way in this replica (PX-34); 0 is no limit
	// CacheSize is about how many opened sessions are kept in memory, so that most requests do without the store; 0 is
	// none. What is served from there is at most two seconds old, and nothing is known to have happened to it since. A
	// session takes what its tokens and claims take, some kilobytes: 50 000 are plenty, and only those used within the
	// last minute are there.
	CacheSize int
	// Uncached has Open ask the store each time. What is in memory then only saves opening the same record again.
	Uncached bool
	Now      func() time.Time
	Logger   *slog.Logger
	// OnEvent receives every event, from many goroutines, at once and in the course of the work: it must not block. ctx
	// is that of the request which caused it, without its end, or of the sweep.
	OnEvent func(ctx context.Context, e Event)
}

// Manager is the only way to sessions. Every replica has one; they agree through the store.
type Manager struct {
	store   Store
	ring    *KeyRing
	opts    Options
	log     *slog.Logger
	owner   string // of this replica's refresh leases
	touches touches
	cache   *cache
	bonds   bonds

	exchanges exchanges

	stopHearing func()

	mu      sync.Mutex
	closed  bool
	flights map[ID]*flight // refreshes going on, and failed ones until they may be tried again
	work    sync.WaitGroup // refreshes and revocations under way
}

// Login is what a finished login makes a session of.
type Login struct {
	Provider  string
	Issuer    string
	Subject   string
	SID       string
	Identity  []byte
	Claims    map[string]json.RawMessage
	Tokens    Tokens
	UserAgent string
	IssuedAt  time.Time // iat of the ID token; a logout of the user ends the login if it is not younger (BCL-25)
	Previous  ID        // the session that this login replaces, "" for none
}

// NewManager makes a Manager. It starts nothing; see [Manager.Run].
func NewManager(store Store, ring *KeyRing, opts Options) *Manager {
	opts.IdleTimeout = cmp.Or(opts.IdleTimeout, 30*time.Minute)
	opts.Lifetime = cmp.Or(opts.Lifetime, 12*time.Hour)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		store: store, ring: ring, opts: opts, log: opts.Logger, owner: rand.Text(), flights: map[ID]*flight{},
		cache: newCache(opts.CacheSize), exchanges: exchanges{of: map[ID][]*exchange{}},
	}
	m.bonds.manager = m
	m.stopHearing = store.Follow(hearing{m})
	return m
}

// Create makes the session of a login, with a ticket that nobody has seen (FLOW-34, SES-11). The previous session of
// the browser ends first, so that there are never two (ASVS 7.2.4). Without a refresh token the session ends with its
// access token. A user who has more than PerUserLimit sessions then loses the oldest. Errors: ErrLoggedOut,
// ErrStoreUnavailable, and claims that are not JSON.
func (m *Manager) Create(ctx context.Context, login Login) (*Session, error) {
	if login.Previous != "" {
		if err := m.EndByID(ctx, login.Previous, ReasonReplaced); err != nil {
			return nil, err
		}
	}
	now := m.now().Truncate(time.Millisecond) // as a store keeps it
	created, err := m.succession(ctx, login.Issuer, login.Subject, now)
	if err != nil {
		return nil, err
	}
	ticket := NewTicket()
	s := &Session{
		ID:        ticket.ID(),
		Provider:  login.Provider,
		Issuer:    login.Issuer,
		Subject:   login.Subject,
		SID:       login.SID,
		Identity:  login.Identity,
		Claims:    login.Claims,
		Tokens:    login.Tokens,
		UserAgent: strings.ToValidUTF8(login.UserAgent[:min(len(login.UserAgent), maxUserAgent)], ""),
		CreatedAt: created,
		ExpiresAt: now.Add(m.opts.Lifetime),
		ticket:    ticket,
		version:   1,
	}
	if s.Tokens.Refresh.IsZero() && s.Tokens.ExpiresAt.Before(s.ExpiresAt) {
		s.ExpiresAt = s.Tokens.ExpiresAt
	}
	s = s.seen(created, m.opts.IdleTimeout)
	rec, err := m.ring.seal(s)
	if err != nil {
		return nil, err
	}
	err = m.store.Create(ctx, rec, Terms{
		Keep:         s.ExpiresAt.Sub(now) + Grace,
		KeepActivity: m.opts.IdleTimeout + Grace,
		Due:          s.due(),
	})
	if err != nil {
		return nil, unavailable(err)
	}
	m.emit(ctx, Event{Kind: EventLogin}, s)
	if err := m.heed(ctx, s, login.IssuedAt); err != nil {
		return nil, err
	}
	m.limit(ctx, s)
	return s, nil
}

// Open returns the session of a ticket, and does not count as activity. ErrNone, ErrIdle, ErrExpired and ErrEnded say
// that there is no such session and why; ErrStoreUnavailable says nothing about the session. A session that is found
// past a deadline ends here.
//
// The session may be as it was up to two seconds ago, if nothing is known to have happened to it since (see
// Options.CacheSize).
func (m *Manager) Open(ctx context.Context, ticket Ticket) (*Session, error) {
	key, now := ticket.digest(), time.Now()
	if s := m.cached(key, now); s != nil {
		return s, nil
	}
	fill := m.cache.begin(key, now, m.ring.keys.Load())
	s, record, err := m.loadRecord(ctx, ticket)
	if err == nil {
		fill(s, record)
	}
	return s, err
}

// load is Open of the session as it is in the store.
func (m *Manager) load(ctx context.Context, ticket Ticket) (*Session, error) {
	s, _, err := m.loadRecord(ctx, ticket)
	return s, err
}

// loadRecord is load; record is the digest of what the session was opened from.
func (m *Manager) loadRecord(ctx context.Context, ticket Ticket) (s *Session, record digest, err error) {
	rec, seen, err := m.store.Load(ctx, ticket.ID())
	if gone, ok := errors.AsType[*Gone](err); ok {
		return nil, record, gone.Reason.err()
	}
	if err != nil {
		return nil, record, unavailable(err)
	}
	record = sha256.Sum256(rec.Sealed)
	if s = m.cache.opened(ticket.digest(), record, rec.Version, m.ring.keys.Load()); s == nil {
		s, err = m.ring.open(ticket, rec)
	}
	if errors.Is(err, errRetired) {
		return nil, record, m.finish(ctx, rec.public(), ReasonKeyRetired)
	}
	if err != nil {
		m.log.ErrorContext(ctx, "a session's record cannot be opened", "session", rec.ID, "err", err)
		return nil, record, err
	}
	s = s.seen(seen, m.opts.IdleTimeout)
	if reason := s.over(m.now()); reason != "" {
		return nil, record, m.finish(ctx, s, reason)
	}
	return s, record, nil
}

// End ends a session: here at once, and then, if so configured, its tokens at the OP, which nobody waits for. It is
// done when it returns nil, also if the session had ended before. The error is ErrStoreUnavailable: the session may
// still be there. The work goes on if ctx ends.
func (m *Manager) End(ctx context.Context, s *Session, reason Reason) error {
	return m.end(ctx, s.ID, s, reason)
}

// EndByID is End for callers without a ticket. Unless this replica has the session open the record cannot be read, and
// nothing is revoked at the OP; with the record the tokens are lost to everybody.
func (m *Manager) EndByID(ctx context.Context, id ID, reason Reason) error {
	return m.end(ctx, id, nil, reason)
}

// end is the one place where sessions end. s may be nil, or without a ticket; then the tokens can only be revoked if this
// replica has the session open. Another may have refreshed since: the tokens to revoke are those of the record that was
// deleted.
func (m *Manager) end(ctx context.Context, id ID, s *Session, reason Reason) error {
	ctx = context.WithoutCancel(ctx)
	ticket, open := m.ticketOf(id) // as long as nobody has heard of the end
	if s != nil && !s.ticket.text.IsZero() {
		ticket, open = s.ticket, true
	}
	rec, err := m.store.Delete(ctx, id, reason)
	m.cache.drop(id) // whatever the answer is: it may be gone
	m.exchanges.drop(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	last := rec.public()
	if open {
		if last, err = m.ring.open(ticket, rec); err != nil {
			last = cmp.Or(s, rec.public())
		}
	}
	revoke := m.revokes(last, reason)
	m.emit(ctx, Event{Kind: EventEnded, Reason: reason, Revoking: revoke}, last)
	if revoke {
		m.revoke(ctx, last, last.Tokens)
	}
	return nil
}

// finish ends a session that nobody may use any more and returns what its user is told. That the store could not be
// asked to delete it changes nothing for the user; the sweep tries again.
func (m *Manager) finish(ctx context.Context, s *Session, reason Reason) error {
	if err := m.End(ctx, s, reason); err != nil {
		m.log.WarnContext(ctx, "a session could not be ended", "session", s.ID, "reason", reason, "err", err)
	}
	return reason.err()
}

// Consume succeeds once for each name within ttl, on all replicas together (FLOW-06). Afterwards the error is ErrSpent.
// With ErrStoreUnavailable the name may or may not be spent. The store sees a hash of the name.
func (m *Manager) Consume(ctx context.Context, name string, ttl time.Duration) error {
	err := m.store.Consume(ctx, string(newIndex("once", "", name)), ttl)
	if err != nil && !errors.Is(err, ErrSpent) {
		return unavailable(err)
	}
	return err
}

// Ping asks the store whether it is there. The error is ErrStoreUnavailable.
func (m *Manager) Ping(ctx context.Context) error {
	if err := m.store.Ping(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// Close waits for the refreshes and revocations under way, so that no rotated token is lost, and begins no new ones. Then
// it empties the cache. The error is that of ctx, when it ends first.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	done := make(chan struct{})
	go func() {
		m.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		m.stopHearing()
		m.cache.close()
		m.exchanges.clear()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// detach runs f apart from its caller, for Close to wait for. After Close the caller runs it.
func (m *Manager) detach(f func()) {
	m.mu.Lock()
	if !m.closed {
		m.work.Go(f)
		m.mu.Unlock()
		return
	}
	m.mu.Unlock()
	f()
}

// guard calls the Refresher in f, where no handler catches a panic: it would end the process, and everybody's requests
// with it. It becomes errPanic.
func (m *Manager) guard(ctx context.Context, s *Session, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			m.log.ErrorContext(ctx, "panic", "value", v, "session", s.ID, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return f()
}

func (m *Manager) now() time.Time { return m.opts.Now().UTC() }

// emit completes an event about a session and passes it on.
func (m *Manager) emit(ctx context.Context, e Event, s *Session) {
	if m.opts.OnEvent == nil {
		return
	}
	e.Session, e.Provider, e.Issuer, e.Subject = s.ID, s.Provider, s.Issuer, s.Subject
	m.opts.OnEvent(ctx, e)
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", ErrStoreUnavailable, err)
}
