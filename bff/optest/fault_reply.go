package optest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"
)

// Status makes an endpoint answer with an HTTP error and an empty JSON object, without having done anything (DIS-04,
// FLOW-29, RFR-28, RPL-10). 429 and 503 come with Retry-After: 1.
func Status(e Endpoint, status int) Fault {
	return Reply(fmt.Sprintf("%s answers %d", e, status), e,
		func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "1")
			}
			writeJSON(w, status, map[string]any{})
		})
}

// TokenError makes the token endpoint refuse every request with an OAuth error (RFR-28), without having done
// anything. The status is 401 for invalid_client, 400 for others.
func TokenError(code, description string) Fault { return OAuthError(TokenEndpoint, code, description) }

// OAuthError is TokenError for any endpoint (CA-01: a client that is refused there tries no other method).
func OAuthError(e Endpoint, code, description string) Fault {
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	return Reply(fmt.Sprintf("%s answers %s", e, code), e, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		writeJSON(w, status, map[string]any{"error": code, "error_description": description})
	})
}

// Once limits a fault of this file to the first request that its endpoint receives from now on (CA-01, CA-04: a retry
// comes with the same method and a new assertion). It is good for one OP.
func Once(f Fault) Fault {
	var used atomic.Bool
	reply := f.reply
	f.name += " once"
	f.reply = func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		if used.Swap(true) {
			honest.ServeHTTP(w, r)
			return
		}
		reply(w, r, honest)
	}
	return f
}

// Redirect makes an endpoint answer with a redirect: 307 asks for the request to be repeated with its body and its
// secrets (FLOW-33, DIS-04, UIN-06).
func Redirect(e Endpoint, status int, target string) Fault {
	return Reply(fmt.Sprintf("%s redirects with %d", e, status), e,
		func(w http.ResponseWriter, r *http.Request, _ http.Handler) { http.Redirect(w, r, target, status) })
}

// Huge makes an endpoint answer with JSON that does not end before the client hangs up or has read 1 GiB (FLOW-33,
// DIS-18).
func Huge(e Endpoint) Fault {
	return Reply(string(e)+" is huge", e, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		const chunk = 1 << 16
		padding := strings.Repeat("a", chunk)
		_, err := io.WriteString(w, `{"padding":"`)
		for n := 0; err == nil && n < 1<<30; n += chunk {
			_, err = io.WriteString(w, padding)
		}
	})
}

// Body makes an endpoint answer with 200 and this text (DIS-04, UIN-04).
func Body(e Endpoint, contentType, body string) Fault {
	return Reply(string(e)+" answers with "+contentType, e,
		func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", contentType)
			io.WriteString(w, body)
		})
}

// HTML makes an endpoint answer with a page, as a captive portal does (DIS-04, UIN-04).
func HTML(e Endpoint) Fault { return Body(e, "text/html", "<!doctype html><title>Welcome</title>") }

// Array makes an endpoint answer with a JSON array (DIS-04).
func Array(e Endpoint) Fault { return Body(e, "application/json", `[{"issuer":"https://op.invalid"}]`) }

// ContentType makes an endpoint call its honest answer something else (UIN-04).
func ContentType(e Endpoint, contentType string) Fault {
	return Reply(string(e)+" calls its answer "+contentType, e,
		func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
			answer := process(honest, r)
			answer.Header().Set("Content-Type", contentType)
			send(w, answer)
		})
}

// Slow makes an endpoint do its work, then wait before it answers (DIS-18, RFR-26). A client that hangs up ends the
// wait.
func Slow(e Endpoint, d time.Duration) Fault {
	return held(fmt.Sprintf("%s takes %s", e, d), e, func() <-chan time.Time { return time.After(d) })
}

// SlowToken is Slow for the token endpoint.
func SlowToken(d time.Duration) Fault { return Slow(TokenEndpoint, d) }

// Hold makes an endpoint do its work, then wait for release to be closed before it answers (RFR-20, RFR-24, RFR-25).
// A client that hangs up ends the wait.
func Hold(e Endpoint, release <-chan struct{}) Fault {
	return held(string(e)+" is held", e, func() <-chan struct{} { return release })
}

func held[T any](name string, e Endpoint, until func() <-chan T) Fault {
	return Reply(name, e, func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		answer := process(honest, r)
		select {
		case <-until():
			send(w, answer)
		case <-r.Context().Done():
		}
	})
}

// Drop makes an endpoint do its work and cut the connection instead of answering (RFR-29).
func Drop(e Endpoint) Fault {
	return Reply(string(e)+" drops its answers", e,
		func(_ http.ResponseWriter, r *http.Request, honest http.Handler) {
			process(honest, r)
			panic(http.ErrAbortHandler)
		})
}

// Gone makes an endpoint cut the connection without having done anything (DIS-09). Server.Close takes the whole OP
// away.
func Gone(e Endpoint) Fault {
	return Reply(string(e)+" is gone", e, func(http.ResponseWriter, *http.Request, http.Handler) {
		panic(http.ErrAbortHandler)
	})
}

// process lets the OP do its work and keeps the answer.
func process(honest http.Handler, r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	honest.ServeHTTP(answer, r)
	return answer
}

func send(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}
