package session

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	listBatch    = 500 // sessions that are read at a time, at most
	scansPerPage = 10  // so that few matches among many sessions do not make a page last
)

// Filter selects sessions for [Manager.List]. Empty fields select all; several have to match all. With Issuers, a
// Subject or SID is found by an index; otherwise every session is looked at.
type Filter struct {
	Provider string
	Issuers  []string
	Subject  string
	SID      string
}

// indexes are where the sessions are to be found, and others with them.
func (f Filter) indexes() []Index {
	if len(f.Issuers) == 0 || f.Subject == "" && f.SID == "" {
		return []Index{AllSessions}
	}
	var indexes []Index
	for _, issuer := range f.Issuers {
		if f.SID != "" {
			indexes = append(indexes, SIDIndex(issuer, f.SID))
		} else {
			indexes = append(indexes, SubjectIndex(issuer, f.Subject))
		}
	}
	return indexes
}

// matches asks the record, which is the authority: an index is a hint.
func (f Filter) matches(rec *Record) bool {
	return (f.Provider == "" || rec.Provider == f.Provider) &&
		(len(f.Issuers) == 0 || slices.Contains(f.Issuers, rec.Issuer)) &&
		(f.Subject == "" || rec.Subject == f.Subject) &&
		(f.SID == "" || rec.SID == f.SID)
}

// List returns about limit live sessions that match, as far as they are in clear, in no order, and the cursor to go on
// with, for the same filter: it is "" at the beginning and at the end, else a text of digits, letters, "-", "_" and ".".
// A page may be short, or empty, with more to come; a session may come twice. Errors: ErrCursor, ErrStoreUnavailable.
func (m *Manager) List(ctx context.Context, f Filter, cursor string, limit int) (sessions []*Session, next string, err error) {
	limit = max(limit, 1)
	indexes := f.indexes()
	at, next, err := parseCursor(cursor)
	if err != nil || at >= len(indexes) {
		return nil, "", ErrCursor
	}
	for range scansPerPage {
		var ids []ID
		ids, next, err = m.store.Scan(ctx, indexes[at], next, min(limit, listBatch))
		if errors.Is(err, ErrCursor) {
			return nil, "", err
		}
		if err != nil {
			return nil, "", unavailable(err)
		}
		found, err := m.store.LoadAll(ctx, ids)
		if err != nil {
			return nil, "", unavailable(err)
		}
		found = slices.DeleteFunc(found, func(each Found) bool { return !f.matches(&each.Record) })
		sessions = append(sessions, m.live(found, m.now())...)
		if next == "" {
			at++
		}
		if at == len(indexes) {
			return sessions, "", nil
		}
		if len(sessions) >= limit {
			break
		}
	}
	return sessions, strconv.Itoa(at) + "." + next, nil
}

// parseCursor returns which index comes next, and the store's cursor there.
func parseCursor(cursor string) (at int, next string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	number, next, ok := strings.Cut(cursor, ".")
	at, err = strconv.Atoi(number)
	if !ok || err != nil || at < 0 {
		return 0, "", ErrCursor
	}
	return at, next, nil
}

// OfUser returns the live sessions of a user as far as they are in clear, the newest first. The error is
// ErrStoreUnavailable.
func (m *Manager) OfUser(ctx context.Context, issuer, subject string) ([]*Session, error) {
	sessions, err := m.ofUser(ctx, issuer, subject, m.now())
	slices.Reverse(sessions)
	return sessions, err
}

// Lookup is Open for callers without a ticket: of the session there is what is in clear. It does not end a session that
// is past a deadline; the sweep does.
func (m *Manager) Lookup(ctx context.Context, id ID) (*Session, error) {
	if !id.valid() {
		return nil, ErrNone
	}
	rec, seen, err := m.store.Load(ctx, id)
	if gone, ok := errors.AsType[*Gone](err); ok {
		return nil, gone.Reason.err()
	}
	if err != nil {
		return nil, unavailable(err)
	}
	s := rec.public().seen(seen, m.opts.IdleTimeout)
	if reason := s.over(m.now()); reason != "" {
		return nil, reason.err()
	}
	return s, nil
}

// valid reports whether the id can be one. Others may hold anything, and do not become part of a key.
func (id ID) valid() bool {
	hash, err := base64.RawURLEncoding.Strict().DecodeString(string(id))
	return err == nil && len(hash) == 32 && len(id) == 43
}

// live returns the sessions of records that are not past a deadline, as far as they are in clear. Others that are still
// there are the sweep's.
func (m *Manager) live(found []Found, now time.Time) []*Session {
	var live []*Session
	for _, f := range found {
		s := f.Record.public().seen(f.Seen, m.opts.IdleTimeout)
		if s.over(now) == "" {
			live = append(live, s)
		}
	}
	return live
}
