package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// Errors of a [Store]. Everything else that a Store returns means that it could not be asked.
var (
	ErrNotFound = errors.New("session: no such record")
	ErrConflict = errors.New("session: the record has another version")
	ErrSpent    = errors.New("session: used before")
	ErrCursor   = errors.New("session: not a cursor")
)

const (
	// Grace is how long a record stays in the store after its deadline. Until then a sweep has ended the session
	// properly, with a reason; the store's own expiry is the net below.
	Grace = 10 * time.Minute
	// AbandonedFor is how long a store remembers that a lease was not released.
	AbandonedFor = time.Minute
	// TombstoneLife is how long a store remembers why a session ended.
	TombstoneLife = time.Hour
)

// Record is a session at rest. Everything that could be misused is in Sealed.
type Record struct {
	ID      ID
	Version uint64 // 1 at creation, one more at each Update
	Sealed  []byte

	// In clear, for listing and logout. The same is inside Sealed, and a Session is made from there.
	Provider  string
	Issuer    string
	Subject   string
	SID       string
	UserAgent string
	CreatedAt time.Time
	ExpiresAt time.Time // absolute deadline
}

// Indexes are the names under which the record is found: by (iss, sub) and, if the OP sent a sid, by (iss, sid).
func (r *Record) Indexes() []Index {
	indexes := []Index{SubjectIndex(r.Issuer, r.Subject)}
	if r.SID != "" {
		indexes = append(indexes, SIDIndex(r.Issuer, r.SID))
	}
	return indexes
}

// public is the session without what only its ticket opens.
func (r *Record) public() *Session {
	return &Session{
		ID: r.ID, Provider: r.Provider, Issuer: r.Issuer, Subject: r.Subject, SID: r.SID,
		UserAgent: r.UserAgent, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
	}
}

// Index names a set of sessions in the store (BCL-19). It is a hash: foreign text does not become part of a key.
type Index string

// SubjectIndex names the sessions of one user at one OP.
func SubjectIndex(issuer, subject string) Index { return newIndex("sub", issuer, subject) }

// SIDIndex names the sessions that belong to one session at the OP.
func SIDIndex(issuer, sid string) Index { return newIndex("sid", issuer, sid) }

// AllSessions is, for [Indexes.Scan], not a set but every session.
const AllSessions Index = ""

// newIndex hashes an issuer and values. No two lists of as many of them are the same text.
func newIndex(kind, issuer string, values ...string) Index {
	var text []byte
	last := issuer
	for _, value := range values {
		text = binary.BigEndian.AppendUint64(text, uint64(len(last)))
		text = append(text, last...)
		last = value
	}
	sum := sha256.Sum256(append(text, last...))
	return Index(kind + ":" + base64.RawURLEncoding.EncodeToString(sum[:]))
}

// Gone is the error of [Store.Load] for a session without a record. It matches [ErrNotFound].
type Gone struct {
	Reason Reason // why it ended; "" when it was never there, or ended longer than [TombstoneLife] ago
}

// Error implements error.
func (g *Gone) Error() string {
	if g.Reason == "" {
		return ErrNotFound.Error()
	}
	return "session: the record is gone: " + string(g.Reason)
}

// Unwrap makes [errors.Is] find ErrNotFound.
func (g *Gone) Unwrap() error { return ErrNotFound }

// Terms say how long the parts of a new session may stay in the store, by the store's own clock, and when the sweep
// has to look at it first, by the caller's.
type Terms struct {
	Keep         time.Duration // the record and its index entries
	KeepActivity time.Duration // the time of the last activity
	Due          time.Time
}

// Hold is the answer of [Store.Acquire].
type Hold struct {
	Taken     bool          // the caller holds the lease
	Abandoned bool          // when Taken: it has run out in the hands of another, less than AbandonedFor ago
	Resting   bool          // nobody works: the last holder asked for a pause
	Left      time.Duration // when not Taken: until the other's lease or the pause runs out, unless renewed
}

// Found is a record that [Store.LoadAll] has found.
type Found struct {
	Record Record
	Seen   time.Time // as of [Store.Load]
}

