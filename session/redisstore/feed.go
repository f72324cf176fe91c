package redisstore

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"

	"github.com/cloakroom/cloakroom/session"
)

const (
	echoEvery  = 500 * time.Millisecond
	deafAfter  = 5 * echoEvery / 2      // since the last echo that came was sent: two have not come
	retryAfter = 100 * time.Millisecond // a connection has ended
)

// feed hears from one primary, over one connection at a time. On it come the notices that calls publish and, where the
// server allows it, the invalidations of CLIENT TRACKING for all records, which tell also of what others than a Store
// have done: deleted by hand, expired, evicted, flushed.
//
// That the connection is there does not mean that it is good: its server may hang, or may be the primary no more and not
// know. So calls, which find the primary, publish an echo now and then, and it has to come back.
type feed struct {
	store   *Store
	primary *redis.Client // as calls use it
	began   time.Time     // the echoes' zero
	stop    context.CancelFunc

	heardAt atomic.Pointer[time.Time] // when the last echo that has come was sent; nil: none since it is connected
}

// run connects, again and again, until ctx ends.
func (f *feed) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.listen(ctx)
		f.heardAt.Store(nil)
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
	}
}

// listen passes on what is heard until the connection ends or is deaf. It reads without a deadline, which might cut a
// message in two. Before it returns an error the client library connects once more; that connection is not used.
func (f *feed) listen(ctx context.Context) {
	client := f.connection()
	defer func() { _ = client.Close() }() // only fails when closed before
	echo := f.store.prefix + "echo:" + rand.Text()
	pubsub := client.Subscribe(ctx, f.store.channel(), echo)

	ctx, cancel := context.WithCancel(ctx)
	subscribed := make(chan struct{})
	begin := sync.OnceFunc(func() { close(subscribed) })
	var echoing sync.WaitGroup
	echoing.Go(func() {
		f.echo(ctx, echo, subscribed)
		_ = pubsub.Close() // only fails when closed before
	})
	defer echoing.Wait()
	defer cancel()
	for {
		message, err := pubsub.Receive(ctx)
		if err != nil {
			return
		}
		switch message := message.(type) {
		case *redis.Subscription:
			if message.Count == 2 { // both channels
				f.store.notices.Missed()
				begin()
			}
		case *redis.Message:
			if message.Channel == echo {
				f.hear(message.Payload)
			} else {
				f.store.notices.Tell(session.ID(message.Payload))
				f.store.notices.Changed(session.ID(message.Payload))
			}
		}
	}
}

// echo publishes echoes until ctx ends, or they do not come back.
func (f *feed) echo(ctx context.Context, channel string, subscribed <-chan struct{}) {
	select {
	case <-subscribed:
	case <-time.After(deafAfter):
		return
	case <-ctx.Done():
		return
	}
	begin := time.Now()
	tick := time.NewTicker(echoEvery)
	defer tick.Stop()
	for {
		sent := strconv.FormatInt(int64(time.Since(f.began)), 10)
		attempt, cancel := context.WithTimeout(ctx, echoEvery)
		_ = f.primary.Publish(attempt, channel, sent).Err() // then it does not come back
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		last := f.heardAt.Load()
		if last == nil {
			last = &begin
		}
		if time.Since(*last) > deafAfter {
			return
		}
	}
}

// hear takes the echo that was sent at a time.
func (f *feed) hear(sent string) {
	if after, err := strconv.ParseInt(sent, 10, 64); err == nil {
		at := f.began.Add(time.Duration(after))
		f.heardAt.Store(&at)
	}
}

// connection is a client of the primary for one subscription, connected as calls are.
func (f *feed) connection() *redis.Client {
	opts := *f.primary.Options()
	opts.PoolSize, opts.PipelinePoolSize, opts.MaxRetries = 1, -1, -1
	opts.Protocol = 3 // which has messages that nobody asked for
	onConnect := opts.OnConnect
	opts.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if onConnect != nil {
			if err := onConnect(ctx, conn); err != nil {
				return err
			}
		}
		return f.track(ctx, conn)
	}
	opts.PushNotificationProcessor = push.NewProcessor()
	client := redis.NewClient(&opts)
	if err := client.RegisterPushNotificationHandler("invalidate", f, false); err != nil {
		panic("redisstore: " + err.Error()) // the processor is new
	}
	return client
}

// track has the server tell of every change of a record, if it will.
func (f *feed) track(ctx context.Context, conn *redis.Conn) error {
	err := conn.ClientTracking(ctx, true, &redis.ClientTrackingOptions{
		Bcast: true, Prefixes: []string{f.store.prefix + "rec:"},
	}).Err()
	if err != nil && passing(err) {
		return err
	}
	f.store.feeds.tracking(err)
	return nil
}

// HandlePushNotification takes an invalidation: the names of keys, or nothing when all are gone. It is called while the
// connection is read, in the order of what comes.
func (f *feed) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, message []any) error {
	var keys []any
	if len(message) == 2 {
		keys, _ = message[1].([]any)
	}
	if keys == nil {
		f.store.notices.Missed()
	}
	for _, key := range keys {
		name, _ := key.(string)
		f.store.notices.Changed(session.ID(strings.TrimSuffix(strings.TrimPrefix(name, f.store.prefix+"rec:{"), "}")))
	}
	return nil
}
