package gateway

import (
	"net/http"
	"net/http/httptest"
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
	const foreign = "4bf92f3577b34da6a3ce929d0e0e4736"
	c.send("GET", "/api/orders?q=private-search", csrf, "Traceparent: 00-"+foreign+"-00f067aa0ba902b7-01")
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
	if got := g.received[0].Header.Get("Traceparent"); !strings.Contains(got, foreign) {
		t.Errorf("the upstream was told of the trace %q, want the one of the proxy in front, %s", got, foreign)
	}
	for _, r := range g.op.Requests(optest.TokenEndpoint) {
		if r.Header.Get("Traceparent") != "" {
			t.Error("the OP was told of the trace")
		}
	}
}

// A browser that sends a trace of its own, and asks that it be not recorded, gets one of ours.
func TestTraceOfAStrangerIsNotBelieved(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	g := newReplica(t, func(g *replica, _ *Config) {
		g.options.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	})
	r := httptest.NewRequest("GET", "/", nil) // from 192.0.2.1
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	g.logged(g.traced(http.NotFoundHandler())).ServeHTTP(httptest.NewRecorder(), r)
	for _, span := range recorder.Ended() {
		if span.Name() == "GET" && !span.Parent().IsValid() {
			return
		}
	}
	t.Error("there is no span without a foreign parent")
}
