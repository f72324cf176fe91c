package session

import (
	"context"
	"time"
)

// Feed tells what happens to sessions, whoever does it and on whichever replica.
type Feed interface {
	// Watch returns a channel that is readable after each Update, Delete, Release and Tell of the session by anybody, and
	// perhaps without a cause: the reader then looks. Notices that nobody has read yet count as one. Notices can be
	// lost while the connection to the server is down; then one comes when it is back. stop ends it.
	Watch(id ID) (changed <-chan struct{}, stop func())

	// Tell tells the watchers of a session.
	Tell(ctx context.Context, id ID) error

	// Follow has f hear of every session that is written or deleted, until stop.
	Follow(f Follower) (stop func())

	// HeardAt is the latest moment, by the clock of this process, of which it is known that whatever had been written or
	// deleted by then has been told to the followers. It is zero while the connection to the server is down.
	HeardAt() time.Time
}

// Follower hears what a [Feed] tells. Its methods are called one after the other and must not block.
type Follower interface {
	// Changed: a record was written, updated or deleted; perhaps nothing of it.
	Changed(id ID)
	// Missed: any record may have been, while the connection was down.
	Missed()
}
