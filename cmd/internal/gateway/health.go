package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/session"
)

const healthTimeout = time.Second

// health knows what the gateway depends on.
type health struct {
	sessions  *session.Manager
	providers bff.Providers
	draining  <-chan struct{}
}

// readiness is the body of /readyz.
type readiness struct {
	Status    string            `json:"status"` // ok, degraded, unavailable or draining
	Store     string            `json:"store"`  // ok or unavailable
	Providers map[string]string `json:"providers"`
}

// check asks every dependency now. Without the store nobody can be let in; without any provider nobody could ever sign
// in. One provider missing among several is degraded, which is still ready.
func (h *health) check(ctx context.Context) (readiness, bool) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	result := readiness{Status: "ok", Store: "ok", Providers: map[string]string{}}
	loaded := 0
	for _, p := range h.providers {
		result.Providers[p.Name] = "unavailable"
		if p.Client.Ready() == nil {
			result.Providers[p.Name] = "ok"
			loaded++
		}
	}
	if loaded < len(h.providers) {
		result.Status = "degraded"
	}
	ready := loaded > 0
	if h.sessions.Ping(ctx) != nil {
		result.Store, ready = "unavailable", false
	}
	if !ready {
		result.Status = "unavailable"
	}
	select {
	case <-h.draining:
		result.Status, ready = "draining", false
	default:
	}
	return result, ready
}

// adminHandler serves the admin listener, which no browser ever sees (PX-35).
func (g *Gateway) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeAdmin(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		result, ready := g.health.check(r.Context())
		status := http.StatusOK
		if !ready {
			status = http.StatusServiceUnavailable
		}
		writeAdmin(w, status, result)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{}))
	sessions := g.logged(g.answer(g.admin.serve, g.refuseAdmin))
	mux.Handle(sessionsPath, sessions)
	mux.Handle(sessionsPath+"/", sessions)
	return mux
}

func writeAdmin(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
