package proxy

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/cloakroom/cloakroom/session/problem"
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
	if _, err := contentLength(res.Header); err != nil {
		return problem.Wrap(problem.UpstreamUnavailable, err) // net/http ignores it in HTTP/2, and would pass it on (PX-17)
	}
	if x.sendsToken() && x.Token != TokenClient {
		if demand := findStepUp(res); demand != nil {
			return &problem.Error{Code: problem.StepUpRequired, Err: demand}
		}
	}
	if err := x.answerLocation(res); err != nil {
		return err
	}
	x.passOn(res)
	x.closeUnlessRead()
	// The fields are handed over here, and not by ReverseProxy, which adds to what the gateway has set already.
	h, filter := x.w.Header(), x.filter()
	for name, values := range res.Header {
		switch {
		case filter.removes(name):
			continue
		case name == "Set-Cookie":
			values = append(slices.Clip(h[name]), settableCookies(values, x.ownCookie)...)
		case name == "Vary":
			values = append(slices.Clip(h[name]), values...) // the answer depends on both
		}
		h[name] = values
	}
	filter.force(h)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // present but empty, so that net/http does not guess one
	}
	res.Header = nil
	return nil
}
