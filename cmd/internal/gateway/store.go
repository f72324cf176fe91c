package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/redisstore"
)

func (g *Gateway) newStore() (session.Store, error) {
	if g.config.Session.Store == "memory:" {
		return memstore.New(), nil
	}
	store, err := openRedis(g.config.Session, g.log)
	if err != nil {
		return nil, err
	}
	g.closers = append(g.closers, store.Close)
	return store, nil
}

func openRedis(s Session, log *slog.Logger) (*redisstore.Store, error) {
	store, err := redisstore.Open(s.Store, redisstore.Options{
		Username:         s.Redis.Username,
		Password:         s.Redis.Password,
		PasswordFile:     s.Redis.PasswordFile,
		SentinelUsername: s.Redis.SentinelUsername,
		SentinelPassword: s.Redis.SentinelPassword,
		CAFile:           s.Redis.CAFile,
		CertFile:         s.Redis.CertFile,
		KeyFile:          s.Redis.KeyFile,
		Logger:           log,
	})
	if err != nil {
		return nil, fmt.Errorf("session.store: %w", err)
	}
	return store, nil
}

// observedStore measures and traces the calls that requests wait for. The others pass through.
type observedStore struct {
	session.Store
	tracing *tracing
	metrics *metrics
}

// storeFailed reports whether the store could not be asked, as opposed to having said no.
func storeFailed(err error) bool {
	return err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrSpent)
}

func (s *observedStore) observe(ctx context.Context, name string, do func(context.Context) error) error {
	start := time.Now()
	ctx, span := s.tracing.tracer.Start(ctx, "store "+name, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	err := do(ctx)
	result := "ok"
	if storeFailed(err) {
		result = "error"
		span.SetStatus(codes.Error, "the store could not be asked")
	}
	s.metrics.store.WithLabelValues(name, result).Observe(time.Since(start).Seconds())
	return err
}

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

func (s *observedStore) Consume(ctx context.Context, name string, keep time.Duration) error {
	return s.observe(ctx, "consume", func(ctx context.Context) error { return s.Store.Consume(ctx, name, keep) })
}
