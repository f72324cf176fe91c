package gateway

import (
	"context"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// The calls of a store, in the order of its interface.

func (s *observedStore) Create(ctx context.Context, rec session.Record, terms session.Terms) error {
	return s.observe(ctx, "create", func(ctx context.Context) error { return s.Store.Create(ctx, rec, terms) })
}

func (s *observedStore) Load(ctx context.Context, id session.ID) (rec session.Record, seen time.Time, err error) {
	err = s.observe(ctx, "load", func(ctx context.Context) error {
		rec, seen, err = s.Store.Load(ctx, id)
		return err
	})
	return rec, seen, err
}

func (s *observedStore) LoadAll(ctx context.Context, ids []session.ID) (found []session.Found, err error) {
	err = s.observe(ctx, "load_all", func(ctx context.Context) error {
		found, err = s.Store.LoadAll(ctx, ids)
		return err
	})
	return found, err
}

func (s *observedStore) Update(ctx context.Context, rec session.Record) error {
	return s.observe(ctx, "update", func(ctx context.Context) error { return s.Store.Update(ctx, rec) })
}

func (s *observedStore) Touch(ctx context.Context, id session.ID, at time.Time, keep time.Duration) error {
	return s.observe(ctx, "touch", func(ctx context.Context) error { return s.Store.Touch(ctx, id, at, keep) })
}

func (s *observedStore) Delete(ctx context.Context, id session.ID, reason session.Reason) (rec session.Record, err error) {
	err = s.observe(ctx, "delete", func(ctx context.Context) error {
		rec, err = s.Store.Delete(ctx, id, reason)
		return err
	})
	return rec, err
}

func (s *observedStore) Acquire(ctx context.Context, id session.ID, owner string, ttl time.Duration) (hold session.Hold, err error) {
	err = s.observe(ctx, "acquire", func(ctx context.Context) error {
		hold, err = s.Store.Acquire(ctx, id, owner, ttl)
		return err
	})
	return hold, err
}

func (s *observedStore) Renew(ctx context.Context, id session.ID, owner string, ttl time.Duration) error {
	return s.observe(ctx, "renew", func(ctx context.Context) error { return s.Store.Renew(ctx, id, owner, ttl) })
}

func (s *observedStore) Release(ctx context.Context, id session.ID, owner string, pause time.Duration) error {
	return s.observe(ctx, "release", func(ctx context.Context) error { return s.Store.Release(ctx, id, owner, pause) })
}

func (s *observedStore) Find(ctx context.Context, index session.Index) (ids []session.ID, err error) {
	err = s.observe(ctx, "find", func(ctx context.Context) error {
		ids, err = s.Store.Find(ctx, index)
		return err
	})
	return ids, err
}

func (s *observedStore) Scan(ctx context.Context, index session.Index, cursor string, limit int) (
	ids []session.ID, next string, err error,
) {
	err = s.observe(ctx, "scan", func(ctx context.Context) error {
		ids, next, err = s.Store.Scan(ctx, index, cursor, limit)
		return err
	})
	return ids, next, err
}

func (s *observedStore) Bury(ctx context.Context, index session.Index, at time.Time, keep time.Duration) error {
	return s.observe(ctx, "bury", func(ctx context.Context) error { return s.Store.Bury(ctx, index, at, keep) })
}

func (s *observedStore) Buried(ctx context.Context, indexes ...session.Index) (at []time.Time, err error) {
	err = s.observe(ctx, "buried", func(ctx context.Context) error {
		at, err = s.Store.Buried(ctx, indexes...)
		return err
	})
	return at, err
}

func (s *observedStore) Tell(ctx context.Context, id session.ID) error {
	return s.observe(ctx, "tell", func(ctx context.Context) error { return s.Store.Tell(ctx, id) })
}

func (s *observedStore) Consume(ctx context.Context, name string, keep time.Duration) error {
	return s.observe(ctx, "consume", func(ctx context.Context) error { return s.Store.Consume(ctx, name, keep) })
}

func (s *observedStore) Consumed(ctx context.Context, name string) (consumed bool, err error) {
	err = s.observe(ctx, "consumed", func(ctx context.Context) error {
		consumed, err = s.Store.Consumed(ctx, name)
		return err
	})
	return consumed, err
}

func (s *observedStore) Due(ctx context.Context, now time.Time, limit int) (ids []session.ID, err error) {
	err = s.observe(ctx, "due", func(ctx context.Context) error {
		ids, err = s.Store.Due(ctx, now, limit)
		return err
	})
	return ids, err
}

func (s *observedStore) Schedule(ctx context.Context, id session.ID, due time.Time) error {
	return s.observe(ctx, "schedule", func(ctx context.Context) error { return s.Store.Schedule(ctx, id, due) })
}

func (s *observedStore) Ping(ctx context.Context) error {
	return s.observe(ctx, "ping", func(ctx context.Context) error { return s.Store.Ping(ctx) })
}
