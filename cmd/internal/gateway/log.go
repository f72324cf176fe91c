package gateway

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"

	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/problem"
)

// NewLogger writes JSON lines, or text when w is a terminal.
func NewLogger(w io.Writer) *slog.Logger {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return slog.New(slog.NewTextHandler(w, nil))
		}
	}
	return slog.New(slog.NewJSONHandler(escapedJSON{w}, nil))
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
		e := &access{ResponseWriter: w, id: rand.Text(), client: proxy.ClientAddr(r, g.config.TrustedProxies)}
		r = r.WithContext(context.WithValue(r.Context(), accessKey{}, e))
		w.Header().Set("X-Request-Id", e.id)
		r.Header.Set("X-Request-Id", e.id)
		start := g.now()
		defer func() {
			took := g.now().Sub(start)
			g.metrics.request(r.Method, e.route, e.status, took)
			level := slog.LevelInfo
			attrs := []slog.Attr{
				slog.String("request_id", e.id),
				slog.String("method", r.Method),
				slog.String("path", r.URL.Path),
				slog.String("route", e.route),
				slog.Int("status", e.status),
				slog.Int64("bytes", e.bytes),
				slog.Float64("took_ms", float64(took.Microseconds())/1000),
				slog.String("client", e.clientText()),
			}
			if e.err != nil {
				level = logLevel(e.code, e.err)
				attrs = append(attrs, slog.String("code", string(e.code)), slog.String("err", e.err.Error()))
			}
			g.log.LogAttrs(r.Context(), level, "request", attrs...)
		}()
		next.ServeHTTP(e, r)
	})
}

// withCommonHeaders sets what every response has, its own and an upstream's (PX-31, PX-32).
func (g *Gateway) withCommonHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "same-origin")
		if g.config.PublicURL.Scheme == "https" {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}
