package gateway

import (
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// Spans cover the request and its calls to the OP, the store and the upstream; the upstream hears of the trace, the OP
// does not, and no span holds a query.
func TestTracing(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	g := newReplica(t, func(g *replica, _ *Config) {
		g.options.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	}).ready()
	c := g.client().signIn()
	c.send("GET", "/api/orders?q=private-search", csrf)
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, span := range recorder.Ended() {
		names = append(names, span.Name())
		for _, attribute := range span.Attributes() {
			if strings.Contains(attribute.Value.String(), "private-search") || strings.Contains(attribute.Value.String(), "code=") {
				t.Errorf("%s: %v", span.Name(), attribute)
			}
		}
	}
	for _, want := range []string{"GET", "op POST", "op GET", "upstream GET", "store create", "store consume", "store load"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no span %q among %q", want, names)
		}
	}
	if g.received[0].Header.Get("Traceparent") == "" {
		t.Error("the upstream was not told of the trace")
	}
	for _, r := range g.op.Requests(optest.TokenEndpoint) {
		if r.Header.Get("Traceparent") != "" {
			t.Error("the OP was told of the trace")
		}
	}
}
