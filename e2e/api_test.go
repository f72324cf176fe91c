package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is an API behind the gateway. It keeps every request, and tells what it got in its answer: never the token.
type upstream struct {
	*httptest.Server

	mu       sync.Mutex
	requests []*http.Request
}

// startAPI serves /api/echo; /api/members/ and /api/home/, which are pages; /api/wait, which answers after ?for=; and
// /api/rude, which sends what an API must not send to a browser.
func startAPI(t *testing.T) *upstream {
	t.Helper()
	api := &upstream{}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/echo", func(w http.ResponseWriter, r *http.Request) {
		_, hasToken := api.bearer(r)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"path": r.URL.RequestURI(), "has_token": hasToken, "cookies": len(r.Cookies()),
		})
	})
	mux.HandleFunc("/api/members/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><title>Members only</title>"))
	})
	mux.HandleFunc("/api/home/", func(w http.ResponseWriter, r *http.Request) {
		title := "Welcome, stranger"
		if _, hasToken := api.bearer(r); hasToken {
			title = "Welcome back"
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><title>" + title + "</title>"))
	})
	mux.HandleFunc("/api/wait", func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.URL.Query().Get("for"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(wait):
			_, _ = w.Write([]byte("waited"))
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/api/rude", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session-of-the-api", Value: "1"})
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Clear-Site-Data", `"cookies"`)
	})
	api.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.mu.Lock()
		api.requests = append(api.requests, r.Clone(r.Context()))
		api.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	return api
}

func (api *upstream) bearer(r *http.Request) (token string, ok bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// received returns the requests so far, oldest first.
func (api *upstream) received() []*http.Request {
	api.mu.Lock()
	defer api.mu.Unlock()
	return slices.Clone(api.requests)
}

// tokens returns the access tokens that have come, each once, oldest first.
func (api *upstream) tokens() []string {
	var tokens []string
	for _, r := range api.received() {
		if token, ok := api.bearer(r); ok && !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
	}
	return tokens
}
