package gateway

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// tracing makes a span of each request, and below it of each call to a provider, the store and an upstream. It is on
// when the environment names a collector, as OpenTelemetry's specification of environment variables has it.
type tracing struct {
	tracer     trace.Tracer
	propagator propagation.TraceContext
	on         bool
	shutdown   func(context.Context) error
}

func newTracing(given *sdktrace.TracerProvider, env func(string) (string, bool)) (*tracing, error) {
	if given != nil {
		return tracingTo(given), nil
	}
	all, _ := env("OTEL_EXPORTER_OTLP_ENDPOINT")
	traces, _ := env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if all == "" && traces == "" {
		return &tracing{
			tracer:   noop.NewTracerProvider().Tracer(""),
			shutdown: func(context.Context) error { return nil },
		}, nil
	}
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		return nil, err
	}
	about, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", "cloakroom")), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	return tracingTo(sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))), nil
}

func tracingTo(provider *sdktrace.TracerProvider) *tracing {
	return &tracing{tracer: provider.Tracer("cloakroom"), on: true, shutdown: provider.Shutdown}
}

// traced makes the span of a request, below a span of ours in front only: a browser does not decide what is sampled.
// Spans carry paths and never queries, as the access log.
func (g *Gateway) traced(next http.Handler) http.Handler {
	t := g.tracing
	if !t.on {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if g.isInternalPeer(r) {
			ctx = t.propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		ctx, span := t.tracer.Start(ctx, knownMethod(r.Method), trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("url.path", r.URL.Path)))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
		span.SetAttributes(attribute.String("http.route", accessOf(r).route), attribute.Int("http.response.status_code", accessOf(r).status))
	})
}

// transport makes a span of each exchange, until the response header is there. Upstreams are told of the trace; a
// provider, which is another party, is not.
func (t *tracing) transport(name string, next http.RoundTripper, propagate bool) http.RoundTripper {
	if !t.on {
		return next
	}
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		ctx, span := t.tracer.Start(r.Context(), name+" "+r.Method, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("server.address", r.URL.Host), attribute.String("url.path", r.URL.Path)))
		defer span.End()
		r = r.Clone(ctx)
		if propagate {
			t.propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
		}
		res, err := next.RoundTrip(r)
		if err != nil {
			span.SetStatus(codes.Error, "no response")
		} else {
			span.SetAttributes(attribute.Int("http.response.status_code", res.StatusCode))
		}
		return res, err
	})
}
