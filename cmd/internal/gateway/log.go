package gateway

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/problem"
)

// NewLogger writes JSON lines, or text when w is a terminal.
func NewLogger(w io.Writer) *slog.Logger {
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewJSONHandler(escapedJSON{w}, nil))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// access is the line of the access log that a request will become. It is also the response writer that watches the
// status.
type access struct {
	http.ResponseWriter
	id     string
	client netip.Addr
	route  string // path of the route or endpoint as configured, "" while there is none
	status int    // 0 until the response begins
	bytes  int64
	now    func() time.Time
	began  time.Time    // when the header of a stream went out; zero for other responses
	code   problem.Code // of the refusal, if it is one
	err    error        // its cause
}

type accessKey struct{}

func accessOf(r *http.Request) *access { return accessIn(r.Context()) }

// accessIn is nil where no request is the cause, as in the sweep.
func accessIn(ctx context.Context) *access {
	a, _ := ctx.Value(accessKey{}).(*access)
	return a
}

// clientText is "" where there is no address, as on a unix socket.
func (e *access) clientText() string {
	if !e.client.IsValid() {
		return ""
	}
	return e.client.String()
}

// Unwrap lets http.ResponseController reach the connection; httputil.ReverseProxy flushes by it.
func (e *access) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (e *access) WriteHeader(status int) {
	if e.status == 0 && status >= 200 { // 1xx may come before
		e.status = status
		if strings.HasPrefix(e.Header().Get("Content-Type"), "text/event-stream") {
			e.began = e.now()
		}
	}
	e.ResponseWriter.WriteHeader(status)
}

func (e *access) Write(b []byte) (int, error) {
	if e.status == 0 {
		e.status = http.StatusOK
	}
	n, err := e.ResponseWriter.Write(b)
	e.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the sendfile path of net/http for static files.
func (e *access) ReadFrom(src io.Reader) (int64, error) {
	if e.status == 0 {
		e.status = http.StatusOK
	}
	n, err := io.Copy(e.ResponseWriter, src)
	e.bytes += n
	return n, err
}

// logged gives the request its id and writes its line when it is over. The line has the path and never the query: codes,
// states and search terms are in queries (BFF-27).
func (g *Gateway) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &access{ResponseWriter: w, id: rand.Text(), client: proxy.ClientAddr(r, g.config.TrustedProxies), now: g.now}
		r = r.WithContext(context.WithValue(r.Context(), accessKey{}, e))
		id := []string{e.id}
		w.Header()["X-Request-Id"], r.Header["X-Request-Id"] = id, id
		start := g.now()
		defer func() { g.note(r, e, start) }()
		next.ServeHTTP(e, r)
	})
}

// note counts a request that is over, and writes its line.
func (g *Gateway) note(r *http.Request, e *access, start time.Time) {
	end := g.now()
	if e.began.IsZero() {
		g.metrics.request(r.Method, e.route, e.status, end.Sub(start))
	} else { // how long a stream lasts says nothing about how fast we are
		g.metrics.request(r.Method, e.route, e.status, e.began.Sub(start))
	}
	level := slog.LevelInfo
	if e.err != nil {
		level = logLevel(e.code, e.err)
	}
	handler := g.access.Handler() // Logger.LogAttrs would look who has called it first, for nobody
	if !handler.Enabled(r.Context(), level) {
		return
	}
	line := slog.NewRecord(end, level, "request", 0)
	line.AddAttrs(
		slog.String("request_id", e.id),
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.String("route", e.route),
		slog.Int("status", e.status),
		slog.Int64("bytes", e.bytes),
		slog.Int64("took_us", end.Sub(start).Microseconds()),
		slog.String("client", e.clientText()),
	)
	if e.err != nil {
		line.AddAttrs(slog.String("code", string(e.code)), slog.String("err", e.err.Error()))
	}
	_ = handler.Handle(r.Context(), line) // where the log cannot be written there is nobody to tell
}

// withCommonHeaders sets what every response has, its own and an upstream's (PX-31, PX-32). The values are shared:
// nothing edits one in place.
func (g *Gateway) withCommonHeaders(next http.Handler) http.Handler {
	common := http.Header{
		"X-Content-Type-Options":       {"nosniff"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Referrer-Policy":              {"same-origin"},
	}
	if g.config.PublicURL.Scheme == "https" {
		common["Strict-Transport-Security"] = []string{"max-age=31536000"}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), common)
		if isAmbiguous(r) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
