package redisstore

import (
	"context"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// Watch implements [session.Store].
func (s *Store) Watch(id session.ID) (changed <-chan struct{}, stop func()) {
	return s.notices.Watch(id)
}

// Follow implements [session.Store].
func (s *Store) Follow(f session.Follower) (stop func()) { return s.notices.Follow(f) }

// HeardAt implements [session.Store]. Of what others than a Store have done it may be ahead, by the moment in which the
// server, at the end of a round, sends the invalidations that belong to it.
func (s *Store) HeardAt() time.Time { return s.feeds.heardAt() }

// Tell implements [session.Store].
func (s *Store) Tell(ctx context.Context, id session.ID) error {
	return try(ctx, func(ctx context.Context) error {
		return s.client.Publish(ctx, s.channel(), string(id)).Err()
	})
}

// Close ends the connections.
func (s *Store) Close() error {
	s.stopListening()
	s.listening.Wait()
	return s.client.Close()
}
