package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
)

const (
	echoEvery  = time.Second            // what is published comes back before the next time, or the connection is dead
	retryAfter = 100 * time.Millisecond // a connection has ended
)

// listen subscribes until ctx ends, with one connection at a time for all watchers. On a Cluster that is to one node,
// which hears what is published at the others.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		s.follow(ctx)
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
	}
}

// follow passes notices on until the connection ends, or is of no use: its server hangs, or is not the primary any
// more and does not know yet. Calls find the primary, so that something is published by a call and awaited here.
func (s *Store) follow(ctx context.Context) {
	echo := s.prefix + "echo:" + rand.Text()
	pubsub := s.client.Subscribe(ctx, s.channel(), echo)
	closeIt := func() { _ = pubsub.Close() } // only fails when closed before
	defer closeIt()
	defer context.AfterFunc(ctx, closeIt)()
	heard, next := true, time.Now().Add(echoEvery)
	for {
		if left := time.Until(next); left > 0 {
			message, err := pubsub.ReceiveTimeout(ctx, left)
			timeout, ok := errors.AsType[net.Error](err)
			if err != nil && !(ok && timeout.Timeout()) {
				return
			}
			switch message := message.(type) {
			case *redis.Message:
				if message.Channel == echo {
					heard = true
				} else {
					s.notices.Tell(session.ID(message.Payload))
				}
			case *redis.Subscription: // a new connection, before which notices may have been missed
				s.notices.TellAll()
			}
			continue
		}
		if !heard || s.client.Publish(ctx, echo, "").Err() != nil {
			return
		}
		heard, next = false, time.Now().Add(echoEvery)
	}
}

// Watch implements [session.Store].
func (s *Store) Watch(id session.ID) (changed <-chan struct{}, stop func()) {
	return s.notices.Watch(id)
}

// Close ends the connections.
func (s *Store) Close() error {
	s.stopListening()
	s.listening.Wait()
	return s.client.Close()
}
