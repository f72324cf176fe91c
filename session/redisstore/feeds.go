package redisstore

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// feeds are the feeds of a Store: one, or in a Cluster one for each primary.
type feeds struct {
	log *slog.Logger
	all atomic.Pointer[[]*feed] // replaced as a whole, never changed

	mu   sync.Mutex
	mode string // as the log has it
}

// listen keeps a feed for each primary, until ctx ends.
func (s *Store) listen(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for ctx.Err() == nil {
		if primaries, err := s.primaries(ctx); err == nil {
			s.adjust(ctx, primaries, &running)
		}
		select {
		case <-time.After(topologyAge):
		case <-ctx.Done():
		}
	}
}

// adjust begins the feeds that are missing and ends those that are too many. After a change nothing counts as heard
// until the new feeds hear: sessions may have moved.
func (s *Store) adjust(ctx context.Context, primaries []*redis.Client, running *sync.WaitGroup) {
	gone := map[*redis.Client]*feed{}
	if all := s.feeds.all.Load(); all != nil {
		for _, f := range *all {
			gone[f.primary] = f
		}
	}
	var all []*feed
	changed := false
	for _, primary := range primaries {
		f, ok := gone[primary]
		delete(gone, primary)
		if !ok {
			changed = true
			f = &feed{store: s, primary: primary, began: time.Now()}
			var life context.Context
			life, f.stop = context.WithCancel(ctx)
			running.Go(func() { f.run(life) })
		}
		all = append(all, f)
	}
	if !changed && len(gone) == 0 {
		return
	}
	s.feeds.all.Store(&all)
	for _, f := range gone {
		f.stop()
	}
	s.notices.Missed()
}

// primaries are the clients that calls use. In a Cluster it asks a node for them.
func (s *Store) primaries(ctx context.Context) (primaries []*redis.Client, err error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return []*redis.Client{s.client.(*redis.Client)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	var mu sync.Mutex
	err = cluster.ForEachMaster(ctx, func(_ context.Context, primary *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		primaries = append(primaries, primary)
		return nil
	})
	return primaries, err
}

// heardAt is the earliest of all feeds', or zero if one of them is not there.
func (f *feeds) heardAt() time.Time {
	all := f.all.Load()
	if all == nil {
		return time.Time{}
	}
	var earliest time.Time
	for _, each := range *all {
		at := each.heardAt.Load()
		if at == nil {
			return time.Time{}
		}
		if earliest.IsZero() || at.Before(earliest) {
			earliest = *at
		}
	}
	return earliest
}

// tracking says in the log how changes are heard of, when that is not as it was.
func (f *feeds) tracking(refusal error) {
	mode := "tracking"
	if refusal != nil {
		mode = "notices"
	}
	f.mu.Lock()
	known := f.mode == mode
	f.mode = mode
	f.mu.Unlock()
	switch {
	case known:
	case refusal != nil:
		f.log.Warn("Redis refuses CLIENT TRACKING, perhaps since the user lacks +client|tracking; "+
			"what others do to sessions in Redis is noticed late", "err", refusal)
	default:
		f.log.Info("changes of sessions are heard by CLIENT TRACKING")
	}
}