// Store keeps records and whatever replicas have to agree upon. It knows nothing of tickets, keys and tokens.
//
// A Store is safe for concurrent use by any number of processes. Each method is atomic as far as its comment says, and
// decided within a second even when the server behind it does not answer. An error that is none of ErrNotFound,
// ErrConflict, ErrSpent and ErrCursor means that the store could not be asked, and that the call may or may not have
// happened; Create, Update, Acquire, Renew, Release and Bury may then be repeated with the same arguments: a call that has
// happened succeeds again.
//
// What is past its time to stay is as if it had been deleted, without a tombstone.
type Store interface {
	Records
	Leases
	Indexes
	Feed

	// Consume notes that name has been used and remembers it for keep. ErrSpent: it was used before. Of any number of
	// concurrent callers one succeeds.
	Consume(ctx context.Context, name string, keep time.Duration) error

	// Consumed reports whether name has been used.
	Consumed(ctx context.Context, name string) (bool, error)

	// Due returns up to limit sessions whose due time is not after now, the earliest first.
	Due(ctx context.Context, now time.Time, limit int) ([]ID, error)

	// Schedule moves the due time of a session that has one.
	Schedule(ctx context.Context, id ID, due time.Time) error

	// Ping asks the store whether it is there.
	Ping(ctx context.Context) error
}

// Records are the sessions themselves.
type Records interface {
	// Create writes the index entries and the due time first and the record last, so that no record exists that a
	// logout cannot find. The last activity is rec.CreatedAt. ErrConflict: the id is in use, or has a tombstone.
	Create(ctx context.Context, rec Record, terms Terms) error

	// Load returns the record and the time of the last activity, zero when that is not known any more. A missing
	// record is a [*Gone].
	Load(ctx context.Context, id ID) (rec Record, seen time.Time, err error)

	// LoadAll is Load for up to a few hundred sessions, of which it leaves out those without a record. The order is that
	// of ids. It is not atomic.
	LoadAll(ctx context.Context, ids []ID) ([]Found, error)

	// Update replaces Version and Sealed of the record, in one step, if the stored version is rec.Version-1, and tells
	// the watchers. Nothing else changes, neither does the time to stay. ErrNotFound: there is no record, and Update
	// does not bring it back. ErrConflict: another version.
	Update(ctx context.Context, rec Record) error

	// Touch notes activity at a time, to be kept for a while. It does nothing where no activity is known, so that it
	// leaves no trace of a session that has ended.
	Touch(ctx context.Context, id ID, at time.Time, keep time.Duration) error

	// Delete removes the record and the activity and leaves a tombstone, in one step; then it removes the index
	// entries and the due time and tells the watchers. It returns the record as it was at that moment. ErrNotFound:
	// there was none; the tombstone is written unless there is one. Of several callers one gets the record.
	Delete(ctx context.Context, id ID, reason Reason) (Record, error)
}

// Leases are what one replica has at a time.
type Leases interface {
	// Acquire takes the lease of a session for owner, for ttl, unless another owner has it or it rests. An owner is
	// the random name of a replica, which works on a session once at a time.
	Acquire(ctx context.Context, id ID, owner string, ttl time.Duration) (Hold, error)

	// Renew extends the lease to ttl from now. ErrNotFound: owner does not have it (any more).
	Renew(ctx context.Context, id ID, owner string, ttl time.Duration) error

	// Release gives the lease back if owner has it, and tells the watchers. With a pause it rests: nobody gets it
	// until the pause is over.
	Release(ctx context.Context, id ID, owner string, pause time.Duration) error
}

// Indexes find the sessions of a logout.
type Indexes interface {
	// Find returns the sessions under an index, in no order. It is a hint: a record may be gone.
	Find(ctx context.Context, index Index) ([]ID, error)

	// Scan returns about limit of the sessions under an index, or with [AllSessions] of all there are, in no order, and
	// the cursor to go on with: "" at the beginning and at the end, else a text of digits, letters, "-", "_" and ".". A
	// session that is there from the first call to the last is returned at least once, unless another server takes over
	// in between. It is a hint as Find is, and no call holds the server up. ErrCursor: the cursor is malformed.
	Scan(ctx context.Context, index Index, cursor string, limit int) (ids []ID, next string, err error)

	// Bury notes, for keep from now, that the OP has ended what an index names, by a logout token issued at a time
	// (BCL-25), which is kept in milliseconds. Of several times the latest stays. The name need not be one of a record's
	// [Record.Indexes].
	Bury(ctx context.Context, index Index, at time.Time, keep time.Duration) error

	// Buried returns, for each index, the time that Bury has noted, or zero.
	Buried(ctx context.Context, indexes ...Index) ([]time.Time, error)
}
