package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
)

// listen subscribes, with one connection for all watchers that comes back by itself. Whenever a subscription begins,
// notices may have been missed, and everybody gets one.
func (s *Store) listen() {
	s.pubsub = s.client.Subscribe(context.Background())
	s.listening.Go(func() {
		_ = s.pubsub.Subscribe(context.Background(), s.channel()) // if it fails, the loop below repeats it
		for message := range s.pubsub.ChannelWithSubscriptions() {
			switch message := message.(type) {
			case *redis.Message:
				s.notices.Tell(session.ID(message.Payload))
			case *redis.Subscription:
				s.notices.TellAll()
			}
		}
	})
}

// Watch implements [session.Store].
func (s *Store) Watch(id session.ID) (changed <-chan struct{}, stop func()) {
	return s.notices.Watch(id)
}

// Close ends the connections.
func (s *Store) Close() error {
	_ = s.pubsub.Close() // only fails when closed before
	s.listening.Wait()
	return s.client.Close()
}
