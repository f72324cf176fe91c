package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what /metrics shows. Labels come from the configuration and from fixed lists, never from a request, so
// their number is bounded and nothing personal is among them.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	events   *prometheus.CounterVec
	store    *prometheus.HistogramVec
	provider *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cloakroom_request_seconds",
			Help:    "Requests by route and status, until the response was written; of event streams and WebSockets until it began.",
			Buckets: prometheus.DefBuckets,
		}, []string{"method", "route", "status"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_events_total", Help: "What happened to sessions and logins: the lines of the audit log.",
		}, []string{"event", "reason"}),
		store: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cloakroom_store_seconds", Help: "Calls to the session store.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .05, .1, .5, 1},
		}, []string{"call", "result"}),
		provider: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cloakroom_provider_seconds", Help: "Requests to the OpenID Provider, until its response header.",
			Buckets: prometheus.DefBuckets,
		}, []string{"provider", "status"}),
	}
	m.registry.MustRegister(m.requests, m.events, m.store, m.provider,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) request(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(knownMethod(method), route, knownStatus(status)).Observe(took.Seconds())
}

// knownStatus is a status as a label. Servers may answer with any number, each of which would be a time series for ever.
func knownStatus(status int) string {
	if code, known := statusCodes[status]; known {
		return code
	}
	return "other"
}

// statusCodes are those of the registry (RFC 9110 §15), and how they are written.
var statusCodes = func() map[int]string {
	codes := map[int]string{}
	for status := 100; status < 600; status++ {
		if http.StatusText(status) != "" {
			codes[status] = strconv.Itoa(status)
		}
	}
	return codes
}()

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// transport measures requests to a provider.
func (m *metrics) transport(provider string, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		start := time.Now()
		res, err := next.RoundTrip(r)
		status := "error"
		if err == nil {
			status = knownStatus(res.StatusCode)
		}
		m.provider.WithLabelValues(provider, status).Observe(time.Since(start).Seconds())
		return res, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
