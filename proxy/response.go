package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/cloakroom/cloakroom/session/problem"
)

// Field values that do not change. Sharing them between answers is safe: nothing in net/http edits a value in
// place.
var (
	noStore    = []string{"no-store"}
	noSniff    = []string{"nosniff"}
	sameOrigin = []string{"same-origin"}
	sandboxed  = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
)

// answer makes of the upstream's answer the one that the browser gets, or refuses it. [httputil.ReverseProxy] has
// removed the hop-by-hop fields (PX-02).
func (x *exchange) answer(res *http.Response) error {
	if res.StatusCode == http.StatusSwitchingProtocols && x.upgrade {
		return x.switchProtocols(res)
	}
	if res.StatusCode < 200 || res.StatusCode > 999 {
		// Any other 101 would turn the connection into one that nobody filters (PX-03); net/http panics at what is below 100.
		return problem.Wrap(problem.UpstreamUnavailable, fmt.Errorf("the upstream answered with status %d", res.StatusCode))
	}
	if x.sendsToken() && x.Token != TokenClient {
		if demand := findStepUp(res); demand != nil {
			return &problem.Error{Code: problem.StepUpRequired, Err: demand}
		}
	}
	h := res.Header
	downSet.removeFrom(h)
	if err := x.answerLocation(res); err != nil {
		return err
	}
	x.answerCookies(h)
	if x.isPersonal(x.who) {
		markPrivate(h)
	}
	if x.hasToken() && !x.Documents {
		markData(h)
	}
	h["X-Content-Type-Options"] = noSniff // PX-31
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // present but empty, so that net/http does not guess one
	}

	res.Trailer = nil // PX-27: no browser shows trailers to anybody
	res.Body = &download{res.Body, res, x}

	x.closeUnlessRead()
	// The fields are handed over here, and not by ReverseProxy, which adds to what the gateway has set already.
	for name, values := range h {
		if name == "Vary" {
			values = append(x.w.Header()[name], values...) // the answer depends on both
		}
		x.w.Header()[name] = values
	}
	res.Header = nil
	return nil
}

// answerCookies drops Set-Cookie where the answer is data. A server that renders pages may keep cookies of its own
// beside the gateway's (PX-23).
func (x *exchange) answerCookies(h http.Header) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	delete(h, "Set-Cookie")
	if x.hasToken() && !x.Documents {
		return
	}
	if kept := settableCookies(lines, x.ownCookie); len(kept) > 0 {
		h["Set-Cookie"] = kept
	}
}

// markPrivate keeps an answer out of every cache (PX-25). The upstream believes that its Authorization field did so
// (RFC 9111 §3.5), but a cache in front of the gateway has seen only a cookie.
func markPrivate(h http.Header) {
	privateSet.removeFrom(h)
	h["Cache-Control"] = noStore
	if vary := h["Vary"]; !slices.Contains(vary, "*") {
		h["Vary"] = append(slices.Clip(vary), "Cookie")
	}
}

// markData keeps an answer from acting as a page of the application, whatever its Content-Type says (PX-30).
func markData(h http.Header) {
	dataSet.removeFrom(h)
	h["Content-Security-Policy"] = sandboxed
	h["Cross-Origin-Resource-Policy"] = sameOrigin
}

// download is the body of an answer. The trailers that appear at its end are dropped before ReverseProxy, which
// closes the body first, looks for them.
type download struct {
	io.ReadCloser
	res *http.Response
	x   *exchange
}

// Read breaks off when the session has ended. ReverseProxy logs every other error than context.Canceled.
func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF && d.x.ended() != nil {
		err = context.Canceled
	}
	return n, err
}

func (d *download) Close() error {
	err := d.ReadCloser.Close()
	d.res.Trailer = nil
	return err
}
