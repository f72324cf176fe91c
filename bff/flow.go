package bff

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/cloakroom/cloakroom/session"
)

// A browser may have several logins in flight, one per tab (FLOW-41). Both bounds keep the Cookie header far below the
// 8 KiB that common servers accept (CK-05); past either the oldest flow goes.
const (
	maxFlows     = 6
	maxFlowBytes = 6 << 10
)

// flow is an authorization request in flight: what the callback needs to know and only this browser may bring
// (FLOW-04, FLOW-07, FLOW-09).
type flow struct {
	Provider  string     `json:"p"`
	Issuer    string     `json:"i"`
	State     string     `json:"s"`
	Nonce     string     `json:"n"`
	Verifier  string     `json:"v"` // PKCE code_verifier
	Params    url.Values `json:"q,omitempty"`
	ReturnURL string     `json:"r"`
	Previous  session.ID `json:"o,omitempty"` // the session that a login replaces; a strict cookie does not reach the callback
	Subject   string     `json:"u,omitempty"` // who must come back from a step-up: sub at Issuer (EXT-08)
	Started   int64      `json:"t"`           // Unix milliseconds
}

func newFlow(now time.Time) flow {
	return flow{
		State:    rand.Text(), // 26 characters of base32, 130 bits
		Nonce:    rand.Text(), // IDT-15
		Verifier: oauth2.GenerateVerifier(),
		Started:  now.UnixMilli(),
	}
}

// flowCookie is a flow as it came with a request.
type flowCookie struct {
	flow
	name string
	size int
}

// flows returns the flows of the request that we sealed and that are not too old, newest first, and the names of the
// cookies that only look like flows.
func (h *Handler) flows(r *http.Request) (open []flowCookie, stale []string) {
	for _, c := range r.Cookies() {
		if !h.cookies.isFlow(c.Name) {
			continue
		}
		f := flowCookie{name: c.Name, size: len(c.Name) + len(c.Value)}
		if h.sealer.open(c.Name, c.Value, &f.flow, h.Now()) != nil {
			stale = append(stale, c.Name)
			continue
		}
		open = append(open, f)
	}
	slices.SortFunc(open, func(a, b flowCookie) int { return cmp.Compare(b.Started, a.Started) })
	return open, stale
}

// saveFlow gives the browser one more flow and takes away what no longer fits. posted tells that the response will come
// as a cross-site POST.
func (h *Handler) saveFlow(w http.ResponseWriter, r *http.Request, f flow, posted bool) error {
	name := h.cookies.newFlowName(posted)
	sealed, err := h.sealer.seal(name, f, h.Now().Add(flowLife))
	if err != nil {
		return err
	}
	size := len(name) + len(sealed)
	open, stale := h.flows(r)
	for i, other := range open {
		if size += other.size; i+1 >= maxFlows || size > maxFlowBytes {
			stale = append(stale, other.name)
		}
	}
	for _, name := range stale {
		h.cookies.clear(w, name)
	}
	h.cookies.setShort(w, name, sealed, flowLife)
	return nil
}
