package gateway

import (
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestProviderStatuses: a provider that answers with one odd number after the other makes one time series.
func TestProviderStatuses(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	status := 600
	transport := m.transport("default", roundTripper(func(*http.Request) (*http.Response, error) {
		status++
		return &http.Response{StatusCode: status}, nil
	}))
	for range 10 {
		if _, err := transport.RoundTrip(nil); err != nil {
			t.Fatal(err)
		}
	}
	series := make(chan prometheus.Metric, 10)
	m.provider.Collect(series)
	if len(series) != 1 {
		t.Errorf("%d time series, want 1", len(series))
	}
}
