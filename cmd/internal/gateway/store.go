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

// observedStore measures and traces the calls that cost a round trip. Those of a [session.Feed] pass through, but Tell.
type observedStore struct {
	session.Store
	tracing *tracing
	metrics *metrics
}

// storeFailed reports whether the store could not be asked, as opposed to having said no.
func storeFailed(err error) bool {
	return err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrSpent)
}

// observe runs one call of the store.
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
