package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrLoggedOut is the error of [Manager.Create] when the OP has ended the login while it was being written. There is no
// session, and the tokens are revoked as those of one: the caller says that signing in did not work (login_failed), and
// lets the user try again.
var ErrLoggedOut = fmt.Errorf("%w: the OP has ended this login already", ErrEnded)

const (
	endBatch   = 100 // sessions that are read at a time
	endAtATime = 8   // sessions that are ended at a time
)

// Logout is what the OP wants ended (Back-Channel Logout 1.0 §2.7): with SID the sessions of (Issuer, SID), of which
// Subject, if there is one, has to be the user; without SID all of (Issuer, Subject).
type Logout struct {
	Issuer, Subject, SID string
	IssuedAt             time.Time // iat of the logout token; zero is now
}

// EndMatching ends what a logout names, sessions whose login is being written too (BCL-25), and returns how many there
// were. None is no error (BCL-20). The work goes on if ctx ends. The error is ErrStoreUnavailable: some may still be
// there, and the call is to be repeated. A store that takes nothing new, being full, still ends what there is.
//
// The tombstone is written before anybody looks for sessions, and a login looks for tombstones after its session is
// written: whichever comes later sees the other.
func (m *Manager) EndMatching(ctx context.Context, l Logout, reason Reason) (ended int, err error) {
	ctx = context.WithoutCancel(ctx)
	if l.IssuedAt.IsZero() {
		l.IssuedAt = m.now()
	}
	if err = m.store.Bury(ctx, l.tombstone(), l.IssuedAt, TombstoneLife); err != nil {
		err = unavailable(err)
	}
	ended, failed := m.EndSelected(ctx, Filter{Issuers: []string{l.Issuer}, Subject: l.Subject, SID: l.SID}, "", reason)
	return ended, errors.Join(err, failed)
}

// tombstone is the name of a logout, for logins to look for. With both sid and sub it is not the index of the sid, which
// the session of another user may share.
func (l Logout) tombstone() Index {
	switch {
	case l.SID == "":
		return SubjectIndex(l.Issuer, l.Subject)
	case l.Subject == "":
		return SIDIndex(l.Issuer, l.SID)
	default:
		return newIndex("pair", l.Issuer, l.Subject, l.SID)
	}
}

// heed ends a session that has just been written if the OP has ended it before, and returns ErrLoggedOut then. A logout
// by sub ends what the user has had by then, not the next login: one whose ID token is younger stands. A session at the
// OP ends once, so that a logout by sid is good for every login that belongs to it.
func (m *Manager) heed(ctx context.Context, s *Session, issuedAt time.Time) error {
	ctx = context.WithoutCancel(ctx)
	logouts := []Logout{{Issuer: s.Issuer, Subject: s.Subject}}
	if s.SID != "" {
		logouts = append(logouts, Logout{Issuer: s.Issuer, SID: s.SID}, Logout{Issuer: s.Issuer, Subject: s.Subject, SID: s.SID})
	}
	var names []Index
	for _, l := range logouts {
		names = append(names, l.tombstone())
	}
	buried, err := m.store.Buried(ctx, names...)
	if err != nil {
		return unavailable(err)
	}
	if issuedAt.After(buried[0]) {
		buried = buried[1:]
	}
	if !slices.ContainsFunc(buried, func(at time.Time) bool { return !at.IsZero() }) {
		return nil
	}
	// The logout may have found the session already, and could not open it.
	if err := m.EndByID(ctx, s.ID, ReasonBackchannel); err != nil {
		return err
	}
	if m.revokes(s, ReasonBackchannel) {
		m.revoke(ctx, s, s.Tokens)
	}
	return ErrLoggedOut
}

// EndSelected ends the sessions that a filter selects but one, which may be "", and returns how many there were. A filter
// without a Subject or SID, which would be everybody, ends nothing. A login that is under way is not among them. The work
// goes on if ctx ends. The error is ErrStoreUnavailable: some may still be there.
func (m *Manager) EndSelected(ctx context.Context, f Filter, but ID, reason Reason) (ended int, err error) {
	if f.Subject == "" && f.SID == "" {
		return 0, nil
	}
	ctx = context.WithoutCancel(ctx)
	selected := func(rec *Record) bool { return rec.ID != but && f.matches(rec) }
	for _, index := range f.indexes() {
		n, err := m.endAll(ctx, index, selected, reason)
		ended += n
		if err != nil {
			return ended, err
		}
	}
	return ended, nil
}

// endAll ends the sessions under an index that match, and returns how many there were. It goes on after a failure with
// the sessions at hand, and then stops. An index of many pages is read again until a pass finds nothing to end: when
// another server takes over between two pages, a pass may miss some.
func (m *Manager) endAll(ctx context.Context, index Index, matches func(*Record) bool, reason Reason) (ended int, err error) {
	cursor, before := "", 0
	for {
		ids, next, err := m.store.Scan(ctx, index, cursor, endBatch)
		if err != nil {
			return ended, unavailable(err)
		}
		found, err := m.store.LoadAll(ctx, ids)
		if err != nil {
			return ended, unavailable(err)
		}
		n, err := m.endFound(ctx, found, matches, reason)
		ended += n
		switch {
		case err != nil:
			return ended, err
		case next == "" && (cursor == "" || ended == before):
			return ended, nil
		case next == "":
			before = ended
		}
		cursor = next
	}
}

// endFound ends the sessions of one batch that match, several at a time.
func (m *Manager) endFound(ctx context.Context, found []Found, matches func(*Record) bool, reason Reason) (int, error) {
	var work errgroup.Group
	work.SetLimit(endAtATime)
	var ended atomic.Int64
	for _, f := range found {
		if !matches(&f.Record) {
			continue
		}
		work.Go(func() error {
			err := m.EndByID(ctx, f.Record.ID, reason)
			if err == nil {
				ended.Add(1)
			}
			return err
		})
	}
	err := work.Wait()
	return int(ended.Load()), err
}

// Seen reports whether a name has been consumed, see Consume. The error is ErrStoreUnavailable.
func (m *Manager) Seen(ctx context.Context, name string) (bool, error) {
	seen, err := m.store.Consumed(ctx, string(newIndex("once", "", name)))
	if err != nil {
		return false, unavailable(err)
	}
	return seen, nil
}
